package rpc

import (
	"sync"
	"time"
)

// slow notices a unary call that takes longer than leadTime. It has one timer,
// which calls that are over in time leave alone.
type slow struct {
	attend func(*call) // called, on a goroutine of its own, for such a call

	mu    sync.Mutex
	timer *time.Timer // made with the first call
	armed bool
	call  *call // that runs; nil: none, or one that is attended to
	since time.Time
}

func (s *slow) begin(c *call) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.call, s.since = c, time.Now()
	switch {
	case s.armed:
		return
	case s.timer == nil:
		s.timer = time.AfterFunc(leadTime, s.fired)
	default:
		s.timer.Reset(leadTime)
	}
	s.armed = true
}

// end is true if the call was over in time.
func (s *slow) end() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	inTime := s.call != nil
	s.call = nil
	return inTime
}

func (s *slow) fired() {
	if c := s.late(); c != nil {
		s.attend(c)
	}
}

// late is the call that runs if it takes longer than it should.
func (s *slow) late() *call {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.call
	if c != nil {
		if left := leadTime - time.Since(s.since); left > 0 {
			s.timer.Reset(left)
			return nil
		}
	}
	s.call, s.armed = nil, false
	return c
}

// stop is after the last call.
func (s *slow) stop() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.timer != nil {
		s.timer.Stop()
	}
}
