package messagingproto

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

func TestSendInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _, in := twoServices(t, Config{})
		var want []string
		for i := range 100 {
			m := fmt.Sprint("message ", i)
			want = append(want, m)
			if err := a.Send(t.Context(), "b", []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		if !slices.Equal(in.all(), want) {
			t.Errorf("got %q", in.all())
		}
	})
}

func TestSendCopies(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(time.Second)
		m := []byte("before")
		out := outcomes{t: t}
		out.send(a, "b", m)
		copy(m, "later!")
		out.reasons()
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []string{"before"}) {
			t.Errorf("got %q", got)
		}
	})
}

// sleepFirst makes opening a stream take d.
func sleepFirst(d time.Duration) func(context.Context, int) error {
	return func(ctx context.Context, _ int) error {
		select {
		case <-time.After(d):
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// What waits while a stream is opened goes out in few writes.
func TestWritesAreCombined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(time.Second)
		var stream *fakeStream
		f.hosts["a"].opened = func(_ int, s *fakeStream) { stream = s }
		out := outcomes{t: t}
		for range 400 {
			out.send(a, "b", fill('x', 1024))
		}
		out.reasons()
		synctest.Wait()
		if n := len(in.all()); n != 400 {
			t.Fatalf("%d of 400 messages arrived", n)
		}
		if want := 400/63 + 1; stream.out.writes != want { // 63 frames of 1,028 bytes fit into 65,507
			t.Errorf("%d writes, want %d", stream.out.writes, want)
		}
	})
}

func TestPeerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		down := errors.New("connection refused")
		f.hosts["a"].dial = func(context.Context, int) error { return down }
		err := a.Send(t.Context(), "b", []byte("hello"))
		if ReasonOf(err) != DialFailed || !errors.Is(err, down) || !errors.Is(err, &SendError{Reason: DialFailed}) {
			t.Errorf("got %v", err)
		}
		if n := f.hosts["a"].opens; n != 2 {
			t.Errorf("%d tries, want 2", n)
		}
		if synctest.Wait(); len(a.outboxes) != 0 {
			t.Error("the outbox of an unreachable peer was kept")
		}
	})
}

func TestSecondTryToOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		f.hosts["a"].dial = func(_ context.Context, n int) error {
			if n == 1 {
				return errors.New("connection reset")
			}
			return nil
		}
		if err := a.Send(t.Context(), "b", []byte("hello")); err != nil {
			t.Error(err)
		}
	})
}

func TestDialTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{TTL: time.Hour})
		f.hosts["a"].dial = sleepFirst(time.Hour)
		start := time.Now()
		err := a.Send(t.Context(), "b", []byte("hello"))
		if ReasonOf(err) != DialFailed || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if took := time.Since(start); took != 60*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

func TestExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{DialTimeout: 2 * time.Minute})
		f.hosts["a"].dial = sleepFirst(70 * time.Second)
		out := outcomes{t: t}
		out.send(a, "b", []byte("old"))
		out.send(a, "b", []byte("old too"))
		time.Sleep(20 * time.Second)
		out.send(a, "b", []byte("young"))
		if got, want := out.reasons(), []Reason{Expired, Expired, 0}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []string{"young"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

// The dial fails, but some messages had expired before.
func TestExpiredWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{DialTimeout: 70 * time.Second})
		f.hosts["a"].dial = sleepFirst(time.Hour)
		out := outcomes{t: t}
		out.send(a, "b", []byte("old"))
		time.Sleep(20 * time.Second)
		out.send(a, "b", []byte("young"))
		if got, want := out.reasons(), []Reason{Expired, DialFailed}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

