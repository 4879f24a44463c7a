package connectivity

import "time"

// breaker stops the filling of the pool after rounds without a success.
type breaker struct {
	cfg    Breaker
	failed int       // rounds without a success since the last one
	until  time.Time // closed again from here on, for a trial
}

func (b *breaker) open(now time.Time) bool { return now.Before(b.until) }

// trial is a round after the pause, whose outcome decides.
func (b *breaker) trial() bool { return b.failed >= b.cfg.Rounds }

// ended takes the outcome of a round. Each failed one after the last allowed begins another pause.
func (b *breaker) ended(success bool, now time.Time) {
	if success {
		b.reset()
		return
	}
	if b.failed++; b.failed >= b.cfg.Rounds {
		b.until = now.Add(b.cfg.Pause)
	}
}

func (b *breaker) reset() { b.failed, b.until = 0, time.Time{} }

// pace lets a number of dials begin in any minute.
type pace struct {
	last []time.Time // the last dials, in a ring
	next int         // the oldest of them
}

func newPace(perMinute int) *pace { return &pace{last: make([]time.Time, perMinute)} }

// free is when the next dial may begin; zero or in the past: now.
func (p *pace) free() time.Time {
	if p.last[p.next].IsZero() {
		return time.Time{}
	}
	return p.last[p.next].Add(time.Minute)
}

func (p *pace) take(now time.Time) {
	p.last[p.next] = now
	p.next = (p.next + 1) % len(p.last)
}

// tally estimates how many of our dials succeed, from the last of them.
type tally struct {
	outcomes []bool
	next     int
}

const tallied = 100 // as many as tari_comms remembers

func (t *tally) note(success bool) {
	if len(t.outcomes) < tallied {
		t.outcomes = append(t.outcomes, success)
		return
	}
	t.outcomes[t.next] = success
	t.next = (t.next + 1) % tallied
}

// rate is tari_comms' estimate: a quarter with no data, never below a tenth.
func (t *tally) rate() float64 {
	return max(0.1, float64(1+t.good())/float64(4+len(t.outcomes)))
}

// share is all that succeeded so far, and everything at first.
func (t *tally) share() float64 { return float64(1+t.good()) / float64(1+len(t.outcomes)) }

func (t *tally) good() (n int) {
	for _, ok := range t.outcomes {
		if ok {
			n++
		}
	}
	return n
}
