package tari

import (
	"context"
	"errors"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// ErrOpeningLost is what NewStreamWith returns when the peer is connected, but not by the connection on which first was sent: the peer
// may have got it or not.
var ErrOpeningLost = errors.New("tari: the connection that carried the first bytes of a stream is not the one that stayed")

// NewStreamWith is NewStream for one protocol, with the first bytes to be written. Where a dial is needed they travel with the handshake's
// last message, so that an answer is there two round trips after the connection, and not three: half a second less through Tor.
//
// By then the peer has proven its key, and the gater let it pass, but its claim has not been read. So the protocol is not negotiated: a peer
// that does not know it resets the stream, as the first Read shows. An error does not mean that the peer has not got first, and a
// connection that loses a tie may lose it: this is for requests, whose answer says that they arrived, and that may be repeated. More
// than 16 KB, and a peer of the seed dialect, get it when the connection is ready, as with NewStream and a Write.
func (h *Host) NewStreamWith(ctx context.Context, p peer.ID, pid protocol.ID, first []byte) (network.Stream, error) {
	said, err := tariproto.AppendOptimistic(nil, pid)
	if err != nil {
		return nil, err
	}
	said = append(said, first...)
	if no, _ := network.GetNoDial(ctx); no || len(said) > dialect.MaxOpening || h.swarm.Connectedness(p) == network.Connected {
		return h.newStreamThen(ctx, p, pid, first)
	}
	o := &opening{said: said}
	defer o.leave()
	if err := h.dial(ctx, p, nil, o); err != nil {
		return nil, err
	}
	c, taken := o.claim()
	if !taken {
		return h.newStreamThen(ctx, p, pid, first)
	}
	for _, one := range h.swarm.ConnsToPeer(p) {
		var ours *conn
		if c == nil || !one.As(&ours) || ours != c {
			continue
		}
		s, err := one.NewStream(context.WithValue(ctx, openingKey{}, o))
		if err != nil {
			_ = c.Opened.Reset()
			return nil, err
		}
		return s, s.SetProtocol(pid)
	}
	return nil, ErrOpeningLost
}

// newStreamThen is NewStream and a Write.
func (h *Host) newStreamThen(ctx context.Context, p peer.ID, pid protocol.ID, first []byte) (network.Stream, error) {
	s, err := h.NewStream(ctx, p, pid)
	if err != nil {
		return nil, err
	}
	if _, err := s.Write(first); err != nil {
		_ = s.Reset()
		return nil, err
	}
	return s, nil
}

// opening is what a dial says in the first flight: on one connection at most, of those that are tried.
type opening struct {
	said []byte

	mu    sync.Mutex
	taken bool
	left  bool  // nobody waits for the stream
	conn  *conn // that carried it, once it is ready
}

// openingKey marks the context by which NewStreamWith has its stream from the connection.
type openingKey struct{}

// take returns what is to be said, once.
func (o *opening) take() []byte {
	if o == nil {
		return nil
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.taken || o.left {
		return nil
	}
	o.taken = true
	return o.said
}

// ready is told of the connection.
func (o *opening) ready(c *conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.left {
		_ = c.Opened.Reset()
	} else {
		o.conn = c
	}
}

// claim returns the connection, which is nil if it is not ready or never was.
func (o *opening) claim() (c *conn, taken bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	c, o.conn = o.conn, nil
	return c, o.taken
}

// leave resets a stream that was not claimed, now or when it comes.
func (o *opening) leave() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.left = true
	if o.conn != nil {
		_ = o.conn.Opened.Reset()
	}
}