func TestLimits(t *testing.T) {
	tests := []struct {
		name     string
		limits   Limits
		size     int
		peers    int // messages are spread over so many peers
		open     bool
		accepted int // of 700
	}{
		{name: "messages, dialing", size: 10, peers: 1, accepted: 500},
		{name: "bytes, dialing", size: 1 << 20, peers: 1, accepted: 8},
		{name: "bytes, all dialing", size: 1 << 20, peers: 100, accepted: 64},
		{name: "messages, open", size: 10, peers: 1, open: true, accepted: 500},
		{name: "bytes, open", size: 1 << 20, peers: 1, open: true, accepted: 64},
		{name: "bytes, all", size: 1 << 20, peers: 70, limits: Limits{TotalBytes: 5 << 20}, accepted: 5},
		{name: "bytes, all, open queues have a reserve", size: 1 << 20, peers: 1, open: true, limits: Limits{TotalBytes: 1 << 19}, accepted: 1},
		{name: "bytes, open, the reserve goes before", size: 1 << 20, peers: 1, open: true, limits: Limits{PeerBytes: 1 << 19}, accepted: 1},
		{name: "no bytes at all", size: 0, peers: 1, accepted: 500},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f := newFakeNet()
				a := newService(t, f.host("a"), Config{Limits: tt.limits})
				a.cfg.TTL = time.Hour
				go1 := make(chan struct{})
				f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(0) }
				if !tt.open {
					f.hosts["a"].dial = func(ctx context.Context, _ int) error { <-go1; return errors.New("at last: no") }
				}
				f.host("b").SetStreamHandler(tariproto.Messaging, func(s network.Stream) {})
				out := outcomes{t: t}
				if tt.open { // one message holds the stream open
					out.send(a, "b", nil)
					synctest.Wait()
					a.cfg.Limits.PeerMessages++
				}
				m := fill('x', tt.size)
				for i := range 700 {
					to := fmt.Sprint("peer ", i%tt.peers)
					if tt.open {
						to = "b"
					}
					out.send(a, peerID(to), m)
				}
				out.mu.Lock()
				accepted := 0
				for _, err := range out.errs {
					if err == nil || ReasonOf(err) != QueueFull {
						accepted++
					}
				}
				out.mu.Unlock()
				if tt.open {
					accepted--
				}
				if accepted != tt.accepted {
					t.Errorf("%d messages accepted, want %d", accepted, tt.accepted)
				}
				close(go1)
				a.Close()
				out.reasons()
			})
		})
	}
}

func TestTooLarge(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _, _ := twoServices(t, Config{})
		err := a.Send(t.Context(), "b", make([]byte, MaxMessage+1))
		if ReasonOf(err) != TooLarge {
			t.Errorf("got %v", err)
		}
	})
}

func TestPeerStopsReading(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		f.hosts["b"].SetStreamHandler(tariproto.Messaging, func(network.Stream) {}) // never reads
		start := time.Now()
		out := outcomes{t: t}
		out.send(a, "b", fill('1', 200<<10)) // fits into the window
		out.send(a, "b", fill('2', 200<<10))
		out.send(a, "b", []byte("3"))
		out.send(a, "b", fill('4', 200<<10))
		if got, want := out.reasons(), []Reason{0, SendTimeout, QueuedBehindTimeout, QueuedBehindTimeout}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if took := time.Since(start); took != 30*time.Second {
			t.Errorf("gave up after %v", took)
		}
	})
}

// A timeout within a batch: what was written whole counts as sent.
func TestTimeoutWithinBatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(time.Second)
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(25) }
		f.hosts["b"].SetStreamHandler(tariproto.Messaging, func(network.Stream) {})
		out := outcomes{t: t}
		for range 5 {
			out.send(a, "b", []byte("123456")) // 10 bytes with its header
		}
		if got, want := out.reasons(), []Reason{0, 0, SendTimeout, QueuedBehindTimeout, QueuedBehindTimeout}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
	})
}

// A slow reader is no dead reader: every write gets its own time.
func TestSlowReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{TTL: time.Hour})
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(4 << 10) }
		in.before = func() { time.Sleep(20 * time.Second) }
		out := outcomes{t: t}
		for i := range 5 {
			out.send(a, "b", fill(byte('0'+i), 60<<10))
		}
		if got := out.reasons(); !slices.Equal(got, make([]Reason, 5)) {
			t.Errorf("got %v", got)
		}
		time.Sleep(time.Minute)
		if n := len(in.all()); n != 5 {
			t.Errorf("%d messages arrived", n)
		}
	})
}

