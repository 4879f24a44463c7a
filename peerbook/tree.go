package peerbook

import (
	"slices"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// leafSize is how many node ids a tree has without a branch; our choice.
const leafSize = 32

// tree is a set of node ids that branches at each bit, the highest first, so that those that are near each other by XOR are near in it.
// The zero value is empty.
type tree struct {
	count int
	ids   []tarikey.NodeID // in no order; nil if it branches
	below *[2]tree         // those whose next bit is 0, and 1
}

// bit is a bit of a node id, 0 the highest.
func bit(id tarikey.NodeID, n int) int { return int(id[n/8]>>(7-n%8)) & 1 }

// add puts in an id that is not there. depth is how many bits all ids in t have in common.
func (t *tree) add(id tarikey.NodeID, depth int) {
	t.count++
	if t.below != nil {
		t.below[bit(id, depth)].add(id, depth+1)
		return
	}
	t.ids = append(t.ids, id)
	if len(t.ids) <= leafSize {
		return
	}
	t.below = new([2]tree)
	for _, id := range t.ids {
		t.below[bit(id, depth)].add(id, depth+1)
	}
	t.ids = nil
}

// remove takes out an id that is there.
func (t *tree) remove(id tarikey.NodeID, depth int) {
	t.count--
	if t.below == nil {
		t.ids = slices.DeleteFunc(t.ids, func(other tarikey.NodeID) bool { return other == id })
		return
	}
	t.below[bit(id, depth)].remove(id, depth+1)
	if t.count <= leafSize/2 {
		t.ids = slices.Collect(t.nearest(id, depth))
		t.below = nil
	}
}

// at returns the id at a place, 0 to count-1. Places change with the set.
func (t *tree) at(i int) tarikey.NodeID {
	for t.below != nil {
		next := &t.below[0]
		if i >= next.count {
			i -= next.count
			next = &t.below[1]
		}
		t = next
	}
	return t.ids[i]
}

// nearest are all ids, the nearest to an id first.
func (t *tree) nearest(to tarikey.NodeID, depth int) func(yield func(tarikey.NodeID) bool) {
	return func(yield func(tarikey.NodeID) bool) { t.walk(to, depth, yield) }
}

func (t *tree) walk(to tarikey.NodeID, depth int, yield func(tarikey.NodeID) bool) bool {
	if t.below != nil {
		near := bit(to, depth)
		return t.below[near].walk(to, depth+1, yield) && t.below[1-near].walk(to, depth+1, yield)
	}
	var sorted [leafSize]tarikey.NodeID
	ids := sorted[:copy(sorted[:], t.ids)]
	slices.SortFunc(ids, func(x, y tarikey.NodeID) int { return x.Distance(to).Compare(y.Distance(to)) })
	for _, id := range ids {
		if !yield(id) {
			return false
		}
	}
	return true
}
