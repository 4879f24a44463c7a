package peerbook

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Collect forgets what the book need not keep, and returns how many records
// that were: those of peers that were removed more than a day ago and are not
// banned, and then, if there are more than Config.MaxPeers, in this order
//
//   - peers without an address;
//   - other peers that no dial has reached, those that came to us too: the
//     oldest first, and from where the most of them are, so that each netgroup
//     keeps as many as the others (tari_comms removes at random, so that
//     whoever talks most fills the book);
//   - removed peers;
//   - the others, those not met for longest first.
//
// Seeds, protected, allowed, configured, banned and connected peers stay,
// however many there are. A newcomer to a full book does the same by itself;
// call Collect every ten minutes or so, for the removed ones.
func (b *Book) Collect() (int, error) {
	b.change.Lock()
	if b.closed {
		b.change.Unlock()
		return 0, ErrClosed
	}
	before := len(b.peers)
	now := time.Now()
	for _, r := range b.peers {
		if b.expired(r, now) {
			b.drop(r)
		}
	}
	b.makeRoom(tarikey.PublicKey{})
	dropped, ticket := before-len(b.peers), b.changes
	b.change.Unlock()
	if dropped == 0 {
		return 0, nil
	}
	return dropped, b.flush(ticket)
}

// expired: the peer was removed so long ago that nothing old can come back.
func (b *Book) expired(r *Record, now time.Time) bool {
	return !r.Removed.IsZero() && now.Sub(r.Removed) > b.cfg.keepRemoved && !r.Banned(now)
}

// makeRoom brings the book a little below its size when it has gone above it,
// so that it need not look for the next newcomer's place again. The newcomer
// stays. b.change is held.
func (b *Book) makeRoom(newcomer tarikey.PublicKey) {
	excess := len(b.peers) - b.cfg.MaxPeers
	if excess <= 0 {
		return
	}
	now := time.Now()
	candidates := make([]*Record, 0, len(b.peers))
	for key, r := range b.peers {
		if key != newcomer && !b.safe(r, now) {
			candidates = append(candidates, r)
		}
	}
	for _, c := range dropOrder(candidates)[:min(len(candidates), excess+b.cfg.MaxPeers/100)] {
		b.drop(c.Record)
	}
}

// safe: the record is not to be given up.
func (b *Book) safe(r *Record, now time.Time) bool {
	return r.Seed || r.Protected || r.Allowed || r.configured() || r.Banned(now) ||
		b.cfg.Connected != nil && r.Removed.IsZero() && b.cfg.Connected(r.PeerID())
}

// dropped is a record and how early it goes.
type dropped struct {
	*Record
	class int // the lower ones first
	crowd int // within a class the higher first: how many younger ones there are in its netgroup
}

const (
	dropEmpty = iota
	dropUnreached
	dropRemoved
	dropReached
)

// dropOrder sorts records by how early they go.
func dropOrder(records []*Record) []dropped {
	slices.SortFunc(records, compareAge)
	order := make([]dropped, len(records))
	crowds := map[string]int{}
	for i, r := range slices.Backward(records) { // the youngest first
		order[i].Record = r
		switch {
		case !r.Removed.IsZero():
			order[i].class = dropRemoved
		case len(r.Addresses) == 0:
			order[i].class = dropEmpty
		case r.Reached():
			order[i].class = dropReached
		default:
			group := crowd(r)
			order[i].class, order[i].crowd = dropUnreached, crowds[group]
			crowds[group]++
		}
	}
	slices.SortStableFunc(order, func(x, y dropped) int {
		return cmp.Or(cmp.Compare(x.class, y.class), cmp.Compare(y.crowd, x.crowd))
	})
	return order
}

// crowd is whom a peer competes with for room. Onion addresses cost nothing,
// so all of them are one crowd.
func crowd(r *Record) string {
	group := Netgroup(r.Addresses[0].Addr)
	if strings.HasPrefix(group, groupOnion+":") {
		return groupOnion
	}
	return group
}

// compareAge orders by when we last met, and else by when we first heard.
func compareAge(x, y *Record) int {
	return cmp.Or(x.LastSeen.Compare(y.LastSeen), x.AddedAt.Compare(y.AddedAt))
}

// set puts a record into the index. Of two peers with one node id, the index by
// node ids has the first. b.mu is held.
func (b *Book) set(r *Record) {
	e := entry{r, r.NodeID()}
	switch old := b.nodes[e.node]; {
	case old == nil:
		b.nodes[e.node] = r
		b.order.add(e, 0)
	case old.Key == r.Key:
		b.nodes[e.node] = r
		b.order.replace(e)
	}
	b.peers[r.Key] = r
}

// drop takes a record out of the book. b.change is held.
func (b *Book) drop(r *Record) {
	node := r.NodeID()
	b.mu.Lock()
	delete(b.peers, r.Key)
	if first := b.nodes[node]; first != nil && first.Key == r.Key {
		delete(b.nodes, node)
		b.order.remove(node, 0)
	}
	b.mu.Unlock()
	b.bans -= banCount(r)
	b.pending[r.Key] = nil
	b.changes++
}
