package yamux

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	p2ppeer "github.com/libp2p/go-libp2p/core/peer"
)

// TestOpenLimit: 112 of our own, and room again as soon as both sides are done
// with one.
func TestOpenLimit(t *testing.T) {
	eachRule(t, func(t *testing.T, cfg Config) {
		s, p := withPeer(t, true, cfg)
		for id := uint32(2); id < 20; id += 2 { // those of the peer do not count
			p.send(data(flagSYN|flagFIN, id, ""))
			accept(t, s).Close()
		}
		var first *Stream
		for i := range 112 {
			st := open(t, s)
			if write(t, st, "x"); i == 0 {
				first = st
			}
		}
		var limit *LimitError
		if _, err := s.OpenStream(t.Context()); !errors.As(err, &limit) {
			t.Fatalf("stream 113: %v", err)
		}
		first.Close()
		if _, err := s.OpenStream(t.Context()); !errors.As(err, &limit) {
			t.Fatalf("the peer has not finished: %v", err)
		}
		p.send(data(flagACK|flagFIN, 1, ""))
		awaitKnown(t, s, 111)
		open(t, s)
	})
}

// awaitKnown waits until the session knows n streams.
func awaitKnown(t *testing.T, s *Session, n int) {
	t.Helper()
	for deadline := time.Now().Add(safety); known(s) != n; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("%d streams are known, want %d", known(s), n)
		}
	}
}

// TestInboundLimit: with 128 streams the next of the peer is reset, its data
// skipped, and the others live on.
func TestInboundLimit(t *testing.T) {
	s, p := withPeer(t, false, Config{Backlog: 1000})
	for i := range 128 {
		p.send(data(flagSYN, uint32(2*i+1), "x"))
	}
	p.send(data(flagSYN, 1001, "refused"), data(0, 1001, "and skipped"))
	p.send(frame(typeWindowUpdate, flagSYN, 1003, 0))
	refused := uint32(network.StreamResourceLimitExceeded)
	p.expect(header{typeWindowUpdate, flagRST, 1001, refused}, "")
	p.expect(header{typeWindowUpdate, flagRST, 1003, refused}, "")
	var limit *LimitError
	if _, err := s.OpenStream(t.Context()); !errors.As(err, &limit) {
		t.Errorf("one of our own: %v", err)
	}
	for range 128 {
		want(t, accept(t, s), "x")
	}
	if s.IsClosed() {
		t.Error("the session ended")
	}
}

// TestUnderLoad: many openers on both sides never exceed the limits, and never
// make the other side refuse: the headroom of 16 is for the peer.
func TestUnderLoad(t *testing.T) {
	c, s := pair(t, Config{})
	go func() {
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return
			}
			if n := known(s); n > 128 {
				t.Errorf("%d streams", n)
			}
			go func() {
				io.Copy(st, st)
				st.Close()
			}()
		}
	}()
	var wg sync.WaitGroup
	for range 150 {
		wg.Go(func() {
			for done := 0; done < 5; {
				st, err := c.OpenStream(context.Background())
				if errors.Is(err, network.ErrResourceLimitExceeded) {
					time.Sleep(time.Millisecond)
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				st.SetDeadline(time.Now().Add(safety))
				io.WriteString(st, "echo")
				st.CloseWrite()
				if b, err := io.ReadAll(st); err != nil || string(b) != "echo" {
					t.Errorf("%q, %v", b, err)
				}
				st.Close()
				done++
			}
		})
	}
	wg.Wait()
}

// TestBacklog: 64 streams may wait for AcceptStream; then nothing is read until
// one is accepted. Nothing is lost over it.
func TestBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{})
		s.StartReading()
		for i := range 100 {
			p.send(data(flagSYN|flagFIN, uint32(2*i+1), "x"))
		}
		p.send(frame(typePing, flagSYN, 0, 5))
		synctest.Wait()
		if n := known(s); n != 64 {
			t.Errorf("%d streams were taken", n)
		}
		for range 100 {
			st := accept(t, s)
			want(t, st, "x")
			st.Close()
			synctest.Wait()
		}
		for {
			if h, _ := p.next(); h == (header{typePing, flagACK, 0, 5}) {
				return
			}
		}
	})
}

