package peerbook

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// The functions that are asked which records to keep are called without a lock
// held; they may ask the book.

// GetNode is Get by node id.
func (b *Book) GetNode(node tarikey.NodeID) (Record, bool) {
	b.mu.RLock()
	r := b.nodes[node]
	b.mu.RUnlock()
	if r == nil || !r.Removed.IsZero() {
		return Record{}, false
	}
	return *r, true
}

// Find returns the records whose public key or node id, in hexadecimal, begins
// with prefix: what people type. The order is List's.
func (b *Book) Find(prefix string) []Record {
	prefix = strings.ToLower(prefix)
	var out []Record
	for _, r := range b.entries() {
		if strings.HasPrefix(r.Key.String(), prefix) || strings.HasPrefix(r.node.String(), prefix) {
			out = append(out, *r.Record)
		}
	}
	sortByKey(out)
	return out
}

// What a text that should name a peer in the book can be wrong in.
var (
	ErrNoPeer    = errors.New("peerbook: no such peer")
	ErrManyPeers = errors.New("peerbook: more than one peer")
	ErrBadPeer   = errors.New("peerbook: not the beginning of a public key or node id in hexadecimal")
)

// Resolve returns the one record that a person means: by its public key, its
// node id, or the beginning of either, in hexadecimal. Errors are ErrNoPeer,
// ErrManyPeers and ErrBadPeer, wrapped.
func (b *Book) Resolve(text string) (Record, error) {
	if text == "" || len(text) > 2*tarikey.KeySize || strings.Trim(text, "0123456789abcdefABCDEF") != "" {
		return Record{}, ErrBadPeer
	}
	if node, err := tarikey.ParseNodeID(text); err == nil {
		if r, ok := b.GetNode(node); ok {
			return r, nil
		}
	}
	switch found := b.Find(text); len(found) {
	case 0:
		return Record{}, fmt.Errorf("%w: %s", ErrNoPeer, text)
	case 1:
		return found[0], nil
	default:
		return Record{}, fmt.Errorf("%w begins with %s: %d do", ErrManyPeers, text, len(found))
	}
}

// Random returns up to n records that keep says yes to, any if it is nil, in
// random order; no banned or removed ones.
func (b *Book) Random(n int, keep func(Record) bool) []Record {
	for most := 4 * n; ; most *= 4 {
		some, all := b.some(most)
		if out := take(some, n, keep); len(out) >= n || all {
			return out
		}
	}
}

// Closest returns the up to n records nearest to a node id by the XOR of the
// node ids, the nearest first, of those that keep says yes to, all if it is
// nil; no banned or removed ones.
func (b *Book) Closest(to tarikey.NodeID, n int, keep func(Record) bool) []Record {
	most := n
	if keep != nil {
		most = 2 * n
	}
	for ; ; most *= 4 {
		near, all := b.near(to, most)
		if out := take(near, n, keep); len(out) >= n || all {
			return out
		}
	}
}

// near returns up to most records, banned and removed ones left out, the
// nearest first, and whether these are all.
func (b *Book) near(to tarikey.NodeID, most int) (near []*Record, all bool) {
	now := time.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	near = make([]*Record, 0, max(0, min(most, b.order.count)))
	for e := range b.order.nearest(to, 0) {
		if len(near) >= most {
			return near, false
		}
		if e.welcome(now) {
			near = append(near, e.Record)
		}
	}
	return near, true
}

// some looks at up to most records, by chance and in an order by chance, and
// returns those that are not banned or removed, and whether it looked at all.
func (b *Book) some(most int) (some []*Record, all bool) {
	now := time.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	total := b.order.count
	if most >= total/2 {
		for _, r := range b.nodes {
			if r.welcome(now) {
				some = append(some, r)
			}
		}
		rand.Shuffle(len(some), func(i, j int) { some[i], some[j] = some[j], some[i] })
		return some, true
	}
	for seen := make(map[int]bool, most); len(seen) < most; {
		if i := rand.IntN(total); !seen[i] {
			seen[i] = true
			if e := b.order.at(i); e.welcome(now) {
				some = append(some, e.Record)
			}
		}
	}
	return some, false
}

// entries are all records but removed ones, in no order.
func (b *Book) entries() []entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]entry, 0, len(b.nodes))
	for node, r := range b.nodes {
		if r.Removed.IsZero() {
			all = append(all, entry{Record: r, node: node})
		}
	}
	return all
}

// take returns the first n that keep says yes to.
func take(from []*Record, n int, keep func(Record) bool) []Record {
	out := slices.Grow([]Record(nil), max(0, min(n, len(from))))
	for _, r := range from {
		if len(out) >= n {
			break
		}
		if keep == nil || keep(*r) {
			out = append(out, *r)
		}
	}
	return out
}

func sortByKey(records []Record) {
	slices.SortFunc(records, func(x, y Record) int { return bytes.Compare(x.Key.Bytes(), y.Key.Bytes()) })
}
