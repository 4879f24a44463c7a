//go:build race

package peerbook

const floodClaims = 1500 // the race detector makes each ten times slower
