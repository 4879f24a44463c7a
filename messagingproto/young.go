package messagingproto

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// When two peers dial each other at the same time one of the two connections
// goes. tari_comms 6 ends its loser at once, with all that was written to it and
// not read. It may also end our stream on the winner, which it takes for the one
// on the loser.
//
// So what is written to a young connection is kept for a moment. It is sent
// again if the peer resets the stream in that time, or if the peer ends the
// connection and another stands beside it, or comes from the other side. The
// peer may get some of it twice.
const (
	tieWindow  = time.Second // how long a connection is young
	tieBytes   = 1 << 20     // kept of a stream; what is beyond is not sent again
	tieStreams = 4           // whose messages are kept, of a peer
	tieTries   = 3           // times that a peer is sent something again for one tie
)

// young is what was written to the young connections of a peer.
type young struct {
	parts []*part
	tries int
	timer *time.Timer // forgets all this
}

// part is what was written to one stream and not yet sent again.
type part struct {
	stream  network.Stream
	batches []*batch
	bytes   int
	lost    time.Time // when the stream or its connection ended
	reset   bool      // it was the stream
}

func isYoung(c network.Conn) bool { return time.Since(c.Stat().Opened) < tieWindow }

// keepYoung keeps a batch that was written to a stream of a young connection. It
// returns false if the connection is none, or too much is kept already.
func (s *Service) keepYoung(stream network.Stream, b *batch) bool {
	c := stream.Conn()
	if !isYoung(c) {
		return false
	}
	p := c.RemotePeer()
	s.mu.Lock()
	k := s.youngPart(p, stream)
	kept := k != nil && k.bytes+len(b.bytes) <= tieBytes
	wasReset := false
	if kept {
		k.batches = append(k.batches, b)
		k.bytes += len(b.bytes)
		wasReset = k.reset
	}
	s.mu.Unlock()
	switch { // the end may have come while this was written
	case !kept:
	case wasReset:
		s.sendAgain(p)
	case c.IsClosed():
		s.lostYoung(c)
	}
	return kept
}

// youngPart returns where to keep what is written to a stream, or nil. s.mu is
// held.
func (s *Service) youngPart(p peer.ID, stream network.Stream) *part {
	if s.closed {
		return nil
	}
	y := s.young[p]
	if y == nil {
		y = &young{}
		y.timer = time.AfterFunc(3*tieWindow, func() { s.forgetYoung(p, y) })
		s.young[p] = y
	}
	for _, k := range y.parts {
		if k.stream == stream {
			return k
		}
	}
	if len(y.parts) == tieStreams || y.tries == tieTries {
		return nil
	}
	k := &part{stream: stream}
	y.parts = append(y.parts, k)
	if !mannersOf[stream.Protocol()].endsOwnHalf {
		_ = stream.SetReadDeadline(time.Now().Add(tieWindow))
		s.work.Go(func() { s.watch(p, stream) })
	}
	return k
}

func (s *Service) forgetYoung(p peer.ID, y *young) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.young[p] == y {
		delete(s.young, p)
	}
}

// watch waits for the peer to reset a stream, which has nothing to read, as long
// as its connection is young.
func (s *Service) watch(p peer.ID, stream network.Stream) {
	n, err := stream.Read(make([]byte, 1))
	reset, ok := errors.AsType[*network.StreamError](err)
	if n > 0 || !ok || !reset.Remote {
		return
	}
	s.mu.Lock()
	o := s.outboxes[p]
	s.mu.Unlock()
	if o != nil {
		o.mu.Lock()
		if o.stream == stream {
			o.changeStream(nil)
		}
		o.mu.Unlock()
	}
	_ = stream.Reset()
	s.resetYoung(stream)
}

// resetYoung is called when the peer has reset a stream.
func (s *Service) resetYoung(stream network.Stream) {
	s.lose(stream.Conn().RemotePeer(), true, func(k *part) bool { return k.stream == stream })
}

// lostYoung is called when a connection has ended. Only the peer's doing counts:
// after a connection that we ended nothing is to be sent again.
func (s *Service) lostYoung(c network.Conn) {
	if isYoung(c) && endedByPeer(c) {
		s.lose(c.RemotePeer(), false, func(k *part) bool { return k.stream.Conn() == c })
	}
}

// lose notes which parts are lost, by a reset of the stream or with their
// connection, and sends again what may be.
func (s *Service) lose(p peer.ID, reset bool, which func(*part) bool) {
	s.mu.Lock()
	found := false
	if y := s.young[p]; y != nil {
		for _, k := range y.parts {
			if which(k) {
				k.lost, k.reset, found = time.Now(), k.reset || reset, true
			}
		}
	}
	s.mu.Unlock()
	if found {
		s.sendAgain(p)
	}
}

// endedByPeer says whether a connection has ended and it was the peer's doing. A
// connection that has ended opens no stream, and says why.
func endedByPeer(c network.Conn) bool {
	stream, err := c.NewStream(context.Background())
	if err == nil {
		_ = stream.Reset()
		return false
	}
	ended, ok := errors.AsType[*network.ConnError](err)
	return ok && ended.Remote
}

// connected is called when there is a new connection: the one that won a tie
// can be ready here after the loser has ended.
func (s *Service) connected(_ network.Network, c network.Conn) {
	p := c.RemotePeer()
	s.mu.Lock()
	y := s.young[p]
	s.mu.Unlock()
	if y != nil {
		s.sendAgain(p)
	}
}

// sendAgain queues what was written to streams that the peer reset, and to
// connections that it ended if one that was dialed from the other side is there,
// or one from the same side stood beside it: a peer that dials two addresses at
// once gives one connection up when it has the other.
func (s *Service) sendAgain(p peer.ID) {
	conns := s.host.Network().ConnsToPeer(p)
	tied := func(c network.Conn, ended time.Time) bool {
		return slices.ContainsFunc(conns, func(other network.Conn) bool {
			crossed := other.Stat().Direction != c.Stat().Direction
			return other != c && !other.IsClosed() && (crossed || !other.Stat().Opened.After(ended))
		})
	}
	var again []*batch
	s.mu.Lock()
	if y := s.young[p]; y != nil && !s.closed {
		for _, k := range y.parts {
			due := !k.lost.IsZero() && time.Since(k.lost) < tieWindow
			if due && (k.reset || tied(k.stream.Conn(), k.lost)) {
				again = append(again, k.batches...)
				k.batches, k.bytes = nil, 0
			}
		}
		if len(again) > 0 {
			y.tries++
		}
	}
	s.mu.Unlock()
	for _, b := range again {
		for _, m := range b.messages {
			// The sender was told already; a full queue cannot be reported any more.
			_, _ = s.enqueue(p, b.bytes[m.start+frameHeader:m.end], sentBefore)
		}
		b.recycle()
	}
}
