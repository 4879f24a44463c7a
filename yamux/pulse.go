package yamux

import (
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"
)

// rttAge is how long a round-trip time is believed.
const rttAge = 10 * time.Second

// pulse notices a dead peer and measures the round-trip time, both with pings.
// An idle connection carries none until Config.KeepAlive of silence: the
// round-trip time is measured only while windows are in use.
type pulse struct {
	s     *Session
	born  time.Time
	heard atomic.Int64 // when a byte arrived last, since born
	held  atomic.Bool  // we do not read at the moment, silence means nothing

	mu       sync.Mutex
	timer    *time.Timer
	asked    time.Duration // when, since born, a sign of life was asked for; 0: not
	nonce    uint32
	sent     time.Time // zero: no ping is on its way
	measured time.Time
	rtt      time.Duration
	stopped  bool
}

func (p *pulse) start(s *Session) {
	p.s, p.born = s, time.Now()
	if s.cfg.KeepAlive <= 0 {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.timer = time.AfterFunc(s.cfg.KeepAlive, p.tick)
}

func (p *pulse) stop() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.stopped = true
	if p.timer != nil {
		p.timer.Stop()
	}
}

// beat notes that the peer is alive: each byte is a sign of life.
func (p *pulse) beat() { p.heard.Store(int64(time.Since(p.born))) }

func (p *pulse) tick() {
	if p.dead() {
		p.s.fail(ErrKeepAlive)
	}
}

func (p *pulse) dead() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.stopped {
		return false
	}
	limit := p.s.cfg.KeepAlive
	now, heard := time.Since(p.born), time.Duration(p.heard.Load())
	if p.held.Load() {
		heard = now
	}
	switch {
	case p.asked > heard:
		return true
	case now-heard < limit:
		p.asked = 0
		p.timer.Reset(limit - (now - heard))
	default:
		p.asked = now
		p.ping()
		p.timer.Reset(limit)
	}
	return false
}

// ping sends a ping, also if one is on its way already.
func (p *pulse) ping() {
	p.nonce, p.sent = rand.Uint32(), time.Now()
	p.s.w.control(header{kind: typePing, flags: flagSYN, length: p.nonce})
}

// pong takes an answer; one that was not asked for means nothing.
func (p *pulse) pong(nonce uint32) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent.IsZero() || nonce != p.nonce {
		return
	}
	p.measured = time.Now()
	p.rtt = p.measured.Sub(p.sent)
	p.sent = time.Time{}
}

// last is the round-trip time as it was measured last.
func (p *pulse) last() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.rtt
}

// roundTrip returns the round-trip time, 0 if it is not known yet, and has it
// measured again when it is old.
func (p *pulse) roundTrip() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.sent.IsZero() && (p.measured.IsZero() || time.Since(p.measured) > rttAge) {
		p.ping()
	}
	return p.rtt
}
