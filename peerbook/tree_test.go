package peerbook

import (
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestTree adds and removes ids, some of them alike in all bits but the last ones, and compares with a sorted slice.
func TestTree(t *testing.T) {
	var tr tree
	var all []tarikey.NodeID
	records := map[tarikey.NodeID]*Record{}
	random := rand.New(rand.NewPCG(1, 2))
	draw := func() (id tarikey.NodeID) {
		from := 0
		if random.IntN(2) == 0 {
			from = len(id) - 1 - random.IntN(2) // near 0
		}
		for i := from; i < len(id); i++ {
			id[i] = byte(random.Uint32())
		}
		return id
	}
	check := func() {
		to := draw()
		slices.SortFunc(all, func(x, y tarikey.NodeID) int { return x.Distance(to).Compare(y.Distance(to)) })
		var got []tarikey.NodeID
		for e := range tr.nearest(to, 0) {
			if e.Record != records[e.node] {
				t.Fatal("a record that is not the last")
			}
			got = append(got, e.node)
		}
		if !slices.Equal(got, all) {
			t.Fatalf("%d ids, not in the order of %d", len(got), len(all))
		}
		seen := map[tarikey.NodeID]bool{}
		for i := range tr.count {
			seen[tr.at(i).node] = true
		}
		if tr.count != len(all) || len(seen) != len(all) {
			t.Fatalf("count %d, %d different of %d", tr.count, len(seen), len(all))
		}
	}
	for _, size := range []int{1, leafSize, leafSize + 1, 3000, 500, 4000, leafSize/2 + 1, leafSize / 2, 0} {
		for len(all) < size {
			if id := draw(); !slices.Contains(all, id) {
				all = append(all, id)
				records[id] = &Record{}
				tr.add(entry{records[id], id}, 0)
			}
		}
		for len(all) > size {
			i := random.IntN(len(all))
			tr.remove(all[i], 0)
			all = slices.Delete(all, i, i+1)
		}
		for i := range len(all) / 2 {
			records[all[i]] = &Record{Network: "new"}
			tr.replace(entry{records[all[i]], all[i]})
		}
		check()
	}
	if tr.below != nil {
		t.Error("an empty tree branches")
	}
}
