package pipeline

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func TestLogging(t *testing.T) {
	var buf bytes.Buffer
	failed := errors.New("no room")
	h := Chain(func(_ context.Context, m Message) error {
		if m.Peer == "bad" {
			return failed
		}
		return nil
	}, Logging(slog.NewTextHandler(&buf, &slog.HandlerOptions{Level: slog.LevelDebug}), "inbound"))
	if err := h(t.Context(), msg("good", "secret")); err != nil {
		t.Error(err)
	}
	if err := h(t.Context(), Message{Peer: "bad", Parts: [][]byte{[]byte("secret"), []byte("s")}}); !errors.Is(err, failed) {
		t.Error(err)
	}
	lines := strings.Split(strings.TrimSpace(buf.String()), "\n")
	for i, want := range []string{"level=DEBUG msg=inbound", "level=WARN msg=inbound"} {
		if len(lines) != 2 || !strings.Contains(lines[i], want) {
			t.Fatalf("logged:\n%s", buf.String())
		}
	}
	if !strings.Contains(lines[0], "bytes=6") || !strings.Contains(lines[0], "outcome=ok") ||
		!strings.Contains(lines[1], "bytes=7") || !strings.Contains(lines[1], `error="no room"`) {
		t.Errorf("logged:\n%s", buf.String())
	}
	if strings.Contains(buf.String(), "secret") {
		t.Errorf("the log says what is in a message:\n%s", buf.String())
	}
}

func TestMetrics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var m Metrics
		if c := m.Counters(); len(c.Messages) != 0 {
			t.Errorf("at the start: %+v", c)
		}
		var next error
		release := make(chan struct{}, 10)
		h := m.Middleware(func(context.Context, Message) error {
			<-release
			time.Sleep(time.Second)
			if next == nil {
				return nil
			}
			if next.Error() == "panic" {
				panic("now")
			}
			return next
		})
		want := make(map[string]uint64)
		for outcome, err := range map[string]error{
			"ok": nil, "panic": errors.New("panic"), "duplicate": ErrDuplicate, "rate limit": &FloodError{}, "bad envelope": ErrEnvelope,
			"timeout": ErrTimeLimit, "cancelled": context.Canceled, "failed": errors.New("else"),
		} {
			next = err
			want[outcome]++
			release <- struct{}{}
			if got := h(t.Context(), msg("p", "12")); (got == nil) != (err == nil) {
				t.Errorf("%s: got %v", outcome, got)
			}
		}
		c := m.Counters()
		if !maps.Equal(c.Messages, want) || c.Bytes != 16 || c.Busy != 8*time.Second || c.Running != 0 {
			t.Errorf("counted %+v, want %v", c, want)
		}
		next = nil
		go h(t.Context(), msg("p", "12"))
		if synctest.Wait(); m.Counters().Running != 1 {
			t.Errorf("one runs: %+v", m.Counters())
		}
		release <- struct{}{}
		time.Sleep(2 * time.Second) // it ends
	})
}

func TestRateLimitDrops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Chain(nothing, RateLimit(RateLimitConfig{Rate: 2, Burst: 5, Over: Drop}))
		passed := func(n int) (ok int) {
			for range n {
				switch err := h(t.Context(), msg("p", "")); {
				case err == nil:
					ok++
				case !errors.Is(err, ErrRateLimit):
					t.Error(err)
				}
			}
			return ok
		}
		if n := passed(100); n != 5 {
			t.Errorf("%d passed at once", n)
		}
		if time.Sleep(time.Second); passed(100) != 2 {
			t.Error("not two a second later")
		}
		if time.Sleep(time.Hour); passed(100) != 5 {
			t.Error("not five an hour later")
		}
		if err := h(t.Context(), msg("other", "")); err != nil {
			t.Errorf("another peer: %v", err)
		}
	})
}

// 1,001 messages in a minute: the last one asks for a ban.
func TestRateLimitReports(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := Chain(nothing, RateLimit(RateLimitConfig{Rate: 0.001, Burst: 1000, Over: Report, Ban: time.Hour}))
		for i := range 1001 {
			err := h(t.Context(), msg("p", ""))
			var ban interface{ BanFor() time.Duration }
			if over := i >= 1000; errors.As(err, &ban) != over || over && (ban.BanFor() != time.Hour || !errors.Is(err, ErrRateLimit)) {
				t.Errorf("message %d: %v", i, err)
			}
			time.Sleep(time.Minute / 1001)
		}
	})
}

// Messages that wait hold nothing up but their own peer.
func TestRateLimitWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewInbound(nothing, InboundConfig{Concurrency: 1, Middleware: []Middleware{RateLimit(RateLimitConfig{})}})
		start := time.Now()
		finished := make(chan time.Duration)
		go func() {
			for range 1000 {
				in.Handle(t.Context(), "flood", nil)
			}
			finished <- time.Since(start)
		}()
		for range 500 {
			time.Sleep(10 * time.Millisecond)
			before := time.Now()
			if in.Handle(t.Context(), "other", nil); time.Since(before) != 0 {
				t.Fatalf("another peer waited %v", time.Since(before))
			}
		}
		if took := (<-finished).Round(time.Millisecond); took != 9900*time.Millisecond {
			t.Errorf("1,000 messages at 100 a second took %v", took)
		}
		in.Close()
	})
}

