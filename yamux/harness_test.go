package yamux

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		// The muxer test suite of go-libp2p leaves its listeners open.
		goleak.IgnoreAnyFunction("github.com/libp2p/go-libp2p/p2p/muxer/testsuite.GoServe.func1"))
}

// safety is how long a test waits for what must happen: no test measures time
// with it.
const safety = 60 * time.Second

// pipe returns two connected conns. Each direction buffers up to limit bytes;
// closing one end lets the other read what is buffered first.
func pipe(limit int) (*pipeEnd, *pipeEnd) {
	ab, ba := newLane(limit), newLane(limit)
	return &pipeEnd{in: ba, out: ab}, &pipeEnd{in: ab, out: ba}
}

type lane struct {
	mu     sync.Mutex
	cond   sync.Cond
	buf    []byte
	limit  int
	ended  bool // the writer closed
	dead   bool // the reader closed
	late   bool // the reader's deadline has passed
	writes int
	log    []byte // all that was ever written, unless the limit is small
}

func newLane(limit int) *lane {
	l := &lane{limit: limit}
	l.cond.L = &l.mu
	return l
}

type pipeEnd struct{ in, out *lane }

func (p *pipeEnd) Read(b []byte) (int, error) {
	l := p.in
	l.mu.Lock()
	defer l.mu.Unlock()
	for len(l.buf) == 0 {
		if l.dead {
			return 0, net.ErrClosed
		}
		if l.ended {
			return 0, io.EOF
		}
		if l.late {
			return 0, os.ErrDeadlineExceeded
		}
		l.cond.Wait()
	}
	n := copy(b, l.buf)
	l.buf = l.buf[n:]
	l.cond.Broadcast()
	return n, nil
}

func (p *pipeEnd) Write(b []byte) (int, error) {
	l := p.out
	l.mu.Lock()
	defer l.mu.Unlock()
	l.writes++
	done := 0
	for done < len(b) {
		for !l.ended && !l.dead && len(l.buf) >= l.limit {
			l.cond.Wait()
		}
		if l.ended {
			return done, net.ErrClosed
		}
		if l.dead {
			return done, io.ErrClosedPipe
		}
		n := min(len(b)-done, l.limit-len(l.buf))
		l.buf = append(l.buf, b[done:done+n]...)
		if l.limit == wide {
			l.log = append(l.log, b[done:done+n]...)
		}
		done += n
		l.cond.Broadcast()
	}
	return done, nil
}

// tryingEnd is a pipeEnd that can do what a Noise connection can: write without waiting, in that it keeps what there is no room for,
// lend what it has read, and be told to wait no longer.
type tryingEnd struct {
	*pipeEnd
	plainLender
	kept []byte
}

// either makes sure that both ways to write and to read are tested: clients try and lend.
func either(p *pipeEnd, client bool) net.Conn {
	if client {
		return &tryingEnd{pipeEnd: p, plainLender: plainLender{conn: p}}
	}
	return p
}

// SetReadDeadline knows two deadlines, none and one that has passed.
func (p *tryingEnd) SetReadDeadline(t time.Time) error {
	l := p.in
	l.mu.Lock()
	defer l.mu.Unlock()
	l.late = !t.IsZero()
	l.cond.Broadcast()
	return nil
}

func (p *tryingEnd) Write(b []byte) (int, error) {
	kept := p.kept
	p.kept = nil
	if _, err := p.pipeEnd.Write(append(kept, b...)); err != nil {
		return 0, err
	}
	return len(b), nil
}

func (p *tryingEnd) TryWrite(b []byte) (int, bool, error) {
	l := p.out
	l.mu.Lock()
	room := l.limit - len(l.buf)
	l.mu.Unlock()
	all := append(p.kept, b...)
	n := min(room, len(all))
	p.kept = bytes.Clone(all[n:])
	_, err := p.pipeEnd.Write(all[:n]) // nobody else writes
	return len(b), len(p.kept) == 0, err
}

func (p *pipeEnd) Close() error {
	for _, l := range []*lane{p.in, p.out} {
		l.mu.Lock()
		if l == p.in {
			l.dead, l.buf = true, nil
		} else {
			l.ended = true
		}
		l.cond.Broadcast()
		l.mu.Unlock()
	}
	return nil
}

