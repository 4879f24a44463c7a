package messagingproto

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeNet joins fake hosts whose streams are bounded pipes in memory. They block
// in ways that testing/synctest understands, and they fail when told to.
type fakeNet struct {
	mu    sync.Mutex
	hosts map[peer.ID]*fakeHost
	conns map[[2]peer.ID]*fakeConn
}

func newFakeNet() *fakeNet {
	return &fakeNet{hosts: make(map[peer.ID]*fakeHost), conns: make(map[[2]peer.ID]*fakeConn)}
}

type fakeHost struct {
	seconds   map[peer.ID]*fakeConn // a second connection to a peer
	host.Host                       // nil: whatever is not below is not used
	net       *fakeNet
	id        peer.ID

	mu       sync.Mutex
	dial     func(ctx context.Context, n int) error // if set, asked before the n-th stream is opened
	opened   func(n int, s *fakeStream)             // if set, told of the n-th stream
	opens    int
	handlers map[protocol.ID]network.StreamHandler
	notifees []network.Notifiee
	serving  sync.WaitGroup
}

func (f *fakeNet) host(id peer.ID) *fakeHost {
	h := &fakeHost{net: f, id: id, handlers: make(map[protocol.ID]network.StreamHandler)}
	f.hosts[id] = h
	return h
}

type fakeNetwork struct {
	network.Network
	h *fakeHost
}

func (h *fakeHost) ID() peer.ID              { return h.id }
func (h *fakeHost) Network() network.Network { return fakeNetwork{h: h} }

func (n fakeNetwork) Notify(f network.Notifiee) {
	n.h.mu.Lock()
	defer n.h.mu.Unlock()
	n.h.notifees = append(n.h.notifees, f)
}

// ConnsToPeer is the second connection to a peer, if a test has made one.
func (n fakeNetwork) ConnsToPeer(p peer.ID) []network.Conn {
	n.h.mu.Lock()
	defer n.h.mu.Unlock()
	if c := n.h.seconds[p]; c != nil {
		return []network.Conn{c}
	}
	return nil
}

// second tells a host of a second connection to a peer.
func (h *fakeHost) second(to *fakeHost, dir network.Direction) {
	c := &fakeConn{local: h, remote: to, stat: network.Stats{Direction: dir, Opened: time.Now()}}
	h.mu.Lock()
	h.seconds = map[peer.ID]*fakeConn{to.id: c}
	notifees := slices.Clone(h.notifees)
	h.mu.Unlock()
	for _, n := range notifees {
		n.Connected(h.Network(), c)
	}
}

func (n fakeNetwork) StopNotify(f network.Notifiee) {
	n.h.mu.Lock()
	defer n.h.mu.Unlock()
	n.h.notifees = slices.DeleteFunc(n.h.notifees, func(o network.Notifiee) bool { return o == f })
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

func (h *fakeHost) NewStream(ctx context.Context, to peer.ID, ids ...protocol.ID) (network.Stream, error) {
	h.mu.Lock()
	h.opens++
	n, dial, opened := h.opens, h.dial, h.opened
	h.mu.Unlock()
	if dial != nil {
		if err := dial(ctx, n); err != nil {
			return nil, err
		}
	}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	remote := h.net.hosts[to]
	if remote == nil {
		return nil, errors.New("no such peer")
	}
	remote.mu.Lock()
	var id protocol.ID
	var handler network.StreamHandler
	for _, id = range ids {
		if handler = remote.handlers[id]; handler != nil {
			break
		}
	}
	remote.mu.Unlock()
	if handler == nil {
		return nil, errors.New("protocol not supported")
	}
	ours, theirs := h.net.conn(h, remote).pair(id)
	if opened != nil {
		opened(n, ours)
	}
	remote.serving.Go(func() { handler(theirs) })
	return ours, nil
}

// conn returns the connection between two hosts as seen by the first.
func (f *fakeNet) conn(from, to *fakeHost) *fakeConn {
	f.mu.Lock()
	defer f.mu.Unlock()
	key := [2]peer.ID{from.id, to.id}
	c := f.conns[key]
	if c == nil || c.IsClosed() {
		c = &fakeConn{local: from, remote: to}
		c.twin = &fakeConn{local: to, remote: from, twin: c}
		f.conns[key] = c
	}
	return c
}

type fakeConn struct {
	network.Conn
	local, remote *fakeHost
	twin          *fakeConn

	mu      sync.Mutex
	closed  bool
	ended   error
	stat    network.Stats
	streams []*fakeStream
}

func (c *fakeConn) RemotePeer() peer.ID { return c.remote.id }

func (c *fakeConn) Stat() network.ConnStats {
	c.mu.Lock()
	defer c.mu.Unlock()
	return network.ConnStats{Stats: c.stat}
}

// NewStream only says why there can be none.
func (c *fakeConn) NewStream(context.Context) (network.Stream, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		return nil, errors.New("no stream")
	}
	return nil, c.ended
}

