package pipeline

import (
	"context"
	"crypto/sha256"
	"errors"
	"sync"
	"time"
)

// ErrDuplicate is the error of a message that was there before.
var ErrDuplicate = errors.New("pipeline: message was there before")

// DedupConfig says what Dedup remembers. Its zero value works.
type DedupConfig struct {
	TTL     time.Duration // how long. 0 means 10 min
	Entries int           // how many messages; beyond, the oldest is forgotten. 0 means 10,000, about 1 MB
	// AnyPeer: the same bytes of another peer are a duplicate too, as with
	// messages that several neighbours pass on.
	AnyPeer bool
}

// Dedup lets a message pass once; the same bytes again fail with ErrDuplicate. It
// remembers hashes. A message whose handling failed may come again; one that
// comes while the first is being handled is a duplicate already.
func Dedup(cfg DedupConfig) Middleware {
	if cfg.TTL == 0 {
		cfg.TTL = 10 * time.Minute
	}
	if cfg.Entries == 0 {
		cfg.Entries = 10_000
	}
	s := &seen{cfg: cfg, at: make(map[digest]uint64)}
	return func(next Handler) Handler {
		return func(ctx context.Context, m Message) error {
			d := s.digest(m)
			number, first := s.add(d, time.Now())
			if !first {
				return ErrDuplicate
			}
			handled := false
			defer func() {
				if !handled { // also by a panic
					s.remove(d, number)
				}
			}()
			err := next(ctx, m)
			handled = err == nil
			return err
		}
	}
}

type digest [sha256.Size]byte

// seen is a queue of digests, the oldest first, and where to find them.
type seen struct {
	cfg DedupConfig

	mu    sync.Mutex // guards what follows
	at    map[digest]uint64
	queue []sighting
	next  uint64 // number of the next sighting
}

type sighting struct {
	digest digest
	number uint64
	until  time.Time
}

func (s *seen) digest(m Message) (d digest) {
	h := sha256.New()
	if !s.cfg.AnyPeer {
		h.Write([]byte{byte(len(m.Peer))})
		h.Write([]byte(m.Peer))
	}
	h.Write(m.Body)
	if m.Body == nil {
		h.Write(AppendEnvelope(nil, m.Parts...))
	}
	h.Sum(d[:0])
	return d
}

// add notes a message and says whether it was unknown.
func (s *seen) add(d digest, now time.Time) (number uint64, first bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for len(s.queue) > 0 && !s.queue[0].until.After(now) {
		s.drop()
	}
	if _, known := s.at[d]; known {
		return 0, false
	}
	if len(s.queue) >= s.cfg.Entries {
		s.drop()
	}
	s.next++
	s.at[d] = s.next
	s.queue = append(s.queue, sighting{d, s.next, now.Add(s.cfg.TTL)})
	return s.next, true
}

// drop forgets the oldest sighting. s.mu is held.
func (s *seen) drop() {
	oldest := s.queue[0]
	s.queue = s.queue[1:] // append moves the rest to the front of a new array now and then
	if s.at[oldest.digest] == oldest.number {
		delete(s.at, oldest.digest)
	}
}

// remove forgets a message whose handling failed, unless it was noted anew.
func (s *seen) remove(d digest, number uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at[d] == number {
		delete(s.at, d)
	}
}
