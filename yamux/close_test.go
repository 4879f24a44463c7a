package yamux

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestCloseLosesNothing: 100 streams with a message each, then Close. All of
// them arrive although the reader only starts when the connection is gone.
func TestCloseLosesNothing(t *testing.T) {
	for _, finish := range []string{"FIN", "RST", "nothing"} {
		t.Run(finish, func(t *testing.T) {
			eachRule(t, func(t *testing.T, cfg Config) {
				cfg.Backlog = 200
				const streams = 100
				c, s := pair(t, cfg)
				for i := range streams {
					st := open(t, c)
					write(t, st, message(i))
					switch finish {
					case "FIN":
						st.Close()
					case "RST":
						st.Reset()
					}
				}
				if err := c.Close(); err != nil {
					t.Fatal(err)
				}
				for i := range streams {
					st := accept(t, s)
					want(t, st, message(i))
					if finish == "FIN" {
						wantEnd(t, st, io.EOF)
					} else {
						wantEnd(t, st, network.ErrReset)
					}
				}
				_, err := s.AcceptStream()
				wantConnError(t, err, true, 0, ErrGoAway)
			})
		})
	}
}

func message(i int) string { return fmt.Sprintf("message %d %s", i, pattern(i, i*37)) }

// TestCloseSendsAllMessages: 300 messages on one stream, then Close, over TCP and
// while the other side writes as well, which is what makes a careless close lose
// data: the kernel answers bytes that nobody reads with a reset.
func TestCloseSendsAllMessages(t *testing.T) { closeSendsAllMessages(t, tcpPair) }

// TestCloseSendsAllMessagesSealed is the same over Noise, whose connections lend
// what they read and write without waiting.
func TestCloseSendsAllMessagesSealed(t *testing.T) { closeSendsAllMessages(t, sealedPair) }

func closeSendsAllMessages(t *testing.T, connect func(testing.TB) (net.Conn, net.Conn)) {
	eachRule(t, func(t *testing.T, cfg Config) {
		cfg.CloseTimeout = safety
		a, b := connect(t)
		c, s := start(t, a, true, cfg), start(t, b, false, cfg)
		st := open(t, c)
		back := make(chan struct{})
		go func() {
			defer close(back)
			chunk := make([]byte, 1000)
			for {
				if _, err := st.Read(chunk); err != nil {
					return
				}
			}
		}()
		const messages = 300
		got := make(chan []byte)
		go func() {
			other, err := s.AcceptStream()
			if err != nil {
				got <- nil
				return
			}
			go func() {
				for {
					if _, err := other.Write(make([]byte, 1000)); err != nil {
						return
					}
				}
			}()
			all, _ := io.ReadAll(other)
			got <- all
		}()
		var all []byte
		for i := range messages {
			all = append(all, message(i)...)
			write(t, st, message(i))
		}
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		if b := <-got; !bytes.Equal(b, all) {
			t.Errorf("%d of %d bytes arrived", len(b), len(all))
		}
		<-back
		s.Close()
	})
}

func tcpPair(t testing.TB) (net.Conn, net.Conn) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestAcceptHoldsEndBack: the error of AcceptStream waits for readers.
func TestAcceptHoldsEndBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, patient := range []bool{true, false} {
			c, s := pair(t, Config{KeepAlive: -1, CloseTimeout: 2 * time.Second})
			a, b := open(t, c), open(t, c)
			write(t, a, "for a reader")
			write(t, b, "dropped")
			sa, sb := accept(t, s), accept(t, s)
			synctest.Wait() // everything is there
			c.Close()

			begin, ended := time.Now(), make(chan error, 1)
			go func() { _, err := s.AcceptStream(); ended <- err }()
			synctest.Wait()
			if !s.IsClosed() {
				t.Error("the session should count as closed")
			}
			if patient {
				time.Sleep(time.Second)
				want(t, sa, "for a reader")
				select {
				case <-ended:
					t.Error("one stream still holds bytes")
				default:
				}
				sb.Reset()
			}
			wantConnError(t, <-ended, true, 0, ErrGoAway)
			if d := time.Since(begin); patient && d != time.Second || !patient && d != 2*time.Second {
				t.Errorf("the end came after %v", d)
			}
			if !patient {
				want(t, sa, "for a reader") // too late for the caller, but not lost
				wantEnd(t, sa, ErrGoAway)
			}
		}
	})
}

// TestGoAwayIsLast: and everything written before comes before.
func TestGoAwayIsLast(t *testing.T) {
	s, p := withPeer(t, true, Config{})
	st := open(t, s)
	write(t, st, "hello")
	st.CloseWrite()
	done := make(chan error)
	go func() { done <- s.CloseWithError(0x1006) }()
	p.expect(header{typeData, flagSYN, 1, 5}, "hello")
	p.expect(header{typeData, flagFIN, 1, 0}, "")
	p.expect(header{kind: typeGoAway, length: 0x1006}, "")
	p.conn.Close()
	if err := <-done; err != nil {
		t.Error(err)
	}
	wantEnd(t, st, ErrClosed)
	_, err := s.AcceptStream()
	wantConnError(t, err, false, 0x1006, ErrClosed)
}

