package rpc

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

func (h *harness) pool(cfg PoolConfig) *Pool {
	p := NewPool(h.host, "alice", testService, cfg)
	h.t.Cleanup(func() { p.Close() })
	return p
}

// waiting makes n calls that wait until the returned function is called.
func waiting(c Caller, n int) (release func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for range n {
		all.Go(func() { _, _ = wait.Call(ctx, c, nil) })
	}
	synctest.Wait()
	return func() { cancel(); all.Wait() }
}

// Sessions are opened when they are needed, up to the limit, and used again.
func TestPoolOpensLazily(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{MaxSessions: 3})
		for busy, want := range []int{1, 2, 3, 3, 3} {
			release := waiting(p, busy)
			if busy < 3 {
				works(t, p)
			}
			if n := p.Sessions(); n != want || h.server.Sessions() != want {
				t.Errorf("with %d calls under way: %d sessions", busy, n)
			}
			release()
		}
		works(t, p)
		if n := p.Sessions(); n != 3 {
			t.Errorf("%d sessions", n)
		}
	})
}

// When all sessions are busy, the one with the fewest calls is next.
func TestPoolLeastUsed(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{MaxSessions: 2})
		for range 4 {
			defer waiting(p, 1)()
		}
		if p.sessions[0].uses != 2 || p.sessions[1].uses != 2 {
			t.Errorf("%d and %d calls", p.sessions[0].uses, p.sessions[1].uses)
		}
	})
}

// Calls that come while the sessions are being opened wait for one of them.
func TestPoolRush(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{MaxSessions: 2})
		var all sync.WaitGroup
		for range 50 {
			all.Go(func() { works(t, p) })
		}
		all.Wait()
		if n := p.Sessions(); n > 2 || h.server.Sessions() != n {
			t.Errorf("%d sessions, %d at the server", n, h.server.Sessions())
		}
		ours, _ := streamPair("alice")
		silent := NewPool(oneStream{ours}, "alice", testService, PoolConfig{MaxSessions: 1})
		all.Go(func() { _, _ = echo.Call(context.Background(), silent, nil) })
		synctest.Wait()
		ctx, cancel := context.WithTimeout(context.Background(), second)
		defer cancel()
		if _, err := echo.Call(ctx, silent, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		all.Wait()
	})
}

// A server that has no more sessions is no error as long as there is one.
func TestPoolAtFullServer(t *testing.T) {
	bubble(t, ServerConfig{MaxPeerSessions: 2, KeepOldest: true}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{MaxSessions: 10})
		release := waiting(p, 2)
		third := make(chan struct{})
		go func() { works(t, p); close(third) }()
		synctest.Wait()
		if n := p.Sessions(); n != 2 {
			t.Errorf("%d sessions", n)
		}
		release()
		<-third

		other := h.pool(PoolConfig{})
		if _, err := echo.Call(context.Background(), other, nil); !rejected(err, RejectServerFull) {
			t.Errorf("got %v", err)
		}
		p.Close()
		time.Sleep(noRetryWhenFull)
		works(t, other)
	})
}

// Sessions that have ended are replaced.
func TestPoolPrunes(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{})
		works(t, p)
		h.server.ClosePeer("alice")
		synctest.Wait()
		if _, err := echo.Call(context.Background(), p, nil); !is[*SessionError](err) {
			t.Errorf("got %v", err)
		}
		works(t, p)
		if n := p.Sessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// What may be called twice is called again, on another session, unless there was
// an answer already.
func TestPoolCallsAgain(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		again, items := echo, stall
		again.Repeatable, items.Repeatable = true, true
		p := h.pool(PoolConfig{})
		for round := range 4 {
			release := waiting(p, round)
			works(t, p)
			release()
			h.server.ClosePeer("alice")
			synctest.Wait()
			if round%2 == 0 {
				if _, err := again.Call(context.Background(), p, nil); err != nil {
					t.Errorf("round %d: %v", round, err)
				}
				continue
			}
			got, end := 0, error(nil)
			for _, err := range items.Call(context.Background(), p, wrapperspb.UInt64(5)) {
				if end = err; err != nil {
					continue
				}
				if got++; got == 5 {
					h.server.ClosePeer("alice")
				}
			}
			if got != 5 || !is[*SessionError](end) {
				t.Errorf("round %d: %d items, then %v", round, got, end)
			}
		}
		c := h.connect("alice", ClientConfig{})
		h.server.ClosePeer("alice")
		synctest.Wait()
		if _, err := again.Call(context.Background(), c, nil); !is[*SessionError](err) {
			t.Errorf("a single session: %v", err)
		}
		p.Close()
		if _, err := again.Call(context.Background(), p, nil); !errors.Is(err, errClosed) {
			t.Errorf("a closed pool: %v", err)
		}

		// A server that ends each session is not asked for ever.
		sessions := 0
		h.host.SetStreamHandler("t/ends/1", func(s network.Stream) {
			sessions++
			s.Write(appendFrame(nil, helloReply{}))
			s.CloseWrite()
		})
		ends := NewPool(h.host, "alice", "t/ends/1", PoolConfig{})
		if _, err := again.Call(context.Background(), ends, nil); !is[*SessionError](err) || sessions != 5 {
			t.Errorf("after %d sessions: %v", sessions, err)
		}
	})
}

// A refusal while another call opens the first session is not an error either.
func TestPoolRushAtFullServer(t *testing.T) {
	bubble(t, ServerConfig{MaxSessions: 1, KeepOldest: true}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{MaxSessions: 4})
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() { works(t, p) })
		}
		all.Wait()
		if n := p.Sessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
	})
}

// Sessions that nobody uses are given back.
func TestPoolCulls(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{Idle: 10 * second})
		waiting(p, 3)()
		time.Sleep(6 * second)
		works(t, p)
		long := waiting(p, 1)
		for _, c := range []struct {
			after time.Duration
			want  int
		}{{3 * second, 3}, {second, 1}, {second, 1}, {time.Minute, 1}} {
			time.Sleep(c.after)
			synctest.Wait()
			if n := p.Sessions(); n != c.want || h.server.Sessions() != c.want {
				t.Errorf("after %v more: %d sessions, %d at the server", c.after, n, h.server.Sessions())
			}
		}
		long()
		time.Sleep(10*second + 1)
		synctest.Wait()
		if n := p.Sessions() + h.server.Sessions(); n != 0 {
			t.Errorf("%d sessions in the end", n)
		}
		works(t, p)
	})
}

func TestClosePool(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := h.pool(PoolConfig{})
		var calls sync.WaitGroup
		calls.Go(func() {
			if _, err := wait.Call(context.Background(), p, nil); !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		p.Close()
		calls.Wait()
		if _, err := echo.Call(context.Background(), p, nil); !is[*SessionError](err) {
			t.Errorf("got %v", err)
		}
		time.Sleep(leadTime)
		synctest.Wait()
		if n := h.server.Sessions(); n != 0 {
			t.Errorf("%d sessions", n)
		}
	})
	// One that opens a session at that moment gets none.
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := streamPair("alice")
		p := NewPool(oneStream{ours}, "alice", testService, PoolConfig{})
		var call sync.WaitGroup
		call.Go(func() {
			if _, err := echo.Call(context.Background(), p, nil); !errors.Is(err, errClosed) {
				t.Errorf("got %v", err)
			}
		})
		synctest.Wait()
		p.Close()
		theirs.Write(appendFrame(nil, helloReply{}))
		call.Wait()
	})
}