// Receivers of tari_comms 0.8.1 take 10 messages each 100 ms and leave the rest
// in the stream's window: the sender waits, and nothing is lost.
func TestReceiverWithRateLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{Protocols: []protocol.ID{tariproto.MessagingSeed}})
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(16 << 10) }
		taken := 0
		in.before = func() {
			if taken++; taken%10 == 0 {
				time.Sleep(100 * time.Millisecond)
			}
		}
		var want []string
		for i := range 1000 {
			m := fmt.Sprint("message ", i, strings.Repeat(".", 1000))
			want = append(want, m)
			if err := a.Send(t.Context(), "b", []byte(m)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if !slices.Equal(in.all(), want) {
			t.Errorf("%d messages arrived, or in another order", len(in.all()))
		}
	})
}

// Each write has its own time, also if that is short.
func TestShortWriteTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _, _ := twoServices(t, Config{WriteTimeout: 100 * time.Millisecond})
		for range 20 {
			if err := a.Send(t.Context(), "b", []byte("hello")); err != nil {
				t.Fatal(err)
			}
			time.Sleep(90 * time.Millisecond)
		}
	})
}

func TestInterruptedWrite(t *testing.T) {
	lost := &network.ConnError{Remote: true}
	reset := &network.StreamError{Remote: true}
	tests := []struct {
		name    string
		err     error
		streams int // how many of the first streams fail
		after   int // bytes they let through
		reasons []Reason
		tries   []int
		arrive  string
	}{
		{"connection lost once", lost, 1, 15, []Reason{0, 0, 0, 0}, []int{1, 2, 1, 1}, "1 2 3 4"},
		{"connection lost before the first byte", lost, 1, 0, []Reason{0, 0, 0, 0}, []int{2, 1, 1, 1}, "1 2 3 4"},
		{"connection lost twice under one message", lost, 2, 0, []Reason{ConnectionLost, 0, 0, 0}, []int{2, 1, 1, 1}, "2 3 4"},
		{"connection lost under one after the other", lost, 3, 15, []Reason{0, 0, 0, 0}, []int{1, 2, 2, 2}, "1 2 3 4"},
		{"stream reset once", reset, 1, 15, []Reason{0, 0, 0, 0}, []int{1, 2, 1, 1}, "1 2 3 4"},
		{"stream reset twice", reset, 2, 15, []Reason{0, 0, MaxRetries, MaxRetries}, []int{1, 2, 1, 0}, "1 2"},
		{"stream reset before the first byte, twice", reset, 2, 0, []Reason{MaxRetries, MaxRetries, MaxRetries, MaxRetries}, []int{2, 0, 0, 0}, ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, in := twoServices(t, Config{})
				f.hosts["a"].dial = sleepFirst(time.Second)
				f.hosts["a"].opened = func(n int, s *fakeStream) {
					if n <= tt.streams {
						s.out.failAfter(tt.after, tt.err)
					}
				}
				out := outcomes{t: t}
				for _, m := range []string{"1", "2", "3", "4"} {
					out.send(a, "b", []byte(m+"....."))
				}
				if got := out.reasons(); !slices.Equal(got, tt.reasons) {
					t.Errorf("got %v, want %v", got, tt.reasons)
				}
				if !slices.Equal(out.tries, tt.tries) {
					t.Errorf("tries: %v, want %v", out.tries, tt.tries)
				}
				synctest.Wait()
				var got []string
				for _, m := range in.all() {
					got = append(got, strings.Trim(m, "."))
				}
				if s := strings.Join(got, " "); s != tt.arrive {
					t.Errorf("arrived: %s, want %s", s, tt.arrive)
				}
			})
		})
	}
}

