package rpc

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Pools has a Pool for each service of each peer that is called. Those that are
// not used are forgotten. It is made by NewPools and safe for concurrent use.
type Pools struct {
	host Streams
	cfg  PoolConfig // of each

	mu      sync.Mutex // guards what follows
	closed  bool
	all     map[target]*shared
	sweepAt int // how many there may be before those that are empty are forgotten
}

// target is a service of a peer.
type target struct {
	peer    peer.ID
	service protocol.ID
}

// shared is a pool with the number of those that are about to use it, or do.
type shared struct {
	*Pool
	uses int
}

// minSweep is how many pools are not worth looking through.
const minSweep = 64

// NewPools makes what has no pool yet. cfg is that of each.
func NewPools(h Streams, cfg PoolConfig) *Pools {
	return &Pools{host: h, cfg: cfg.withDefaults(), all: make(map[target]*shared), sweepAt: minSweep}
}

// To is a Caller of a service of a peer. It may be kept.
func (p *Pools) To(to peer.ID, service protocol.ID) Caller { return remote{p, target{to, service}} }

// Sessions returns how many sessions there are, of all pools.
func (p *Pools) Sessions() (n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, s := range p.all {
		n += s.Sessions()
	}
	return n
}

// Close ends all sessions. Calls that run end with a *SessionError, and so do
// all after it.
func (p *Pools) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	for _, s := range p.all {
		_ = s.Close()
	}
	clear(p.all)
	return nil
}

// hold finds a pool, or makes it. Until it is let go it is not forgotten.
func (p *Pools) hold(to target) (*shared, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return nil, &SessionError{errClosed}
	}
	s := p.all[to]
	if s == nil {
		if len(p.all) >= p.sweepAt {
			p.sweep()
		}
		s = &shared{Pool: NewPool(p.host, to.peer, to.service, p.cfg)}
		p.all[to] = s
	}
	s.uses++
	return s, nil
}

func (p *Pools) letGo(s *shared) {
	p.mu.Lock()
	defer p.mu.Unlock()
	s.uses--
}

// sweep forgets pools without a session, with mu held. It comes so seldom that it
// costs each new pool a constant time.
func (p *Pools) sweep() {
	for to, s := range p.all {
		if s.uses == 0 && s.Sessions() == 0 {
			_ = s.Close()
			delete(p.all, to)
		}
	}
	p.sweepAt = max(minSweep, 2*len(p.all))
}

// remote makes a service of a peer a Caller.
type remote struct {
	pools *Pools
	target
}

func (r remote) session(ctx context.Context) (*Client, func(), error) {
	s, err := r.pools.hold(r.target)
	if err != nil {
		return nil, nil, err
	}
	c, release, err := s.session(ctx)
	if err != nil {
		r.pools.letGo(s)
		return nil, nil, err
	}
	return c, func() {
		release()
		r.pools.letGo(s)
	}, nil
}

func (r remote) again(failed int, err error) bool {
	r.pools.mu.Lock()
	defer r.pools.mu.Unlock()
	return !r.pools.closed && r.pools.cfg.again(failed, err)
}
