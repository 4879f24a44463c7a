package tari

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// spareAge is how long a connection is left alone, so that whoever came has time to say something.
const spareAge = time.Minute

// spares are the established connections, so many at most, that may be closed for a newcomer from a source that has none: those of sources that have
// several, on which nothing was going on after their first minute. Those of the source that has most are first, the oldest before the
// others.
//
// Sixteen sources with 32 connections each would otherwise shut everybody else out for as long as they like. Now they keep what they
// use, and of the rest one each. What an attacker gains by it is little: every connection it displaces costs it a source of its own and
// a whole handshake, only idle ones are lost, and no source loses its last. A stream that is kept open keeps the connection; so do tags
// and protection in Host.ConnManager.
func (a *admission) spares(most int) []*ticket {
	a.mu.Lock()
	var crowds [][]*ticket
	for _, of := range a.sources {
		if len(of.settled) > 1 {
			crowds = append(crowds, slices.Clone(of.settled))
		}
	}
	a.mu.Unlock()
	slices.SortFunc(crowds, func(x, y []*ticket) int { return cmp.Compare(len(y), len(x)) })
	var spare []*ticket
	for _, t := range slices.Concat(crowds...) {
		if len(spare) < most && time.Since(t.since) >= spareAge && t.spare() { // asks others, who have mutexes of their own
			spare = append(spare, t)
		}
	}
	if len(spare) == 0 {
		a.mu.Lock()
		a.noneSpare = time.Now()
		a.mu.Unlock()
	}
	return spare
}

// oneOfSeveral reports whether the source would keep another. It is called with the mutex held.
func (t *ticket) oneOfSeveral() bool {
	return !t.returned && len(t.from.sources[t.source].settled) > 1
}

// crowdsOut reports whether a newcomer from the source finds all places taken, and none of them by that source. Whoever is not counted
// by source is not asked about: it would have no end of newcomers. Nor is
// anybody soon after a search that found nothing to spare, so that a flood does not make us search all the time.
func (a *admission) crowdsOut(source netip.Prefix) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return source.IsValid() && a.total >= a.limits.Inbound && a.sources[source] == nil && time.Since(a.noneSpare) >= time.Second
}

// spare reports whether connections to a peer may be closed to make room: there is no stream, and the connection manager was told nothing
// in favour of the peer.
func (h *Host) spare(p peer.ID) bool {
	if h.conns.IsProtected(p, "") {
		return false
	}
	if tags := h.conns.GetTagInfo(p); tags != nil && tags.Value > 0 {
		return false
	}
	return !slices.ContainsFunc(h.swarm.ConnsToPeer(p), func(c network.Conn) bool { return c.Stat().NumStreams > 0 })
}
