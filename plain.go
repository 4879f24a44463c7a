package tari

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Libp2p makes connections with peers that speak plain libp2p, as go-libp2p's own upgrader does. Package plainlibp2p has one.
type Libp2p interface {
	// Upgrade is that of go-libp2p's transport.Upgrader. From an inbound connection nothing has been read.
	Upgrade(ctx context.Context, t transport.Transport, raw manet.Conn, dir network.Direction, expect peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error)
}

// multistreamByte is how each connection of plain libp2p begins: the length of "/multistream/1.0.0\n".
const multistreamByte byte = 0x13

// errPlain says that an inbound connection speaks plain libp2p.
var errPlain = errors.New("speaks plain libp2p")

// dialsPlain reports whether a connection that we opened is to speak plain libp2p. The peer's id decides, never a failure: it
// belongs either to a Tari key or to another.
func (u *upgrader) dialsPlain(dir network.Direction, expect peer.ID) bool {
	return u.limits.Libp2p != nil && dir == network.DirOutbound && !isTari(expect)
}

func isTari(p peer.ID) bool {
	_, err := tarikey.PublicKeyFromPeerID(p)
	return err == nil
}

// plain has Limits.Libp2p make the connection. Like Upgrade it closes raw and scope when it fails.
func (h *handshake) plain(budget context.Context, t transport.Transport, raw manet.Conn) (transport.CapableConn, error) {
	c, err := h.u.limits.Libp2p.Upgrade(budget, t, raw, h.dir, h.expect, h.scope)
	if err == nil {
		h.remote = c.RemotePeer()
		if err = h.admitPlain(c); err != nil {
			c.Close()
		}
	}
	if err != nil {
		raw.Close()
		h.scope.Done()
		err = &UpgradeError{Stages: h.stages, Err: fmt.Errorf("plain libp2p: %w", err)}
		h.failed(err)
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	ours := &plainConn{CapableConn: c}
	ended := h.u.ended
	ours.atEnd(func() { ended(ours.RemotePeer()) })
	return ours, nil
}

// errTariKey: the connection would be taken for one on which the peer's claim was heard.
var errTariKey = errors.New("the peer has a Tari key, and with it has to speak Tari")

func (h *handshake) admitPlain(c transport.CapableConn) error {
	if isTari(h.remote) {
		return errTariKey
	}
	if g := h.u.gater; g != nil && !g.InterceptSecured(h.dir, h.remote, c) {
		return ErrRefused
	}
	return nil
}

// unread is a connection whose first byte has been read, and is read again.
type unread struct {
	manet.Conn
	first byte
	done  bool
}

func (c *unread) Read(p []byte) (int, error) {
	if c.done || len(p) == 0 {
		return c.Conn.Read(p)
	}
	c.done = true
	p[0] = c.first
	return 1, nil
}

// plainConn is a connection with a peer of plain libp2p.
type plainConn struct {
	transport.CapableConn
	endings
}

func (c *plainConn) Close() error {
	defer c.run()
	return c.CapableConn.Close()
}

// CloseWithError is Close, with a reason for the peer.
func (c *plainConn) CloseWithError(code network.ConnErrorCode) error {
	defer c.run()
	return c.CapableConn.CloseWithError(code)
}

// speaksPlain says how substreams are negotiated on a connection: by multistream-select, or the Tari way.
func speaksPlain(c network.Conn) bool { return c.ConnState().Security != SecurityID }

// negotiatePlain is Negotiate by multistream-select.
func (t *handlers) negotiatePlain(rwc io.ReadWriteCloser) (protocol.ID, protocol.HandlerFunc, error) {
	var handle protocol.HandlerFunc
	mux := multistream.NewMultistreamMuxer[protocol.ID]()
	mux.AddHandlerWithFunc("", func(id protocol.ID) bool {
		handle = t.find(id)
		return handle != nil
	}, nil)
	id, _, err := mux.Negotiate(rwc)
	return id, handle, err
}
