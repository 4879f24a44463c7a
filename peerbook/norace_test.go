//go:build !race

package peerbook

const floodClaims = 6_000
