package tari

import (
	"bytes"
	"context"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// tieLinger is how long a connection that lost a tie still serves its streams, as tari_comms 0.8 has it.
const tieLinger = 2 * time.Second

// oneDial is within what time connections in the same direction can be from one dial, as either side sees it.
const oneDial = 5 * time.Second

// tieOver is how long after the peer's connection a dial of ours may still go on: our choice, far below Session.StaleAfter of all
// dialects, so that what comes after that is no tie but a peer that has lost its connection.
const tieOver = time.Second

// ties makes the decisions about two connections one after the other.
type ties struct{ mu sync.Mutex }

// breakTie leaves one connection to a peer when both dialed each other at the same time. Both sides see the same two connections
// and keep the one that the lower node id dialed. Of two in the same direction the newer stays: the peer gave up the older. So it does
// if the older is past its Session.StaleAfter. But a dial can reach a peer at two addresses at nearly the same time, and the two sides
// see these connections in different orders: the one with the lower Session.Binding stays.
//
// The loser takes no new streams of ours at once (Conn.IsClosed says so), unless the winner ends before it. After tieLinger, when what
// was under way has had its time, it is closed, which sends what was written before.
func (h *Host) breakTie(newer network.Conn) {
	h.ties.mu.Lock()
	defer h.ties.mu.Unlock()
	for _, older := range h.swarm.ConnsToPeer(newer.RemotePeer()) {
		if older == newer || older.IsClosed() || newer.IsClosed() || older.Stat().Opened.After(newer.Stat().Opened) {
			continue
		}
		if h.keepsOlder(older, newer) {
			h.retire(newer, older)
		} else {
			h.retire(older, newer)
		}
	}
}

func (h *Host) keepsOlder(older, newer network.Conn) bool {
	dir := older.Stat().Direction
	age := newer.Stat().Opened.Sub(older.Stat().Opened)
	var session *dialect.Session
	known := older.As(&session)
	if dir == newer.Stat().Direction {
		var other *dialect.Session
		return known && newer.As(&other) && age < oneDial && bytes.Compare(session.Binding, other.Binding) < 0
	}
	if known && session.StaleAfter > 0 && age >= session.StaleAfter {
		return false
	}
	remote, err := tarikey.PublicKeyFromPeerID(older.RemotePeer())
	if err != nil {
		return false
	}
	us := h.key.Public().NodeID()
	weAreLower := us.Compare(remote.NodeID()) < 0
	return weAreLower == (dir == network.DirOutbound)
}

func (h *Host) retire(loser, winner network.Conn) {
	var c, to *conn
	if !loser.As(&c) || !winner.As(&to) {
		return
	}
	c.lostTo.Store(to)
	ended := make(chan struct{})
	c.atEnd(func() { close(ended) })
	h.background.Go(func() {
		linger := time.NewTimer(tieLinger)
		defer linger.Stop()
		select {
		case <-linger.C:
			if c.IsClosed() {
				loser.Close()
			} else {
				c.lostTo.Store(nil) // the winner is gone: this one stays
			}
		case <-ended: // the peer was quicker
		case <-h.closing.Done():
		}
	})
}

// How long a dial waits for a tie that it would lose: for handshakes that come in from the same address, and then for the peer to end
// one of the two connections.
const (
	tieForeseen = time.Second
	tieVerdict  = 250 * time.Millisecond
)

// foresee holds up a dial that would lose a tie until it is clear whether there is one. tari_comms ends one of two connections at once,
// with all that was written to it: its own dial, if it had not finished yet when ours came in, else ours.
func (u *upgrader) foresee(ctx context.Context, remote ma.Multiaddr, s *dialect.Session) {
	if u.key.Public().NodeID().Compare(s.Remote.NodeID()) < 0 {
		return // ours would stay
	}
	u.arrivals.settle(ctx, remote)
	if !u.cameIn(s.Remote.PeerID(), 0) {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, tieVerdict)
	defer cancel()
	look := time.NewTicker(5 * time.Millisecond)
	defer look.Stop()
	for !s.IsClosed() && u.cameIn(s.Remote.PeerID(), 0) {
		select {
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// cameIn reports whether there is a connection that the peer dialed, of at least that age.
func (h *Host) cameIn(p peer.ID, age time.Duration) bool {
	return slices.ContainsFunc(h.swarm.ConnsToPeer(p), func(c network.Conn) bool {
		return c.Stat().Direction == network.DirInbound && !c.IsClosed() && time.Since(c.Stat().Opened) >= age
	})
}

// arrivals knows from which addresses handshakes are coming in.
type arrivals struct {
	mu      sync.Mutex
	from    map[netip.Addr]int
	changed chan struct{} // closed and replaced when a count falls
}

// enter counts a handshake until leave is called, which more than once is once.
func (a *arrivals) enter(remote ma.Multiaddr) (leave func()) {
	ip, ok := ipOf(remote)
	if !ok {
		return func() {}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.from == nil {
		a.from, a.changed = make(map[netip.Addr]int), make(chan struct{})
	}
	a.from[ip]++
	return sync.OnceFunc(func() {
		a.mu.Lock()
		defer a.mu.Unlock()
		if a.from[ip]--; a.from[ip] == 0 {
			delete(a.from, ip)
		}
		close(a.changed)
		a.changed = make(chan struct{})
	})
}

// settle returns when no handshake from that address is under way, at the latest after tieForeseen.
func (a *arrivals) settle(ctx context.Context, remote ma.Multiaddr) {
	ip, ok := ipOf(remote)
	if !ok {
		return
	}
	var limit <-chan time.Time // once there is something to wait for
	for {
		a.mu.Lock()
		n, changed := a.from[ip], a.changed
		a.mu.Unlock()
		if n == 0 {
			return
		}
		if limit == nil {
			timer := time.NewTimer(tieForeseen)
			defer timer.Stop()
			limit = timer.C
		}
		select {
		case <-changed:
		case <-limit:
			return
		case <-ctx.Done():
			return
		}
	}
}

func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	return addr.Unmap(), ok
}