func (c *fakeConn) IsClosed() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.closed
}

// kill ends the connection for both ends; told says whether they hear of it.
func (c *fakeConn) kill(told bool) { c.end(told, true) }

// end is kill by the peer, or by us.
func (c *fakeConn) end(told, byPeer bool) {
	for _, end := range []*fakeConn{c, c.twin} {
		end.mu.Lock()
		end.closed, end.ended = true, &network.ConnError{Remote: byPeer}
		streams := end.streams
		end.mu.Unlock()
		for _, s := range streams {
			s.in.fail(&network.ConnError{Remote: byPeer})
			s.out.fail(&network.ConnError{Remote: byPeer})
		}
		end.local.mu.Lock()
		notifees := slices.Clone(end.local.notifees)
		end.local.mu.Unlock()
		for _, n := range notifees {
			if told {
				n.Disconnected(end.local.Network(), end)
			}
		}
	}
}

func (c *fakeConn) pair(id protocol.ID) (ours, theirs *fakeStream) {
	a, b := newPipe(), newPipe()
	ours = &fakeStream{conn: c, id: id, in: a, out: b}
	theirs = &fakeStream{conn: c.twin, id: id, in: b, out: a}
	c.streams = append(c.streams, ours)
	return ours, theirs
}

type fakeStream struct {
	network.Stream
	conn    *fakeConn
	id      protocol.ID
	in, out *pipe
}

func (s *fakeStream) Conn() network.Conn          { return s.conn }
func (s *fakeStream) Protocol() protocol.ID       { return s.id }
func (s *fakeStream) Scope() network.StreamScope  { return &network.NullScope{} }
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

func (s *fakeStream) CloseWrite() error {
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	s.out.eof = true
	s.out.cond.Broadcast()
	return nil
}

func (s *fakeStream) Close() error {
	s.in.fail(errors.New("read on a closed stream"))
	return s.CloseWrite()
}

// Reset loses what the other end has not read yet, but for streams that were told
// to fail: those let their bytes through first.
func (s *fakeStream) Reset() error {
	s.out.mu.Lock()
	if s.out.left < 0 {
		s.out.buf = nil
	}
	s.out.mu.Unlock()
	s.in.fail(network.ErrReset)
	s.out.fail(network.ErrReset)
	return nil
}

func (s *fakeStream) ResetWithError(network.StreamErrorCode) error { return s.Reset() }

// pipe is one direction of a stream.
type pipe struct {
	mu              sync.Mutex
	cond            *sync.Cond
	buf             []byte
	window          int   // how much may wait in buf
	left            int   // if not negative, how many more bytes may be written before leftErr
	leftErr         error // what then happens
	eof             bool
	err             error
	readBy, writeBy time.Time
	writes          int
}

func newPipe() *pipe {
	p := &pipe{window: 256 << 10, left: -1}
	p.cond = sync.NewCond(&p.mu)
	return p
}

func (p *pipe) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		p.err = err
	}
	p.cond.Broadcast()
}

// failAfter lets n more bytes through and then fails all writes with err.
func (p *pipe) failAfter(n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.left, p.leftErr = n, err
}

func (p *pipe) setWindow(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.window = n
	p.cond.Broadcast()
}

func (p *pipe) setDeadline(which *time.Time, t time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	*which = t
	if !t.IsZero() {
		time.AfterFunc(time.Until(t), func() {
			p.mu.Lock()
			defer p.mu.Unlock()
			p.cond.Broadcast()
		})
	}
	p.cond.Broadcast()
}

func past(t time.Time) bool { return !t.IsZero() && !time.Now().Before(t) }

