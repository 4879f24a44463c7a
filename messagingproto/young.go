package messagingproto

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// When two peers dial each other at the same time one of the two connections
// goes. tari_comms ends its loser at once, with all that was written to it and
// not read. So what is written to a connection that we dialed is kept while the
// connection is younger than tieWindow; should it end within that time, and one that
// the peer dialed stand beside it, that is sent again. The peer may get some of it twice.
const (
	tieWindow = time.Second
	tieBytes  = 1 << 20 // kept for one peer; what is beyond is not sent again
)

// young is what was written to a young connection.
type young struct {
	conn    network.Conn
	batches []*batch
	bytes   int
	lost    bool // the connection has ended; the peer's may still come
	timer   *time.Timer
}

// mayLoseTie says whether a connection is one that a tie can still end.
func mayLoseTie(c network.Conn) bool {
	s := c.Stat()
	return s.Direction == network.DirOutbound && time.Since(s.Opened) < tieWindow
}

// keepYoung keeps a batch that was written to a young connection. It returns
// false if the connection is none, or too much is kept already.
func (s *Service) keepYoung(c network.Conn, b *batch) bool {
	if !mayLoseTie(c) {
		return false
	}
	p := c.RemotePeer()
	s.mu.Lock()
	defer s.mu.Unlock()
	y := s.young[p]
	if s.closed || y != nil && y.conn == c && y.bytes+len(b.bytes) > tieBytes || len(b.bytes) > tieBytes {
		return false
	}
	if y == nil || y.conn != c {
		if y != nil {
			y.timer.Stop()
		}
		y = &young{conn: c}
		y.timer = time.AfterFunc(2*tieWindow, func() { s.forgetYoung(p, y) })
		s.young[p] = y
	}
	y.batches = append(y.batches, b)
	y.bytes += len(b.bytes)
	return true
}

func (s *Service) forgetYoung(p peer.ID, y *young) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young[p] == y {
		delete(s.young, p)
	}
}

// lostYoung is called when a connection has ended.
func (s *Service) lostYoung(c network.Conn) {
	p := c.RemotePeer()
	s.mu.Lock()
	y := s.young[p]
	lost := y != nil && y.conn == c && mayLoseTie(c)
	if lost {
		y.lost = true
	}
	s.mu.Unlock()
	if !lost {
		return
	}
	for _, other := range s.host.Network().ConnsToPeer(p) {
		if other.Stat().Direction == network.DirInbound && !other.IsClosed() {
			s.sendAgain(p)
			return
		}
	}
}

// connected is called when there is a new connection: the one that won a tie
// can be ready here after the loser has ended.
func (s *Service) connected(_ network.Network, c network.Conn) {
	if c.Stat().Direction == network.DirInbound {
		s.sendAgain(c.RemotePeer())
	}
}

// sendAgain queues what was written to a young connection that has ended.
func (s *Service) sendAgain(p peer.ID) {
	s.mu.Lock()
	y := s.young[p]
	if y == nil || !y.lost {
		s.mu.Unlock()
		return
	}
	delete(s.young, p)
	s.mu.Unlock()
	y.timer.Stop()
	for _, b := range y.batches {
		for _, m := range b.messages {
			// The sender was told already; a full queue cannot be reported any more.
			_, _ = s.enqueue(p, b.bytes[m.start+frameHeader:m.end], nil)
		}
		b.recycle()
	}
}
