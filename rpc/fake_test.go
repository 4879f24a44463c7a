package rpc

import (
	"context"
	"errors"
	"io"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// fakeHost is a host whose streams are bounded pipes in memory, all to itself:
// the peer that NewStream names is the one the stream comes from. They block in
// ways that testing/synctest understands.
type fakeHost struct {
	mu       sync.Mutex
	handlers map[protocol.ID]network.StreamHandler
	serving  sync.WaitGroup
}

func newFakeHost(t *testing.T) *fakeHost {
	h := &fakeHost{handlers: map[protocol.ID]network.StreamHandler{}}
	t.Cleanup(h.serving.Wait)
	return h
}

func (h *fakeHost) SetStreamHandler(id protocol.ID, f network.StreamHandler) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.handlers[id] = f
}

func (h *fakeHost) RemoveStreamHandler(id protocol.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.handlers, id)
}

func (h *fakeHost) NewStream(ctx context.Context, p peer.ID, ids ...protocol.ID) (network.Stream, error) {
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return h.open(p, ids[0])
}

func (h *fakeHost) open(p peer.ID, id protocol.ID) (*fakeStream, error) {
	h.mu.Lock()
	handler := h.handlers[id]
	h.mu.Unlock()
	if handler == nil {
		return nil, errors.New("protocol not supported")
	}
	ours, theirs := streamPair(p)
	h.serving.Go(func() { handler(theirs) })
	return ours, nil
}

func streamPair(p peer.ID) (ours, theirs *fakeStream) {
	a, b := newPipe(), newPipe()
	return &fakeStream{peer: p, in: a, out: b}, &fakeStream{peer: p, in: b, out: a}
}

type fakeConn struct {
	network.Conn
	peer peer.ID
}

func (c fakeConn) RemotePeer() peer.ID { return c.peer }
func (c fakeConn) As(any) bool         { return false }

type fakeStream struct {
	network.Stream
	peer    peer.ID
	in, out *pipe
}

func (s *fakeStream) Conn() network.Conn          { return fakeConn{peer: s.peer} }
func (s *fakeStream) Read(p []byte) (int, error)  { return s.in.read(p) }
func (s *fakeStream) Write(p []byte) (int, error) { return s.out.write(p) }

func (s *fakeStream) SetReadDeadline(t time.Time) error {
	s.in.setDeadline(&s.in.readBy, t)
	return nil
}

func (s *fakeStream) SetWriteDeadline(t time.Time) error {
	s.out.setDeadline(&s.out.writeBy, t)
	return nil
}

func (s *fakeStream) SetDeadline(t time.Time) error {
	return errors.Join(s.SetReadDeadline(t), s.SetWriteDeadline(t))
}

func (s *fakeStream) CloseWrite() error {
	s.out.end(nil)
	return nil
}

func (s *fakeStream) Close() error {
	s.in.end(errors.New("closed on this side"))
	return s.CloseWrite()
}

func (s *fakeStream) Reset() error {
	s.in.end(network.ErrReset)
	s.out.end(network.ErrReset)
	return nil
}

// pipe is one direction of a stream.
type pipe struct {
	mu              sync.Mutex
	cond            *sync.Cond
	buf             []byte
	window          int // how much may wait in buf
	eof             bool
	err             error
	readBy, writeBy time.Time
}

func newPipe() *pipe {
	p := &pipe{window: 64 << 10}
	p.cond = sync.NewCond(&p.mu)
	return p
}

// end lets what was written be read and nothing more be written, or neither.
func (p *pipe) end(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.eof = true
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

func (p *pipe) setDeadline(which *time.Time, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*which = t
	if time.Until(t) > 0 {
		time.AfterFunc(time.Until(t), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cond.Broadcast()
		})
	}
	p.cond.Broadcast()
}

func passed(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case p.err != nil:
			return 0, p.err
		case passed(p.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.cond.Broadcast()
			return n, nil
		case p.eof:
			return 0, io.EOF
		}
		p.cond.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for n < len(b) {
		room := min(p.window-len(p.buf), len(b)-n)
		switch {
		case p.err != nil:
			return n, p.err
		case p.eof:
			return n, errors.New("write on a closed stream")
		case passed(p.writeBy):
			return n, os.ErrDeadlineExceeded
		case room <= 0:
			p.cond.Wait()
			continue
		}
		p.buf = append(p.buf, b[n:n+room]...)
		n += room
		p.cond.Broadcast()
	}
	return n, nil
}
