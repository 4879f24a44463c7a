//go:build race

package peerbook

const floodClaims = 800 // the race detector makes each ten times slower