// TestGoAwayReceived: the code of the peer reaches everybody.
func TestGoAwayReceived(t *testing.T) {
	s, p := withPeer(t, false, Config{})
	p.send(data(flagSYN, 1, "bye"), frame(typeGoAway, 0, 0, 0x1005), data(0, 1, "too late"))
	st := accept(t, s)
	want(t, st, "bye")
	_, err := st.Read(make([]byte, 1))
	wantConnError(t, err, true, 0x1005, ErrGoAway)
	_, err = st.Write([]byte("x"))
	wantConnError(t, err, true, 0x1005, ErrGoAway)
	_, err = s.OpenStream(t.Context())
	wantConnError(t, err, true, 0x1005, ErrGoAway)
}

// TestCloseIsBounded: a peer that reads nothing holds Close for CloseTimeout,
// and Close says that data was lost. Every caller gets away at the same time.
func TestCloseIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000)
		s := start(t, a, true, Config{KeepAlive: -1})
		st := open(t, s)
		st.SetDeadline(time.Time{})
		blocked := make(chan error)
		go func() { _, err := st.Write(make([]byte, 1<<20)); blocked <- err }()
		synctest.Wait()
		begin := time.Now()
		var wg sync.WaitGroup
		var mu sync.Mutex
		unsent := 0
		for range 10 {
			wg.Go(func() {
				if errors.Is(s.Close(), ErrUnsent) {
					mu.Lock()
					unsent++
					mu.Unlock()
				}
			})
		}
		if err := <-blocked; !errors.Is(err, ErrClosed) {
			t.Errorf("the waiting write ended with %v", err)
		}
		if d := time.Since(begin); d != 0 {
			t.Errorf("the waiting write ended after %v", d)
		}
		wg.Wait()
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("Close took %v", d)
		}
		if unsent != 1 {
			t.Errorf("%d of the callers were told of lost data, want the first", unsent)
		}
		b.Close()
	})
}

// TestCloseWithoutAnswer: a peer that reads but does not hang up costs the time
// limit, but nothing is lost, and Close knows.
func TestCloseWithoutAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(wide)
		s := start(t, a, true, Config{KeepAlive: -1})
		write(t, open(t, s), "hello")
		begin := time.Now()
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("Close took %v", d)
		}
		p := &peer{t, b}
		p.expect(header{typeData, flagSYN, 1, 5}, "hello")
		p.expect(header{kind: typeGoAway}, "")
		b.Close()
	})
}

// TestBothClose: two sides that close at once do not wait for each other.
func TestBothClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, Config{})
		write(t, open(t, c), "x")
		begin := time.Now()
		var wg sync.WaitGroup
		for _, end := range []*Session{c, s, c, s} {
			wg.Go(func() {
				if err := end.Close(); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(begin); d != 0 {
			t.Errorf("took %v", d)
		}
	})
}

// TestBrokenWrite: when a write fails because the peer is gone, what the peer
// sent before is still delivered.
func TestBrokenWrite(t *testing.T) {
	a, b := pipe(wide)
	conn := &deafConn{pipeEnd: a}
	s := start(t, conn, false, Config{})
	p := &peer{t, b}
	p.send(data(flagSYN, 1, "first"))
	st := accept(t, s)
	want(t, st, "first")
	conn.mu.Lock()
	conn.deaf = true
	conn.mu.Unlock()
	write(t, st, "this write fails below")
	p.send(data(0, 1, "second"), data(flagSYN, 3, "third"), data(flagFIN, 3, ""), frame(typeGoAway, 0, 0, 0))
	want(t, st, "second")
	wantEnd(t, st, network.ErrReset)
	want(t, accept(t, s), "third")
	s.Close()
	b.Close()
}

type deafConn struct {
	*pipeEnd
	mu   sync.Mutex
	deaf bool
}

func (c *deafConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.deaf {
		return 0, errors.New("broken pipe")
	}
	return c.pipeEnd.Write(b)
}

// TestBrokenWriteEnds: if the peer says no more, the failed write is the end.
func TestBrokenWriteEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(wide)
		conn := &deafConn{pipeEnd: a, deaf: true}
		s := start(t, conn, true, Config{})
		write(t, open(t, s), "x")
		begin := time.Now()
		_, err := s.AcceptStream()
		if err == nil || time.Since(begin) != 2*time.Second {
			t.Errorf("ended with %v after %v", err, time.Since(begin))
		}
		s.Close()
		b.Close()
	})
}

// TestCloseAfterPeerEnded: a peer that has nothing more to say, but still reads,
// gets everything.
func TestCloseAfterPeerEnded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000)
		s := start(t, a, true, Config{KeepAlive: -1})
		st := open(t, s)
		write(t, st, string(make([]byte, 100_000)))
		done := make(chan error)
		go func() { done <- s.Close() }()
		synctest.Wait()
		b.shut()
		synctest.Wait()
		p := &peer{t, b}
		if code := p.goAway(); code != goAwayNormal {
			t.Errorf("GoAway(%d)", code)
		}
		if err := <-done; err != nil {
			t.Error(err)
		}
		b.Close()
	})
}

// TestViolationReadsOn: after a violation the connection is read, though not
// heard, until the peer hangs up or the time is over: closing it with bytes
// unread would take the GoAway from a TCP peer.
func TestViolationReadsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{CloseTimeout: 2 * time.Second})
		s.StartReading()
		begin := time.Now()
		p.send(data(flagSYN, 2, "wrong parity"))
		for range 10 {
			synctest.Wait()
			p.send(data(0, 2, "and on it goes"))
		}
		if code := p.goAway(); code != goAwayProtocol {
			t.Errorf("GoAway(%d)", code)
		}
		<-s.finished
		if d := time.Since(begin); d != 2*time.Second {
			t.Errorf("over after %v", d)
		}
	})
}
