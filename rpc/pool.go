package rpc

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// PoolConfig is what NewPool needs to know. Its zero value works.
type PoolConfig struct {
	Client ClientConfig
	// MaxSessions is how many sessions there are at most. 0 means 4: a server of
	// tari_comms gives a peer 10, for all of its services.
	MaxSessions int
	// Idle is how long a session without a call is kept. 0 means 1 min; what we
	// keep takes a place at the server.
	Idle time.Duration
}

func (cfg PoolConfig) withDefaults() PoolConfig {
	cfg.MaxSessions = max(1, orDefault(cfg.MaxSessions, 4))
	cfg.Idle = orDefault(cfg.Idle, time.Minute)
	return cfg
}

// again is true when the session ended, as often as there may be sessions: all
// of them may have ended unseen.
func (cfg PoolConfig) again(failed int, err error) bool {
	_, ended := errors.AsType[*SessionError](err)
	return ended && failed <= cfg.MaxSessions
}

// Pool is a Caller that opens sessions with a service of one peer as they are
// needed. It is made by NewPool and safe for concurrent use.
type Pool struct {
	connect func(context.Context) (*Client, error)
	cfg     PoolConfig

	mu       sync.Mutex // guards what follows
	closed   bool
	sessions []*pooled
	opening  int
	opened   chan struct{} // closed and replaced when one more is open, or is not to be
	full     time.Time     // until then the server is not asked for more
	culling  *time.Timer
}

// pooled is a session of a pool.
type pooled struct {
	*Client
	uses int       // calls that run on it or wait for it
	idle time.Time // since when there are none
}

// NewPool makes a pool. It opens nothing yet.
func NewPool(h Streams, to peer.ID, service protocol.ID, cfg PoolConfig) *Pool {
	return &Pool{cfg: cfg.withDefaults(), opened: make(chan struct{}), connect: func(ctx context.Context) (*Client, error) {
		return Connect(ctx, h, to, service, cfg.Client)
	}}
}

// Sessions returns how many sessions there are.
func (p *Pool) Sessions() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.sessions)
}

// Close ends the sessions. Calls that run end with a *SessionError, and so do
// all after it.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	if p.culling != nil {
		p.culling.Stop()
	}
	for _, s := range p.sessions {
		_ = s.Close()
	}
	p.sessions = nil
	return nil
}

// session finds a session that nobody uses, else opens one, else takes the one
// with the fewest calls, which will be made one after the other.
func (p *Pool) session(ctx context.Context) (*Client, func(), error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	best := p.leastUsed()
	for best == nil && p.opening == p.cfg.MaxSessions {
		if err := p.waitForOpening(ctx); err != nil {
			return nil, nil, err
		}
		best = p.leastUsed()
	}
	if p.closed {
		return nil, nil, &SessionError{errClosed}
	}
	canOpen := len(p.sessions)+p.opening < p.cfg.MaxSessions && !time.Now().Before(p.full)
	if best != nil && (best.uses == 0 || !canOpen) {
		return p.lease(best)
	}

	p.opening++
	p.mu.Unlock()
	c, err := p.connect(ctx)
	p.mu.Lock()
	p.opening--
	close(p.opened)
	p.opened = make(chan struct{})
	var rejected *RejectedError
	switch {
	case err == nil && p.closed:
		_ = c.Close()
		return nil, nil, &SessionError{errClosed}
	case err == nil:
		s := &pooled{Client: c}
		p.sessions = append(p.sessions, s)
		return p.lease(s)
	case errors.As(err, &rejected) && (rejected.Reason == RejectServerFull || rejected.Reason == RejectClientFull):
		p.full = time.Now().Add(noRetryWhenFull)
		p.prune()
		best := p.leastUsed()
		for best == nil && p.opening > 0 && p.waitForOpening(ctx) == nil {
			best = p.leastUsed()
		}
		if best != nil && !p.closed {
			return p.lease(best)
		}
	}
	return nil, nil, err
}

func (p *Pool) again(failed int, err error) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return !p.closed && p.cfg.again(failed, err)
}

// waitForOpening waits, without mu, until one of those that open a session is
// done.
func (p *Pool) waitForOpening(ctx context.Context) error {
	opened := p.opened
	p.mu.Unlock()
	defer p.mu.Lock()
	select {
	case <-opened:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("rpc: %w", context.Cause(ctx))
	}
}

// lease counts a use until it is released.
func (p *Pool) lease(s *pooled) (*Client, func(), error) {
	s.uses++
	return s.Client, func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		if s.uses--; s.uses > 0 {
			return
		}
		s.idle = time.Now()
		if p.culling == nil && !p.closed {
			p.culling = time.AfterFunc(p.cfg.Idle, p.cull)
		}
	}, nil
}

func (p *Pool) leastUsed() *pooled {
	if len(p.sessions) == 0 {
		return nil
	}
	return slices.MinFunc(p.sessions, func(a, b *pooled) int { return a.uses - b.uses })
}

// prune forgets sessions that have ended.
func (p *Pool) prune() {
	p.sessions = slices.DeleteFunc(p.sessions, func(s *pooled) bool { return s.Err() != nil })
}

// cull ends the sessions that were idle for too long, and comes back when the
// next may be.
func (p *Pool) cull() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.prune()
	p.culling = nil
	if p.closed {
		return
	}
	next, now := time.Duration(-1), time.Now()
	p.sessions = slices.DeleteFunc(p.sessions, func(s *pooled) bool {
		left := p.cfg.Idle - now.Sub(s.idle)
		switch {
		case s.uses > 0: // its release brings us back
			return false
		case left <= 0:
			_ = s.Close()
			return true
		}
		if next < 0 || left < next {
			next = left
		}
		return false
	})
	if next > 0 {
		p.culling = time.AfterFunc(next, p.cull)
	}
}
