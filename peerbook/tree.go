package peerbook

import (
	"slices"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// leafSize is how many entries a tree has without a branch; our choice.
const leafSize = 32

// entry is a record and its node id.
type entry struct {
	*Record
	node tarikey.NodeID
}

// tree has entries by their node ids and branches at each bit, the highest first, so that those that are near each other by XOR are
// near in it. The records are in its leaves: who looks for near ones looks nowhere else. The zero value is empty.
type tree struct {
	count   int
	entries []entry  // in no order; nil if it branches
	below   *[2]tree // those whose next bit is 0, and 1
}

// bit is a bit of a node id, 0 the highest.
func bit(id tarikey.NodeID, n int) int { return int(id[n/8]>>(7-n%8)) & 1 }

// add puts in an entry whose node id is not there. depth is how many bits all node ids in t have in common.
func (t *tree) add(e entry, depth int) {
	t.count++
	if t.below != nil {
		t.below[bit(e.node, depth)].add(e, depth+1)
		return
	}
	t.entries = append(t.entries, e)
	if len(t.entries) <= leafSize {
		return
	}
	t.below = new([2]tree)
	for _, e := range t.entries {
		t.below[bit(e.node, depth)].add(e, depth+1)
	}
	t.entries = nil
}

// replace puts an entry in the place of the one with its node id, which is there.
func (t *tree) replace(e entry) {
	for depth := 0; t.below != nil; depth++ {
		t = &t.below[bit(e.node, depth)]
	}
	t.entries[slices.IndexFunc(t.entries, func(old entry) bool { return old.node == e.node })] = e
}

// remove takes out the entry of a node id that is there.
func (t *tree) remove(id tarikey.NodeID, depth int) {
	t.count--
	if t.below == nil {
		t.entries = slices.DeleteFunc(t.entries, func(e entry) bool { return e.node == id })
		return
	}
	t.below[bit(id, depth)].remove(id, depth+1)
	if t.count <= leafSize/2 {
		t.entries = slices.Collect(t.nearest(id, depth))
		t.below = nil
	}
}

// at returns the entry at a place, 0 to count-1. Places change with the set.
func (t *tree) at(i int) entry {
	for t.below != nil {
		next := &t.below[0]
		if i >= next.count {
			i -= next.count
			next = &t.below[1]
		}
		t = next
	}
	return t.entries[i]
}

// nearest are all entries, the nearest to a node id first.
func (t *tree) nearest(to tarikey.NodeID, depth int) func(yield func(entry) bool) {
	return func(yield func(entry) bool) { t.walk(to, depth, yield) }
}

func (t *tree) walk(to tarikey.NodeID, depth int, yield func(entry) bool) bool {
	if t.below != nil {
		near := bit(to, depth)
		return t.below[near].walk(to, depth+1, yield) && t.below[1-near].walk(to, depth+1, yield)
	}
	type place struct {
		distance tarikey.Distance
		entry    *entry
	}
	var sorted [leafSize]place
	for i := range t.entries {
		sorted[i] = place{t.entries[i].node.Distance(to), &t.entries[i]}
	}
	places := sorted[:len(t.entries)]
	slices.SortFunc(places, func(x, y place) int { return x.distance.Compare(y.distance) })
	for _, p := range places {
		if !yield(*p.entry) {
			return false
		}
	}
	return true
}
