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
	r := b.peers[b.nodes[node]]
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
	all := b.entries()
	rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return take(all, n, keep)
}

// Closest returns the up to n records nearest to a node id by the XOR of the
// node ids, the nearest first, of those that keep says yes to, all if it is
// nil; no banned or removed ones.
func (b *Book) Closest(to tarikey.NodeID, n int, keep func(Record) bool) []Record {
	all := b.entries()
	for i := range all {
		all[i].distance = all[i].node.Distance(to)
	}
	slices.SortFunc(all, func(x, y entry) int { return x.distance.Compare(y.distance) })
	return take(all, n, keep)
}

// entry is a record and where it stands.
type entry struct {
	*Record
	node     tarikey.NodeID
	distance tarikey.Distance
}

// entries are all records but removed ones, in no order.
func (b *Book) entries() []entry {
	b.mu.RLock()
	defer b.mu.RUnlock()
	all := make([]entry, 0, len(b.nodes))
	for node, key := range b.nodes {
		if r := b.peers[key]; r.Removed.IsZero() {
			all = append(all, entry{Record: r, node: node})
		}
	}
	return all
}

// take returns the first n that are not banned and that keep says yes to.
func take(from []entry, n int, keep func(Record) bool) []Record {
	now := time.Now()
	var out []Record
	for _, e := range from {
		if len(out) >= n {
			break
		}
		if !e.Banned(now) && (keep == nil || keep(*e.Record)) {
			out = append(out, *e.Record)
		}
	}
	return out
}

func sortByKey(records []Record) {
	slices.SortFunc(records, func(x, y Record) int { return bytes.Compare(x.Key.Bytes(), y.Key.Bytes()) })
}
