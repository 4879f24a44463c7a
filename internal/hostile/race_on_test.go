//go:build race

package hostile

// bitsFlipped is how many bits of each byte the tests flip, one at a time. The
// race detector makes them ten times slower, so that all eight have their turn
// without it.
const bitsFlipped = 1