// The connection is lost under a message, and the peer cannot be dialed again: what was being written was lost with it, what waited could
// not be dialed.
func TestRedialFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		down := errors.New("connection refused")
		f.hosts["a"].dial = func(ctx context.Context, n int) error {
			_ = sleepFirst(time.Second)(ctx, n)
			if n > 1 {
				return down
			}
			return nil
		}
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.failAfter(15, &network.ConnError{Remote: true}) }
		out := outcomes{t: t}
		for range 3 {
			out.send(a, "b", []byte("123456"))
		}
		if got, want := out.reasons(), []Reason{0, ConnectionLost, DialFailed}; !slices.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if !errors.Is(out.errs[1], down) || !errors.Is(out.errs[2], down) {
			t.Errorf("causes: %v, %v", out.errs[1], out.errs[2])
		}
	})
}

// What waits for a peer leaves the budget of those that are being dialed when its stream is open.
func TestOpenStreamsLeaveTheDialingBudget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{Limits: Limits{DialingBytes: 10}})
		f.hosts["b"].SetStreamHandler(tariproto.Messaging, func(network.Stream) {}) // never reads
		f.hosts["a"].dial = sleepFirst(time.Second)
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(0) }
		out := outcomes{t: t}
		out.send(a, "b", []byte("0123456789"))
		synctest.Wait()
		if err := a.SendAsync("nobody", []byte("x"), nil); ReasonOf(err) != QueueFull || !errors.Is(err, errDialingBytes) {
			t.Errorf("while it is dialed: %v", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		if st := a.Stats(); st.QueuedBytes != 10 || st.DialingBytes != 0 {
			t.Errorf("with a stream: %+v", st)
		}
		if err := a.SendAsync("nobody", []byte("x"), nil); err != nil {
			t.Errorf("with a stream: %v", err)
		}
		out.reasons()
	})
}

// While nothing is sent the peer ends the stream: the next message opens another.
func TestStreamEndedWhileIdle(t *testing.T) {
	for _, how := range []string{"reset", "connection gone", "connection gone, nobody said so"} {
		t.Run(how, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, in := twoServices(t, Config{})
				var stream *fakeStream
				f.hosts["a"].opened = func(_ int, s *fakeStream) { stream = s }
				for i := range 3 {
					start := time.Now()
					if err := a.Send(t.Context(), "b", fmt.Append(nil, i)); err != nil {
						t.Fatal(err)
					}
					if took := time.Since(start); took != 0 {
						t.Errorf("message %d waited %v", i, took)
					}
					synctest.Wait()
					switch how {
					case "reset":
						stream.Reset()
					case "connection gone":
						stream.conn.kill(true)
						synctest.Wait()
						if len(a.outboxes) != 0 {
							t.Error("the outbox was kept")
						}
					default:
						stream.conn.kill(false)
					}
					time.Sleep(time.Minute)
				}
				if got := in.all(); !slices.Equal(got, []string{"0", "1", "2"}) {
					t.Errorf("arrived: %q", got)
				}
			})
		})
	}
}

// A peer that takes connections and drops them at once is not hammered.
func TestPauseBetweenLosses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.failAfter(0, &network.ConnError{}) }
		out := outcomes{t: t}
		for range 500 {
			out.send(a, "b", []byte("hello"))
		}
		reasons := out.reasons()
		if i := slices.Index(reasons, 0); i >= 0 {
			t.Errorf("message %d counts as sent", i)
		}
		if reasons[0] != ConnectionLost || reasons[499] != Expired {
			t.Errorf("the first failed with %v, the last with %v", reasons[0], reasons[499])
		}
		if f.hosts["a"].opens > 60 {
			t.Errorf("%d streams in a minute", f.hosts["a"].opens)
		}
	})
}