// A message that gives up waiting takes nothing from the next.
func TestRateLimitGivesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		in := NewInbound(nothing, InboundConfig{})
		h := RateLimit(RateLimitConfig{Rate: 1, Burst: 1})(nothing)
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if err := h(ctx, msg("p", "")); err != nil {
			t.Error(err)
		}
		for range 100 {
			if err := h(ctx, msg("p", "")); !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		start := time.Now()
		if err := h(t.Context(), msg("p", "")); err != nil || time.Since(start) > time.Second {
			t.Errorf("after %v: %v", time.Since(start), err)
		}
		in.Close()
	})
}

// Close ends the wait of messages over the limit.
func TestRateLimitClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told failures
		in := NewInbound(nothing, InboundConfig{OnError: told.note, Middleware: []Middleware{RateLimit(RateLimitConfig{Rate: 0.001, Burst: 1})}})
		in.Handle(t.Context(), "p", nil)
		go in.Handle(t.Context(), "p", nil)
		synctest.Wait()
		start := time.Now()
		if in.Close(); time.Since(start) != 0 {
			t.Errorf("Close took %v", time.Since(start))
		}
		if errs := told.all(); len(errs) != 1 || !errors.Is(errs[0], ErrClosed) {
			t.Errorf("told: %v", errs)
		}
	})
}

func TestRateLimitForgets(t *testing.T) {
	l := &limiter{cfg: RateLimitConfig{Rate: 1, Burst: 2, Over: Drop, Peers: 100}, buckets: make(map[peer.ID]*bucket)}
	now := time.Unix(1000, 0)
	for i := range 10_000 {
		l.take(peer.ID(fmt.Sprint(i)), now)
		if len(l.buckets) > 100 {
			t.Fatalf("%d peers are kept", len(l.buckets))
		}
	}
	if l.take("new", now.Add(time.Hour)); len(l.buckets) != 1 {
		t.Errorf("an hour later %d peers are kept", len(l.buckets))
	}
}

func TestDedup(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var fail error
		last := func(context.Context, Message) error { return fail }
		own, anybody := Dedup(DedupConfig{})(last), Dedup(DedupConfig{AnyPeer: true})(last)
		check := func(what string, h Handler, m Message, want error) {
			t.Helper()
			if err := h(t.Context(), m); !errors.Is(err, want) {
				t.Errorf("%s: got %v, want %v", what, err, want)
			}
		}
		for _, h := range []Handler{own, anybody} {
			check("first", h, msg("a", "x"), nil)
			check("again", h, msg("a", "x"), ErrDuplicate)
			check("something else", h, msg("a", "y"), nil)
		}
		check("of another peer", own, msg("b", "x"), nil)
		check("of another peer", anybody, msg("b", "x"), ErrDuplicate)
		check("peer and body are told apart", own, msg("ab", "c"), nil)
		check("peer and body are told apart", own, msg("a", "bc"), nil)
		check("parts", own, Message{Peer: "p", Parts: [][]byte{[]byte("1"), []byte("2")}}, nil)
		check("other parts", own, Message{Peer: "p", Parts: [][]byte{[]byte("12")}}, nil)
		check("parts", own, Message{Peer: "p", Parts: [][]byte{[]byte("1"), []byte("2")}}, ErrDuplicate)

		fail = errors.New("no")
		check("fails", own, msg("a", "z"), fail)
		fail = nil
		check("failed before", own, msg("a", "z"), nil)
		check("again", own, msg("a", "z"), ErrDuplicate)

		time.Sleep(10 * time.Minute)
		check("ten minutes later", own, msg("a", "z"), nil)
		check("ten minutes later", anybody, msg("a", "x"), nil)
	})
}

// After a panic the message may come again.
func TestDedupPanic(t *testing.T) {
	h := Chain(func(context.Context, Message) error { panic("no") }, Dedup(DedupConfig{}))
	for range 2 {
		var p *PanicError
		if err := safely(h, t.Context(), msg("a", "x")); !errors.As(err, &p) {
			t.Errorf("got %v", err)
		}
	}
}

func TestDedupIsBounded(t *testing.T) {
	s := &seen{cfg: DedupConfig{TTL: time.Hour, Entries: 100}, at: make(map[digest]uint64)}
	now := time.Unix(1000, 0)
	for i := range 10_000 {
		d := s.digest(msg("p", fmt.Sprint(i)))
		number, first := s.add(d, now)
		if !first {
			t.Fatalf("message %d is a duplicate", i)
		}
		if i%3 == 0 {
			s.remove(d, number)
		}
		if len(s.at) > 100 || len(s.queue) > 100 || cap(s.queue) > 400 {
			t.Fatalf("%d in the map, %d in a queue of %d", len(s.at), len(s.queue), cap(s.queue))
		}
	}
	if _, first := s.add(s.digest(msg("p", "9998")), now); first {
		t.Error("a recent one was forgotten")
	}
	if _, first := s.add(s.digest(msg("p", "1")), now.Add(2*time.Hour)); !first || len(s.queue) != 1 {
		t.Errorf("%d entries are left after their time", len(s.queue))
	}
}
