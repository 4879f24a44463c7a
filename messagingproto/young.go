package messagingproto

import (
	"errors"
	"os"
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
// again if the peer resets the stream in that time, or if the connection is one that we
// dialed and it ends, and one that the peer dialed stands beside it. The peer
// may get some of it twice.
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

// part is what was written to one stream.
type part struct {
	stream  network.Stream
	batches []*batch
	bytes   int
	lost    time.Time // when the stream or its connection ended; the peer's connection may still come
}

func isYoung(c network.Conn) bool { return time.Since(c.Stat().Opened) < tieWindow }

// keepYoung keeps a batch that was written to a stream of a young connection. It
// returns false if the connection is none, or too much is kept already.
func (s *Service) keepYoung(stream network.Stream, b *batch) bool {
	if !isYoung(stream.Conn()) {
		return false
	}
	p := stream.Conn().RemotePeer()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	y := s.young[p]
	if y == nil {
		y = &young{}
		y.timer = time.AfterFunc(3*tieWindow, func() { s.forgetYoung(p, y) })
		s.young[p] = y
	}
	var kept *part
	for _, k := range y.parts {
		if k.stream == stream {
			kept = k
		}
	}
	if kept == nil {
		if len(y.parts) == tieStreams || y.tries == tieTries {
			return false
		}
		kept = &part{stream: stream}
		y.parts = append(y.parts, kept)
		if !mannersOf[stream.Protocol()].endsOwnHalf {
			_ = stream.SetReadDeadline(time.Now().Add(tieWindow))
			s.work.Go(func() { s.watch(p, kept) })
		}
	}
	if kept.bytes+len(b.bytes) > tieBytes {
		return false
	}
	kept.batches = append(kept.batches, b)
	kept.bytes += len(b.bytes)
	return true
}

// watch waits for the peer to reset a stream, which has nothing to read, as long
// as its connection is young.
func (s *Service) watch(p peer.ID, k *part) {
	n, err := k.stream.Read(make([]byte, 1))
	var reset *network.StreamError
	if n > 0 || errors.Is(err, os.ErrDeadlineExceeded) || !errors.As(err, &reset) || !reset.Remote {
		return
	}
	s.mu.Lock()
	k.lost = time.Now()
	o := s.outboxes[p]
	s.mu.Unlock()
	if o != nil {
		o.mu.Lock()
		if o.stream == k.stream {
			o.changeStream(nil)
		}
		o.mu.Unlock()
	}
	_ = k.stream.Reset()
	s.sendAgain(p)
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
	if c.Stat().Direction != network.DirOutbound || !isYoung(c) {
		return
	}
	p := c.RemotePeer()
	s.mu.Lock()
	lost := false
	if y := s.young[p]; y != nil {
		for _, k := range y.parts {
			if k.stream.Conn() == c && endedByPeer(k.stream) {
				k.lost, lost = time.Now(), true
			}
		}
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

// endedByPeer says whether it was the peer that ended a stream's connection. If
// we did, for whatever reason, nothing is to be sent again.
func endedByPeer(s network.Stream) bool {
	_, err := s.Write(nil)
	ended, ok := errors.AsType[*network.ConnError](err)
	return ok && ended.Remote
}

// connected is called when there is a new connection: the one that won a tie
// can be ready here after the loser has ended.
func (s *Service) connected(_ network.Network, c network.Conn) {
	if c.Stat().Direction == network.DirInbound {
		s.sendAgain(c.RemotePeer())
	}
}

// sendAgain queues what was written to streams that are lost.
func (s *Service) sendAgain(p peer.ID) {
	var again []*batch
	s.mu.Lock()
	if y := s.young[p]; y != nil && !s.closed {
		left := y.parts[:0]
		for _, k := range y.parts {
			switch {
			case k.lost.IsZero():
				left = append(left, k)
			case time.Since(k.lost) < tieWindow:
				again = append(again, k.batches...)
			}
		}
		clear(y.parts[len(left):])
		y.parts = left
		if len(again) > 0 {
			y.tries++
		}
	}
	s.mu.Unlock()
	for _, b := range again {
		for _, m := range b.messages {
			// The sender was told already; a full queue cannot be reported any more.
			_, _ = s.enqueue(p, b.bytes[m.start+frameHeader:m.end], nil)
		}
		b.recycle()
	}
}