func TestIdleStreams(t *testing.T) {
	for id, opens := range map[protocol.ID]int{tariproto.Messaging: 1, tariproto.MessagingSeed: 3} {
		t.Run(string(id), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, in := twoServices(t, Config{Protocols: []protocol.ID{id}})
				for i := range 3 {
					if err := a.Send(t.Context(), "b", fmt.Append(nil, i)); err != nil {
						t.Fatal(err)
					}
					time.Sleep(7*time.Minute + time.Second)
				}
				if got := in.all(); !slices.Equal(got, []string{"0", "1", "2"}) {
					t.Errorf("arrived: %q", got)
				}
				if n := f.hosts["a"].opens; n != opens {
					t.Errorf("%d streams, want %d", n, opens)
				}
			})
		})
	}
}

// Close waits for what is being written, not for streams that are idle.
func TestCloseOfIdleStreams(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _, _ := twoServices(t, Config{})
		if err := a.Send(t.Context(), "b", []byte("1")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		start := time.Now()
		a.Close()
		if took := time.Since(start); took != 0 {
			t.Errorf("closed after %v", took)
		}
	})
}

// The idle time ends while a message is being written: it goes out whole.
func TestIdleEndsWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{Protocols: []protocol.ID{tariproto.MessagingSeed}})
		f.hosts["a"].opened = func(_ int, s *fakeStream) { s.out.setWindow(5) }
		in.before = func() { time.Sleep(7*time.Minute + 5*time.Second) }
		if err := a.Send(t.Context(), "b", []byte("1")); err != nil {
			t.Fatal(err)
		}
		time.Sleep(7*time.Minute - 5*time.Second)
		if err := a.Send(t.Context(), "b", []byte("22")); err != nil { // a byte more than the window
			t.Error(err)
		}
		time.Sleep(10 * time.Minute)
		if got := in.all(); !slices.Equal(got, []string{"1", "22"}) {
			t.Errorf("arrived: %q", got)
		}
		if n := f.hosts["a"].opens; n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

// The connection lost a tie: it takes nothing more, but what was written to it
// still arrives.
func TestConnectionRetires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		var streams []*fakeStream
		f.hosts["a"].opened = func(_ int, s *fakeStream) { streams = append(streams, s) }
		var handed atomic.Int32
		in.before = func() {
			if handed.Add(1) == 1 {
				time.Sleep(time.Second) // the rest is under way meanwhile
			}
		}
		for i := range 4 {
			if i == 3 {
				streams[0].conn.mu.Lock()
				streams[0].conn.closed = true
				streams[0].conn.mu.Unlock()
			}
			if err := a.Send(t.Context(), "b", fmt.Append(nil, i)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(time.Minute)
		if got := in.all(); len(got) != 4 {
			t.Errorf("arrived: %q", got)
		}
		if len(streams) != 2 {
			t.Errorf("%d streams", len(streams))
		}
	})
}

// Of two connections to a peer the one without our stream ends.
func TestOtherConnectionEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		other := &fakeConn{local: f.hosts["a"], remote: f.hosts["b"]}
		other.twin = &fakeConn{local: f.hosts["b"], remote: f.hosts["a"], twin: other}
		for _, m := range []string{"1", "2"} {
			if err := a.Send(t.Context(), "b", []byte(m)); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			other.kill(true)
		}
		if n := f.hosts["a"].opens; n != 1 || len(in.all()) != 2 {
			t.Errorf("%d streams, %d messages", n, len(in.all()))
		}
	})
}