func (p *pipeEnd) written() []byte {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	return bytes.Clone(p.out.log)
}

func (p *pipeEnd) LocalAddr() net.Addr              { return &net.IPAddr{} }
func (p *pipeEnd) RemoteAddr() net.Addr             { return &net.IPAddr{} }
func (p *pipeEnd) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (p *pipeEnd) SetReadDeadline(time.Time) error  { return errors.ErrUnsupported }
func (p *pipeEnd) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

// sealedPair is a Noise connection over TCP.
func sealedPair(t testing.TB) (net.Conn, net.Conn) {
	a, b := tcpPair(t)
	return seal(t, a, b)
}

func seal(t testing.TB, a, b net.Conn) (client, server net.Conn) {
	shake := func(c net.Conn, side func(context.Context, net.Conn, noise.Config) (*noise.Conn, error)) net.Conn {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Error(err)
			return c
		}
		sealed, err := side(t.Context(), c, noise.Config{Static: key})
		if err != nil {
			t.Error(err)
			return c
		}
		return sealed
	}
	var wg sync.WaitGroup
	wg.Go(func() { client = shake(a, noise.Client) })
	wg.Go(func() { server = shake(b, noise.Server) })
	wg.Wait()
	if t.Failed() {
		t.FailNow()
	}
	return client, server
}

// wide is a pipe limit that no test fills.
const wide = 1 << 30

// pair returns two sessions connected to each other, client first. At the end
// of the test they are closed, and what they sent is checked.
func pair(t *testing.T, cfg Config) (*Session, *Session) {
	t.Helper()
	return pairOver(t, cfg, wide)
}

func pairOver(t *testing.T, cfg Config, limit int) (*Session, *Session) {
	t.Helper()
	a, b := pipe(limit)
	orDefault(&cfg.CloseTimeout, safety)
	c, s := start(t, either(a, true), true, cfg), start(t, either(b, false), false, cfg)
	t.Cleanup(func() {
		var wg sync.WaitGroup
		wg.Go(func() { c.Close() })
		wg.Go(func() { s.Close() })
		wg.Wait()
		checkTraffic(t, a.written(), true)
		checkTraffic(t, b.written(), false)
	})
	return c, s
}

