package pipeline

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Over is what RateLimit does with a message over the limit.
type Over int

// What there is to do.
const (
	// Wait: the message waits until it is within the limit, and with it the
	// peer's stream. Others take its place in the pipeline meanwhile.
	Wait Over = iota
	// Drop: the message fails with ErrRateLimit.
	Drop
	// Report: the message fails with a *FloodError, which asks for a ban.
	Report
)

// RateLimitConfig says how much a peer may send, or be sent. Its zero value
// works.
type RateLimitConfig struct {
	Rate  float64       // messages a second in the long run. 0 means 100
	Burst int           // messages at once after a pause. 0 means 10
	Over  Over          // what happens beyond that
	Ban   time.Duration // what a FloodError asks for. 0 means 10 min
	Peers int           // peers that are kept count of; beyond, one that was counted starts anew. 0 means 4,096
}

// ErrRateLimit is the error of a message over the limit of RateLimit.
var ErrRateLimit = errors.New("pipeline: over the rate limit")

// FloodError is the error of a message over the limit of a RateLimit with Report.
type FloodError struct{ ban time.Duration }

// Error implements error.
func (e *FloodError) Error() string { return ErrRateLimit.Error() }

// Unwrap returns ErrRateLimit.
func (e *FloodError) Unwrap() error { return ErrRateLimit }

// BanFor returns RateLimitConfig.Ban.
func (e *FloodError) BanFor() time.Duration { return e.ban }

// RateLimit gives each peer a bucket of Burst tokens that fills with Rate tokens a
// second; a message takes one. The crate of 2020 limits what it receives from a
// peer to 10 messages in 100 ms and has the rest wait: that is the zero value.
func RateLimit(cfg RateLimitConfig) Middleware {
	if cfg.Rate == 0 {
		cfg.Rate = 100
	}
	if cfg.Burst == 0 {
		cfg.Burst = 10
	}
	if cfg.Ban == 0 {
		cfg.Ban = 10 * time.Minute
	}
	if cfg.Peers == 0 {
		cfg.Peers = 4096
	}
	l := &limiter{cfg: cfg, buckets: make(map[peer.ID]*bucket)}
	return func(next Handler) Handler {
		return func(ctx context.Context, m Message) error {
			if err := l.pass(ctx, m.Peer); err != nil {
				return err
			}
			return next(ctx, m)
		}
	}
}

type limiter struct {
	cfg RateLimitConfig

	mu      sync.Mutex // guards what follows
	buckets map[peer.ID]*bucket
}

// bucket has tokens as of a time; fewer than 0 if messages wait for them.
type bucket struct {
	tokens float64
	at     time.Time
}

func (l *limiter) pass(ctx context.Context, p peer.ID) error {
	wait := l.take(p, time.Now())
	switch {
	case wait <= 0:
		return nil
	case l.cfg.Over == Drop:
		return ErrRateLimit
	case l.cfg.Over == Report:
		return &FloodError{l.cfg.Ban}
	}
	err := pause(ctx, wait)
	if err != nil {
		l.giveBack(p)
	}
	return err
}

// take returns how long a message of a peer is too early. If messages do not
// wait, it takes no token then.
func (l *limiter) take(p peer.ID, now time.Time) time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	b := l.buckets[p]
	if b == nil {
		if len(l.buckets) >= l.cfg.Peers {
			l.forget(now)
		}
		b = &bucket{tokens: float64(l.cfg.Burst), at: now}
		l.buckets[p] = b
	}
	b.tokens, b.at = l.fill(b, now), now
	if b.tokens < 1 && l.cfg.Over != Wait {
		return time.Duration((1 - b.tokens) / l.cfg.Rate * float64(time.Second))
	}
	b.tokens--
	return time.Duration(-b.tokens / l.cfg.Rate * float64(time.Second))
}

func (l *limiter) giveBack(p peer.ID) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if b := l.buckets[p]; b != nil {
		b.tokens++
	}
}

func (l *limiter) fill(b *bucket, now time.Time) float64 {
	return min(float64(l.cfg.Burst), b.tokens+now.Sub(b.at).Seconds()*l.cfg.Rate)
}

// forget makes room for a peer: those with a full bucket are as good as unknown;
// if there are none, one goes that was in the way.
func (l *limiter) forget(now time.Time) {
	before := len(l.buckets)
	for p, b := range l.buckets {
		if l.fill(b, now) >= float64(l.cfg.Burst) {
			delete(l.buckets, p)
		}
	}
	if len(l.buckets) < before {
		return
	}
	for p := range l.buckets {
		delete(l.buckets, p)
		return
	}
}