func (p *pipe) read(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for {
		switch {
		case past(p.readBy):
			return 0, os.ErrDeadlineExceeded
		case len(p.buf) > 0:
			n := copy(b, p.buf)
			p.buf = p.buf[n:]
			p.cond.Broadcast()
			return n, nil
		case p.err != nil:
			return 0, p.err
		case p.eof:
			return 0, io.EOF
		}
		p.cond.Wait()
	}
}

func (p *pipe) write(b []byte) (n int, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.writes++
	for n < len(b) {
		room := min(p.window-len(p.buf), len(b)-n)
		if p.left >= 0 {
			room = min(room, p.left)
		}
		switch {
		case p.err != nil:
			return n, p.err
		case p.left == 0:
			return n, p.leftErr
		case p.eof:
			return n, errors.New("write on a closed stream")
		case past(p.writeBy):
			return n, os.ErrDeadlineExceeded
		case room <= 0:
			p.cond.Wait()
			continue
		}
		p.buf = append(p.buf, b[n:n+room]...)
		n += room
		if p.left > 0 {
			p.left -= room
		}
		p.cond.Broadcast()
	}
	return n, nil
}

// inbox collects what a service receives.
type inbox struct {
	mu       sync.Mutex
	messages []string
	arrived  chan struct{} // one token for each, if not nil
	before   func()        // if not nil, called before each is noted
}

func (i *inbox) take(_ context.Context, _ peer.ID, m []byte) {
	if i.before != nil {
		i.before()
	}
	i.mu.Lock()
	i.messages = append(i.messages, string(m))
	i.mu.Unlock()
	if i.arrived != nil {
		i.arrived <- struct{}{}
	}
}

func (i *inbox) all() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Clone(i.messages)
}

// twoServices returns a sender a and a receiver b that are closed at the end,
// after which nothing may be left of their queues.
func twoServices(t *testing.T, cfg Config) (f *fakeNet, a, b *Service, in *inbox) {
	t.Helper()
	f, in = newFakeNet(), new(inbox)
	a, b = newService(t, f.host("a"), cfg), newService(t, f.host("b"), Config{Protocols: cfg.Protocols})
	b.Handle(in.take)
	return f, a, b, in
}

func newService(t *testing.T, h host.Host, cfg Config) *Service {
	t.Helper()
	s, err := New(h, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { finish(t, s) })
	return s
}

// finish closes a service and looks for what it may have left behind.
func finish(t *testing.T, s *Service) {
	t.Helper()
	s.Close()
	if n := s.total.Load(); n != 0 {
		t.Errorf("%d bytes are still counted as queued", n)
	}
	if n := s.dialing.Load(); n != 0 {
		t.Errorf("%d bytes are still counted as dialing", n)
	}
	if len(s.inbound) != 0 {
		t.Errorf("%d inbound peers are left", len(s.inbound))
	}
}

// outcomes collects the results of SendAsync in the order of the messages.
type outcomes struct {
	t    *testing.T
	wait sync.WaitGroup
	mu   sync.Mutex
	errs []error

	tries []int
}

func (o *outcomes) send(s *Service, to peer.ID, m []byte) {
	o.mu.Lock()
	i := len(o.errs)
	o.errs, o.tries = append(o.errs, errors.New("no answer")), append(o.tries, 0)
	o.mu.Unlock()
	o.wait.Add(1)
	answered := false
	done := func(res Result) {
		o.mu.Lock()
		defer o.mu.Unlock()
		if answered {
			o.t.Errorf("message %d answered twice", i)
		}
		answered = true
		o.errs[i] = res.Err
		if se, ok := errors.AsType[*SendError](res.Err); ok && se.Tries != res.Tries {
			o.t.Errorf("message %d: %d tries, the error says %d", i, res.Tries, se.Tries)
		}
		o.tries[i] = res.Tries
		o.wait.Done()
	}
	if err := s.SendAsync(to, m, done); err != nil {
		done(Result{Err: err})
	}
}

// reasons waits for all answers and returns them, 0 for success.
func (o *outcomes) reasons() []Reason {
	o.wait.Wait()
	var rs []Reason
	for i, err := range o.errs {
		if err != nil && ReasonOf(err) == 0 {
			o.t.Errorf("message %d: %v is no SendError", i, err)
		}
		rs = append(rs, ReasonOf(err))
	}
	return rs
}

func peerID(s string) peer.ID { return peer.ID(s) }

func fill(c byte, n int) []byte { return bytes.Repeat([]byte{c}, n) }