func start(t *testing.T, conn net.Conn, client bool, cfg Config) *Session {
	t.Helper()
	s, err := newSession(conn, client, cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// checkTraffic looks for what must never be sent: the frames that crashed
// earlier Rust peers, and any that these would answer with GoAway. What follows
// a GoAway is an error, a torn frame is not: a connection may be cut anywhere.
func checkTraffic(t *testing.T, b []byte, client bool) {
	t.Helper()
	credit := map[uint32]uint64{}
	for len(b) >= headerSize {
		h, err := parseHeader(b)
		if err != nil {
			t.Fatalf("sent a frame that nobody knows: % x", b[:headerSize])
		}
		b = b[headerSize:]
		switch {
		case h.kind == typeGoAway:
			if len(b) > 0 {
				t.Errorf("%d bytes after GoAway", len(b))
			}
			return
		case h.kind == typePing:
			continue
		case h.stream == 0:
			t.Errorf("frame %+v on stream 0", h)
		}
		if h.has(flagSYN) {
			if (h.stream%2 == 1) != client {
				t.Errorf("opened stream %d on the wrong side", h.stream)
			}
			if _, twice := credit[h.stream]; twice {
				t.Errorf("opened stream %d twice", h.stream)
			}
			credit[h.stream] = initialWindow
		}
		if _, known := credit[h.stream]; !known && (h.stream%2 == 1) == client {
			t.Errorf("stream %d was never announced", h.stream)
		}
		if h.kind == typeWindowUpdate && !h.has(flagRST) {
			if credit[h.stream] += uint64(h.length); credit[h.stream] > 1<<32-1 {
				t.Errorf("stream %d: credit %d overflows", h.stream, credit[h.stream])
			}
		}
		if h.kind == typeData {
			if h.length > 65507 {
				t.Errorf("data frame of %d bytes", h.length)
			}
			b = b[min(len(b), int(h.length)):]
		}
	}
}

// peer is the other end of a session, frame by frame.
type peer struct {
	t    *testing.T
	conn net.Conn
}

// withPeer returns a session and its hand-made peer.
func withPeer(t *testing.T, client bool, cfg Config) (*Session, *peer) {
	t.Helper()
	a, b := pipe(wide)
	orDefault(&cfg.CloseTimeout, safety)
	s := start(t, either(a, client), client, cfg)
	t.Cleanup(func() {
		b.Close()
		s.Close()
		checkTraffic(t, a.written(), client)
	})
	return s, &peer{t, b}
}

func frame(kind uint8, flags uint16, stream uint32, length uint32) []byte {
	return appendHeader(nil, header{kind, flags, stream, length})
}

func data(flags uint16, stream uint32, body string) []byte {
	return append(frame(typeData, flags, stream, uint32(len(body))), body...)
}

func (p *peer) send(frames ...[]byte) {
	p.t.Helper()
	if _, err := p.conn.Write(bytes.Join(frames, nil)); err != nil {
		p.t.Fatal(err)
	}
}

// next returns the session's next frame.
func (p *peer) next() (header, []byte) {
	p.t.Helper()
	var b [headerSize]byte
	if _, err := io.ReadFull(p.conn, b[:]); err != nil {
		p.t.Fatalf("no frame: %v", err)
	}
	h, err := parseHeader(b[:])
	if err != nil {
		p.t.Fatal(err)
	}
	if h.kind != typeData {
		return h, nil
	}
	body := make([]byte, h.length)
	if _, err := io.ReadFull(p.conn, body); err != nil {
		p.t.Fatalf("torn frame %+v: %v", h, err)
	}
	return h, body
}

func (p *peer) expect(want header, body string) {
	p.t.Helper()
	h, b := p.next()
	if h != want || string(b) != body {
		p.t.Fatalf("got frame %+v %q, want %+v %q", h, b, want, body)
	}
}

// goAway reads up to the session's GoAway and returns its code.
func (p *peer) goAway() uint32 {
	p.t.Helper()
	for {
		if h, _ := p.next(); h.kind == typeGoAway {
			return h.length
		}
	}
}

func open(t *testing.T, s *Session) *Stream {
	t.Helper()
	st, err := s.OpenStream(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	st.SetDeadline(time.Now().Add(safety))
	return st.(*Stream)
}

func accept(t *testing.T, s *Session) *Stream {
	t.Helper()
	st, err := s.AcceptStream()
	if err != nil {
		t.Fatal(err)
	}
	st.SetDeadline(time.Now().Add(safety))
	return st.(*Stream)
}

func write(t *testing.T, st io.Writer, p string) {
	t.Helper()
	if n, err := io.WriteString(st, p); n != len(p) || err != nil {
		t.Fatalf("wrote %d of %d: %v", n, len(p), err)
	}
}

// want reads exactly len(p) bytes, which must be p.
func want(t *testing.T, st io.Reader, p string) {
	t.Helper()
	b := make([]byte, len(p))
	if n, err := io.ReadFull(st, b); err != nil || string(b) != p {
		t.Fatalf("read %.40q, %v; want %.40q", b[:n], err, p)
	}
}

// wantEnd reads once more and expects the error target.
func wantEnd(t *testing.T, st io.Reader, target error) {
	t.Helper()
	n, err := st.Read(make([]byte, 10))
	if n != 0 || !errors.Is(err, target) {
		t.Fatalf("read %d bytes, %v; want %v", n, err, target)
	}
}

func wantConnError(t *testing.T, err error, remote bool, code uint32, cause error) {
	t.Helper()
	var ce *network.ConnError
	if !errors.As(err, &ce) || ce.Remote != remote || uint32(ce.ErrorCode) != code || !errors.Is(err, cause) {
		t.Fatalf("got %v, want a ConnError (remote %v, code %d, %v)", err, remote, code, cause)
	}
}

// pattern is n bytes that differ from place to place and from seed to seed.
func pattern(seed, n int) []byte {
	b := make([]byte, n)
	for i := 0; i < n; i += 4 {
		var w [4]byte
		binary.LittleEndian.PutUint32(w[:], uint32(i)*2654435761^uint32(seed)*40503)
		copy(b[i:], w[:])
	}
	return b
}

var errDeadline = os.ErrDeadlineExceeded
