package rpc

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Calls of one service of one peer share a pool, others do not; what ends a session ends no other.
func TestPools(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := NewPools(h.host, PoolConfig{MaxSessions: 2})
		defer p.Close()
		alice := p.To("alice", testService)
		works(t, alice)
		works(t, p.To("alice", testService))
		if n := h.server.Sessions(); n != 1 {
			t.Errorf("%d sessions with alice", n)
		}
		works(t, p.To("bob", testService))
		if n, of := h.server.Sessions(), h.server.PeerSessions("bob"); n != 2 || of != 1 {
			t.Errorf("%d sessions, %d with bob", n, of)
		}
		h.server.ClosePeer("alice")
		works(t, p.To("bob", testService))
		if _, err := echo.Call(context.Background(), p.To("alice", "t/none/1"), nil); err == nil {
			t.Error("a service that there is not")
		}
	})
}

// Pools that have no session any more are forgotten, so that who calls many peers, one after the other, keeps none of them.
func TestPoolsForget(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := NewPools(h.host, PoolConfig{Idle: time.Second})
		defer p.Close()
		defer waiting(p.To("busy", testService), 1)()
		for i := range 1000 {
			works(t, p.To(peer.ID(fmt.Sprint("peer ", i)), testService))
			time.Sleep(100 * time.Millisecond)
			if n := len(p.all); n > minSweep {
				t.Fatalf("%d pools after %d peers", n, i+1)
			}
		}
		if p.all[target{"busy", testService}] == nil {
			t.Error("a pool in use was forgotten")
		}
		if n := h.server.Sessions(); n > 12 { // the last ten, and the busy one
			t.Errorf("%d sessions are left", n)
		}
	})
}

func TestClosePools(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := NewPools(h.host, PoolConfig{})
		to := p.To("alice", testService)
		works(t, to)
		release := waiting(to, 1)
		p.Close()
		release()
		if _, err := echo.Call(context.Background(), to, nil); !errors.As(err, new(*SessionError)) {
			t.Errorf("a call after Close: %v", err)
		}
		p.Close()
	})
}

// A call that only reads is made again, on another session of the same pool.
func TestPoolsCallAgain(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		p := NewPools(h.host, PoolConfig{})
		to := p.To("alice", testService)
		works(t, to)
		again := echo
		again.Repeatable = true
		h.server.ClosePeer("alice") // the pool does not know yet
		if _, err := again.Call(context.Background(), to, nil); err != nil {
			t.Error(err)
		}
		p.Close()
		if _, err := again.Call(context.Background(), to, nil); !errors.As(err, new(*SessionError)) {
			t.Errorf("a call after Close: %v", err)
		}
	})
}
