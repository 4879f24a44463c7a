package pipeline

import (
	"context"
	"errors"
	"log/slog"
	"maps"
	"sync"
	"time"

	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// Outcome is a word for what became of a message: "ok", or why not. It is one of
// few, whatever peers send.
func Outcome(err error) string {
	var panicked *PanicError
	reason := messagingproto.ReasonOf(err)
	switch {
	case err == nil:
		return "ok"
	case errors.As(err, &panicked):
		return "panic"
	case reason != 0:
		return reason.String()
	case errors.Is(err, ErrDuplicate):
		return "duplicate"
	case errors.Is(err, ErrRateLimit):
		return "rate limit"
	case errors.Is(err, ErrEnvelope):
		return "bad envelope"
	case errors.Is(err, ErrTimeLimit), errors.Is(err, context.DeadlineExceeded):
		return "timeout"
	case errors.Is(err, ErrClosed), errors.Is(err, context.Canceled):
		return "cancelled"
	}
	return "failed"
}

// Logging logs every message when it is through: the peer, how many bytes, how
// long it took, and at level warn the error if there was one, otherwise at level
// debug. It never logs what is in a message. name is the log's message, such as
// "inbound".
func Logging(to slog.Handler, name string) Middleware {
	log := slog.New(to)
	return func(next Handler) Handler {
		return func(ctx context.Context, m Message) error {
			start := time.Now()
			size := m.size()
			err := safely(next, ctx, m)
			level, attrs := slog.LevelDebug, []slog.Attr{
				slog.String("peer", m.Peer.String()),
				slog.Int("bytes", size),
				slog.Duration("took", time.Since(start)),
				slog.String("outcome", Outcome(err)),
			}
			if err != nil {
				level, attrs = slog.LevelWarn, append(attrs, slog.Any("error", err))
			}
			log.LogAttrs(ctx, level, name, attrs...)
			return err
		}
	}
}

func (m Message) size() int {
	if m.Body != nil || m.Parts == nil {
		return len(m.Body)
	}
	n := 0
	for _, p := range m.Parts {
		n += len(p)
	}
	return n
}

// Metrics counts messages. Its zero value is ready; give its Middleware to one
// pipeline.
type Metrics struct {
	mu sync.Mutex // guards what follows
	s  Counters
}

// Counters is what Metrics has counted.
type Counters struct {
	Messages map[string]uint64 // messages that are through, by their Outcome
	Bytes    uint64            // their bytes
	Busy     time.Duration     // how long they took, together
	Running  int               // messages that are not through
}

// Middleware counts what the next handler does. On the way out "ok" means that
// the message is queued for its peer.
func (c *Metrics) Middleware(next Handler) Handler {
	return func(ctx context.Context, m Message) error {
		c.mu.Lock()
		c.s.Running++
		c.mu.Unlock()
		start := time.Now()
		size := m.size()
		err := safely(next, ctx, m)
		took := time.Since(start)
		c.mu.Lock()
		defer c.mu.Unlock()
		if c.s.Messages == nil {
			c.s.Messages = make(map[string]uint64)
		}
		c.s.Messages[Outcome(err)]++
		c.s.Bytes += uint64(size)
		c.s.Busy += took
		c.s.Running--
		return err
	}
}

// Counters returns what was counted so far.
func (c *Metrics) Counters() Counters {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.s
	s.Messages = maps.Clone(s.Messages)
	return s
}