// TestUnacceptedStreams: streams that nobody accepts hold up no other, as long as there is room for them to wait.
func TestUnacceptedStreams(t *testing.T) {
	s, p := withPeer(t, false, Config{})
	p.send(data(flagSYN, 1, "one"))
	st := accept(t, s)
	want(t, st, "one")
	for i := range 63 {
		p.send(data(flagSYN, uint32(2*i+3), "waits"))
	}
	p.send(data(0, 1, "two"))
	want(t, st, "two")
	write(t, st, "three")
	p.expect(header{typeData, flagACK, 1, 5}, "three")
	mine := open(t, s)
	write(t, mine, "four")
	p.expect(header{typeData, flagSYN, 2, 4}, "four")
	p.send(data(flagACK, 2, "five"))
	want(t, mine, "five")
	for range 63 {
		want(t, accept(t, s), "waits")
	}
}

// TestRapidReset: a peer that opens and resets streams, or opens far too many,
// is let be for a while and then thrown out.
func TestRapidReset(t *testing.T) {
	for name, spam := range map[string]func(id uint32) []byte{
		"SYN, RST":     func(id uint32) []byte { return append(data(flagSYN, id, ""), data(flagRST, id, "")...) },
		"window, RST":  func(id uint32) []byte { return append(frame(1, flagSYN, id, 0), frame(1, flagRST, id, 0)...) },
		"SYN|RST":      func(id uint32) []byte { return data(flagSYN|flagRST, id, "") },
		"only openers": func(id uint32) []byte { return data(flagSYN, id, "") },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := withPeer(t, false, Config{Backlog: 1000})
				accepted := make(chan int)
				go func() {
					n := 0
					for ; ; n++ {
						if _, err := s.AcceptStream(); err != nil {
							break
						}
					}
					accepted <- n
				}()
				for i := range uint32(10_000) {
					if _, err := p.conn.Write(spam(2*i + 1)); err != nil {
						break
					}
				}
				if code := p.goAway(); code != goAwayProtocol {
					t.Errorf("GoAway(%d)", code)
				}
				p.conn.Close()
				if n := <-accepted; n > churnBurst+128 {
					t.Errorf("%d streams were accepted", n)
				}
			})
		})
	}
}

// TestResetsInMeasure: the same at a rate that a busy peer may have.
func TestResetsInMeasure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{})
		for i := range uint32(5000) {
			p.send(data(flagSYN, 2*i+1, "x"), data(flagRST, 2*i+1, ""))
			st := accept(t, s)
			want(t, st, "x")
			wantEnd(t, st, network.ErrReset)
			time.Sleep(20 * time.Millisecond)
		}
		if s.IsClosed() || known(s) != 0 {
			t.Errorf("closed %v, %d streams", s.IsClosed(), known(s))
		}
	})
}

// TestPingFlood: answered while the answers are read, else the end. What waits
// for the peer meanwhile is bounded.
func TestPingFlood(t *testing.T) {
	t.Run("read", func(t *testing.T) {
		s, p := withPeer(t, false, Config{})
		go func() {
			flood := bytes.Repeat(frame(typePing, flagSYN, 0, 1), 1000)
			for range 100 {
				if _, err := p.conn.Write(flood); err != nil {
					return
				}
			}
			p.conn.Write(frame(typePing, flagSYN, 0, 2))
		}()
		for n := 0; ; n++ {
			h, _ := p.next()
			if h.kind == typeGoAway { // the flood was faster than the pipe
				break
			}
			if h != (header{typePing, flagACK, 0, 1}) {
				if n != 100_000 || h.length != 2 {
					t.Errorf("frame %d: %+v", n, h)
				}
				break
			}
		}
		_ = s
	})
	t.Run("not read", func(t *testing.T) {
		synctest.Test(t, func(t *testing.T) {
			a, b := pipe(1000)
			s := start(t, a, false, Config{})
			p := &peer{conn: b}
			for range 100_000 {
				if _, err := b.Write(frame(typePing, flagSYN, 0, 1)); err != nil {
					break
				}
				if s.IsClosed() {
					break
				}
			}
			var breach *ViolationError
			if err := acceptError(s); !errors.As(err, &breach) {
				t.Error(err)
			}
			s.w.mu.Lock()
			if n := len(s.w.pending); n > maxReplies+2*headerSize {
				t.Errorf("%d bytes wait", n)
			}
			s.w.mu.Unlock()
			p.conn.Close()
			s.Close()
		})
	})
}

