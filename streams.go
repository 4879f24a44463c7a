package tari

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/multiformats/go-multistream"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// negotiation is how long both sides may take over the protocol of a substream, as tari_comms has it.
const negotiation = 10 * time.Second

// SetStreamHandler serves a protocol. Claims we make from now on list it, if it is among the first twenty and its id has at most 50
// bytes of printable ASCII without a comma.
func (h *Host) SetStreamHandler(pid protocol.ID, handler network.StreamHandler) {
	h.mux.AddHandler(pid, streamHandler(handler))
	_ = h.protocols.Emit(event.EvtLocalProtocolsUpdated{Added: []protocol.ID{pid}})
}

// SetStreamHandlerMatch serves all protocols for which match returns true. Claims do not list them.
func (h *Host) SetStreamHandlerMatch(pid protocol.ID, match func(protocol.ID) bool, handler network.StreamHandler) {
	h.mux.AddHandlerWithFunc(pid, match, streamHandler(handler))
	_ = h.protocols.Emit(event.EvtLocalProtocolsUpdated{Added: []protocol.ID{pid}})
}

// RemoveStreamHandler stops serving what was registered under pid.
func (h *Host) RemoveStreamHandler(pid protocol.ID) {
	h.mux.RemoveHandler(pid)
	_ = h.protocols.Emit(event.EvtLocalProtocolsUpdated{Removed: []protocol.ID{pid}})
}

func streamHandler(handler network.StreamHandler) protocol.HandlerFunc {
	return func(id protocol.ID, rwc io.ReadWriteCloser) error {
		handler(rwc.(network.Stream))
		return nil
	}
}

// NewStream opens a stream to the peer, dialing it first if need be, and agrees on one of the protocols in the order given.
//
// If the peer's claim lists one of them, that one is taken without waiting for an answer: its name travels with the first bytes
// written, and should the peer refuse after all, the stream shows it on the first Read. Otherwise NewStream negotiates, for at most
// 10 s. A peer that knows none of them is a multistream.ErrNotSupported. No protocol, or an empty one, means a bare stream.
func (h *Host) NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error) {
	if h.closing.Err() != nil {
		return nil, ErrClosed
	}
	s, err := h.newStream(ctx, p)
	if err != nil {
		return nil, err
	}
	if len(pids) == 0 || pids[0] == "" {
		return s, nil
	}
	opened, err := h.open(ctx, s, pids)
	if err != nil {
		_ = s.ResetWithError(network.StreamProtocolNegotiationFailed)
		h.Offence(p, err)
		return nil, err
	}
	return opened, nil
}

// newStream dials if there is no connection, once more if that ends before the stream is open.
func (h *Host) newStream(ctx context.Context, p peer.ID) (network.Stream, error) {
	ctx, done := h.whileOpen(ctx)
	defer done()
	no, _ := network.GetNoDial(ctx)
	ready := no || h.swarm.Connectedness(p) == network.Connected
	for try := 1; ; try++ {
		if !ready {
			if err := h.dial(ctx, p, nil, nil); err != nil {
				return nil, err
			}
		}
		s, err := h.swarm.NewStream(network.WithNoDial(ctx, "no dial but the host's"), p)
		switch {
		case err == nil:
			return s, nil
		case h.closing.Err() != nil:
			return nil, ErrClosed
		case no || try == 3 || !errors.Is(err, network.ErrNoConn):
			return nil, err
		}
		ready = false
	}
}

func (h *Host) open(ctx context.Context, s network.Stream, pids []protocol.ID) (network.Stream, error) {
	var session *dialect.Session
	if s.Conn().As(&session) {
		for _, id := range pids {
			if !slices.Contains(session.Claim.Protocols, id) {
				continue
			}
			hello, err := tariproto.AppendOptimistic(nil, id)
			if err != nil {
				return nil, err
			}
			return &optimisticStream{Stream: s, hello: hello}, s.SetProtocol(id)
		}
	}
	id, err := selectProtocol(ctx, s, pids)
	if err != nil {
		return nil, err
	}
	return s, s.SetProtocol(id)
}

// selectProtocol negotiates within ctx and the negotiation's own limit, the way of the connection.
func selectProtocol(ctx context.Context, s network.Stream, pids []protocol.ID) (protocol.ID, error) {
	ctx, cancel := context.WithTimeout(ctx, negotiation)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = s.SetDeadline(time.Unix(1, 0)) })
	var id protocol.ID
	var err error
	if speaksPlain(s.Conn()) {
		id, err = multistream.SelectOneOf(pids, s)
	} else {
		id, err = tariproto.Select(s, pids...)
	}
	if !stop() {
		return "", fmt.Errorf("tari: negotiating a protocol: %w", ctx.Err())
	}
	if errors.Is(err, tariproto.ErrNotSupported) {
		return "", multistream.ErrNotSupported[protocol.ID]{Protos: pids}
	}
	return id, err
}

// serve runs on the goroutine of each inbound stream.
func (h *Host) serve(s network.Stream) {
	_ = s.SetDeadline(time.Now().Add(negotiation))
	negotiate := h.mux.Negotiate
	if speaksPlain(s.Conn()) {
		negotiate = h.mux.negotiatePlain
	}
	id, handle, err := negotiate(s)
	if err == nil {
		err = s.SetProtocol(id)
	}
	if err != nil {
		_ = s.ResetWithError(network.StreamProtocolNegotiationFailed)
		h.Offence(s.Conn().RemotePeer(), err)
		return
	}
	_ = s.SetDeadline(time.Time{})
	_ = handle(id, s)
}

// optimisticStream sends its protocol's name together with the first bytes written, or before the first read or close.
type optimisticStream struct {
	network.Stream

	said  atomic.Bool
	mu    sync.Mutex // held while hello is sent
	hello []byte
}

// joined is how many bytes at most are copied to travel in one write with the name.
const joined = 4096

// hi sends the name, with the bytes of p if they are few. It returns how many of p were written.
func (s *optimisticStream) hi(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.said.Load() {
		return 0, nil
	}
	if len(p) > joined {
		p = nil
	}
	n, err := s.Stream.Write(append(s.hello, p...))
	s.said.Store(true)
	return max(n-len(s.hello), 0), err
}

func (s *optimisticStream) Write(p []byte) (n int, err error) {
	if !s.said.Load() {
		if n, err = s.hi(p); err != nil || (n == len(p) && n > 0) {
			return n, err
		}
	}
	m, err := s.Stream.Write(p[n:])
	return n + m, err
}

func (s *optimisticStream) Read(p []byte) (int, error) {
	if !s.said.Load() {
		if _, err := s.hi(nil); err != nil {
			return 0, err
		}
	}
	return s.Stream.Read(p)
}

func (s *optimisticStream) CloseWrite() error {
	if !s.said.Load() {
		if _, err := s.hi(nil); err != nil {
			return err
		}
	}
	return s.Stream.CloseWrite()
}

func (s *optimisticStream) Close() error {
	if !s.said.Load() {
		_, _ = s.hi(nil)
	}
	return s.Stream.Close()
}
