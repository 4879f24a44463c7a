//go:build !race

package peerbook

import "testing"

const floodClaims = 6_000

// TestClosestAllocations: what is returned, and one list of what was found.
func TestClosestAllocations(t *testing.T) {
	book := openOn(t, newStore(), Config{})
	for n := range 3 * leafSize {
		must(t, book.Put(Record{Key: stranger(n).Public(), Addresses: in(n, n)}))
	}
	to := key(1).NodeID()
	if n := testing.AllocsPerRun(100, func() { book.Closest(to, 20, nil) }); n > 2 {
		t.Errorf("%v allocations, want 2", n)
	}
}