func TestCancel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(10 * time.Second)
		out := outcomes{t: t}
		out.send(a, "b", []byte("first"))
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		err := a.Send(ctx, "b", []byte("withdrawn"))
		if ReasonOf(err) != Cancelled || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		if err := a.Send(ctx, "b", []byte("late")); ReasonOf(err) != Cancelled {
			t.Errorf("got %v", err)
		}
		out.send(a, "b", []byte("last"))
		out.reasons()
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []string{"first", "last"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

// What is withdrawn takes no room: the queue would be full twice over.
func TestCancelMakesRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{Limits: Limits{PeerMessages: 3}})
		f.hosts["a"].dial = sleepFirst(30 * time.Second)
		out := outcomes{t: t}
		out.send(a, "b", []byte("first"))
		out.send(a, "b", []byte("second"))
		for range 5 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			if err := a.Send(ctx, "b", fill('x', 50<<10)); ReasonOf(err) != Cancelled {
				t.Errorf("got %v", err)
			}
			cancel()
		}
		a.mu.Lock()
		o := a.outboxes["b"]
		a.mu.Unlock()
		held := 0
		o.mu.Lock()
		for _, b := range o.pending {
			held += len(b.bytes)
		}
		o.mu.Unlock()
		if want := 2*frameHeader + len("first") + len("second"); held != want {
			t.Errorf("%d bytes wait, want %d", held, want)
		}
		out.reasons()
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []string{"first", "second"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

// The only message is withdrawn while the peer is dialed.
func TestCancelTheOnlyOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(2 * time.Second)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := a.Send(ctx, "b", []byte("withdrawn")); ReasonOf(err) != Cancelled {
			t.Errorf("got %v", err)
		}
		time.Sleep(2 * time.Second)
		if err := a.Send(t.Context(), "b", []byte("next")); err != nil {
			t.Error(err)
		}
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, []string{"next"}) {
			t.Errorf("arrived: %q", got)
		}
	})
}

// Cancelling in the middle of a write leaves the stream whole.
func TestCancelWhileWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		var stream *fakeStream
		f.hosts["a"].opened = func(_ int, s *fakeStream) { stream = s; s.out.setWindow(2) }
		in.before = func() { time.Sleep(time.Second) }
		if err := a.Send(t.Context(), "b", []byte("first")); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second/2)
		defer cancel()
		if err := a.Send(ctx, "b", []byte("second")); ReasonOf(err) != Cancelled {
			t.Errorf("got %v", err)
		}
		if err := a.Send(t.Context(), "b", []byte("third")); err != nil {
			t.Error(err)
		}
		time.Sleep(time.Minute)
		if got := in.all(); !slices.Equal(got, []string{"first", "second", "third"}) {
			t.Errorf("arrived: %q", got)
		}
		_ = stream
	})
}

func TestCloseFlushes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		f.hosts["a"].dial = sleepFirst(1900 * time.Millisecond)
		out := outcomes{t: t}
		for range 100 {
			out.send(a, "b", fill('x', 10<<10))
		}
		a.Close()
		if got := out.reasons(); !slices.Equal(got, make([]Reason, 100)) {
			t.Errorf("got %v", got)
		}
		synctest.Wait()
		if n := len(in.all()); n != 100 {
			t.Errorf("%d of 100 messages arrived", n)
		}
		if err := a.Send(t.Context(), "b", nil); ReasonOf(err) != Closed {
			t.Errorf("after Close: %v", err)
		}
		a.Close()
	})
}

// Close takes two seconds, whatever its peers do.
func TestCloseGivesUp(t *testing.T) {
	tests := map[string]func(*fakeHost){
		"dialing": func(h *fakeHost) { h.dial = sleepFirst(time.Hour) },
		"writing": func(h *fakeHost) { h.opened = func(_ int, s *fakeStream) { s.out.setWindow(5) } },
		"losing": func(h *fakeHost) {
			h.opened = func(_ int, s *fakeStream) { s.out.failAfter(0, &network.ConnError{}) }
		},
	}
	for name, prepare := range tests {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, _ := twoServices(t, Config{TTL: time.Hour, WriteTimeout: time.Hour})
				f.hosts["b"].SetStreamHandler(tariproto.Messaging, func(network.Stream) {})
				prepare(f.hosts["a"])
				out := outcomes{t: t}
				for range 100 {
					out.send(a, "b", fill('x', 10<<10))
				}
				time.Sleep(time.Second)
				start := time.Now()
				a.Close()
				if took := time.Since(start); took != 2*time.Second {
					t.Errorf("Close took %v", took)
				}
				if got := out.reasons(); got[99] != Closed {
					t.Errorf("got %v", got)
				}
			})
		})
	}
}
