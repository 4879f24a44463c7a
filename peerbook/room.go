package peerbook

import (
	"bytes"
	"cmp"
	"slices"
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
	var candidates []*Record
	for key, r := range b.peers {
		if key != newcomer && !b.safe(r, now) {
			candidates = append(candidates, r)
		}
	}
	ranks := dropRanks(candidates)
	slices.SortFunc(candidates, func(x, y *Record) int {
		a, b := ranks[x], ranks[y]
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(b.crowd, a.crowd), compareAge(x, y))
	})
	for _, r := range candidates[:min(len(candidates), excess+b.cfg.MaxPeers/100)] {
		b.drop(r)
	}
}

// safe: the record is not to be given up.
func (b *Book) safe(r *Record, now time.Time) bool {
	return r.Seed || r.Protected || r.Allowed || r.configured() || r.Banned(now) ||
		b.cfg.Connected != nil && r.Removed.IsZero() && b.cfg.Connected(r.PeerID())
}

// dropRank is how early a record goes.
type dropRank struct {
	class int // the lower ones first
	crowd int // within a class the higher first: how many younger ones there are in its netgroup
}

const (
	dropEmpty = iota
	dropUnreached
	dropRemoved
	dropReached
)

func dropRanks(records []*Record) map[*Record]dropRank {
	ranks := make(map[*Record]dropRank, len(records))
	groups := map[string][]*Record{}
	for _, r := range records {
		switch {
		case !r.Removed.IsZero():
			ranks[r] = dropRank{class: dropRemoved}
		case len(r.Addresses) == 0:
			ranks[r] = dropRank{class: dropEmpty}
		case r.Reached():
			ranks[r] = dropRank{class: dropReached}
		default:
			group := crowd(r)
			groups[group] = append(groups[group], r)
		}
	}
	for _, group := range groups {
		slices.SortFunc(group, compareAge)
		for i, r := range group {
			ranks[r] = dropRank{class: dropUnreached, crowd: len(group) - 1 - i}
		}
	}
	return ranks
}

// crowd is whom a peer competes with for room. Onion addresses cost nothing,
// so all of them are one crowd.
func crowd(r *Record) string {
	group := Netgroup(r.Addresses[0].Addr)
	if kind, _, _ := bytes.Cut([]byte(group), []byte(":")); string(kind) == groupOnion {
		return groupOnion
	}
	return group
}

// compareAge orders by when we last met, and else by when we first heard.
func compareAge(x, y *Record) int {
	return cmp.Or(x.LastSeen.Compare(y.LastSeen), x.AddedAt.Compare(y.AddedAt), bytes.Compare(x.Key.Bytes(), y.Key.Bytes()))
}

// set puts a record into the index. b.mu is held.
func (b *Book) set(r *Record) {
	if _, known := b.peers[r.Key]; !known {
		if node := r.NodeID(); b.nodes[node].IsZero() {
			b.nodes[node] = r.Key
		}
	}
	b.peers[r.Key] = r
}

// drop takes a record out of the book. b.change is held.
func (b *Book) drop(r *Record) {
	node := r.NodeID()
	b.mu.Lock()
	delete(b.peers, r.Key)
	if b.nodes[node] == r.Key {
		delete(b.nodes, node)
	}
	b.mu.Unlock()
	b.bans -= banCount(r)
	b.pending[r.Key] = nil
	b.changes++
}
