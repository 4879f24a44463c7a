package tari

import (
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// tieLinger is how long a connection that lost a tie still serves its streams, as tari_comms 0.8 has it.
const tieLinger = 2 * time.Second

// ties makes the decisions about two connections one after the other.
type ties struct{ mu sync.Mutex }

// breakTie leaves one connection to a peer when both dialed each other at the same time. Both sides see the same two connections
// and keep the one that the lower node id dialed. Of two in the same direction the newer stays: the peer gave up the older. So it does
// if the older is past its Session.StaleAfter.
//
// The loser takes no new streams of ours at once (Conn.IsClosed says so) and is closed after tieLinger, when what was under way has had
// its time; closing it sends what was written before.
func (h *Host) breakTie(newer network.Conn) {
	h.ties.mu.Lock()
	defer h.ties.mu.Unlock()
	for _, older := range h.swarm.ConnsToPeer(newer.RemotePeer()) {
		if older == newer || older.IsClosed() || newer.IsClosed() || older.Stat().Opened.After(newer.Stat().Opened) {
			continue
		}
		loser := older
		if h.keepsOlder(older, newer) {
			loser = newer
		}
		h.retire(loser)
	}
}

func (h *Host) keepsOlder(older, newer network.Conn) bool {
	dir := older.Stat().Direction
	if dir == newer.Stat().Direction {
		return false
	}
	var session *dialect.Session
	age := newer.Stat().Opened.Sub(older.Stat().Opened)
	if older.As(&session) && session.StaleAfter > 0 && age >= session.StaleAfter {
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

func (h *Host) retire(loser network.Conn) {
	var c *conn
	if !loser.As(&c) || c.retired.Swap(true) {
		return
	}
	h.background.Go(func() {
		linger := time.NewTimer(tieLinger)
		defer linger.Stop()
		ended := make(chan struct{})
		c.atEnd(func() { close(ended) })
		select {
		case <-linger.C:
			loser.Close()
		case <-ended: // the peer was quicker
		case <-h.closing.Done():
		}
	})
}
