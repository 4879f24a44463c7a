//go:build !race

package peerbook

const floodClaims = 20_000