// scope counts what is reserved, and grants up to limit bytes.
type scope struct {
	network.NullScope
	mu       sync.Mutex
	limit    int
	reserved int
	most     int
	spans    int
}

func (s *scope) Peer() p2ppeer.ID { return "" }

func (s *scope) BeginSpan() (network.ResourceScopeSpan, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.spans++
	return &span{scope: s}, nil
}

type span struct {
	network.NullScope
	*scope
	own int
}

func (s *span) BeginSpan() (network.ResourceScopeSpan, error) { return nil, errors.ErrUnsupported }

func (s *span) ReserveMemory(n int, _ uint8) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reserved+n > s.limit {
		return network.ErrResourceLimitExceeded
	}
	s.reserved += n
	s.own += n
	s.most = max(s.most, s.reserved)
	return nil
}

func (s *span) ReleaseMemory(n int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= n
	if s.own -= n; s.own < 0 {
		panic("released more than was reserved")
	}
}

func (s *span) Done() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.reserved -= s.own
	s.own = 0
	s.spans--
}

// TestMemory: windows come out of the scope, refused ones refuse the stream, and
// everything is given back.
func TestMemory(t *testing.T) {
	a, b := pipe(wide)
	sc := &scope{limit: 4 * initialWindow}
	s, err := Server(a, Config{}, sc)
	if err != nil {
		t.Fatal(err)
	}
	p := &peer{t, b}
	p.send(data(flagSYN, 1, "x"), data(flagSYN, 3, "x"), data(flagSYN, 5, "x"))
	for range 3 {
		want(t, accept(t, s), "x")
	}
	mine := open(t, s)
	var limit *LimitError
	if _, err := s.OpenStream(t.Context()); !errors.As(err, &limit) {
		t.Errorf("a stream without memory: %v", err)
	}
	p.send(data(flagSYN, 7, "x"))
	p.expect(header{typeWindowUpdate, flagRST, 7, uint32(network.StreamResourceLimitExceeded)}, "")
	mine.Reset()
	p.send(data(flagSYN, 9, "y"))
	want(t, accept(t, s), "y")
	b.Close()
	s.Close()
	if sc.reserved != 0 || sc.spans != 0 || sc.most != sc.limit {
		t.Errorf("%d bytes and %d spans left, %d at most", sc.reserved, sc.spans, sc.most)
	}
}

// TestConnectionMemory: without a scope the limit of the connection holds.
func TestConnectionMemory(t *testing.T) {
	s, _ := withPeer(t, true, Config{ConnectionMemory: 3*initialWindow + 1})
	for range 3 {
		open(t, s)
	}
	var limit *LimitError
	if _, err := s.OpenStream(t.Context()); !errors.As(err, &limit) {
		t.Error(err)
	}
}

// TestClosedStreamData: what a peer sends on a stream we closed is dropped and
// costs nothing, and cannot exceed the window.
func TestClosedStreamData(t *testing.T) {
	s, p := withPeer(t, false, Config{})
	p.send(data(flagSYN, 1, "x"))
	st := accept(t, s)
	st.CloseRead()
	p.send(data(0, 1, string(make([]byte, 100_000))), frame(typePing, flagSYN, 0, 1))
	p.expect(header{typePing, flagACK, 0, 1}, "")
	if st.received.size != 0 {
		t.Errorf("%d bytes kept", st.received.size)
	}
	p.send(frame(typeData, 0, 1, initialWindow))
	if code := p.goAway(); code != goAwayProtocol {
		t.Errorf("GoAway(%d)", code)
	}
}

// TestWindowFlood: credit that comes in crumbs while the connection takes
// nothing costs no memory.
func TestWindowFlood(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000)
		s := start(t, a, false, Config{KeepAlive: -1})
		p := &peer{t, b}
		p.send(frame(typeWindowUpdate, flagSYN, 1, 1<<20))
		st := accept(t, s)
		st.SetDeadline(time.Time{})
		go st.Write(make([]byte, 2<<20))
		for range 1000 {
			synctest.Wait() // the write was woken, and waits again
			p.send(frame(typeWindowUpdate, 0, 1, 1))
		}
		synctest.Wait()
		s.w.mu.Lock()
		waiting, pending := len(s.w.waiting), len(s.w.pending)
		s.w.mu.Unlock()
		if waiting != 1 || pending > 2*maxPending {
			t.Errorf("%d wait, %d bytes pending", waiting, pending)
		}
		b.Close()
		s.Close()
	})
}
