package yamux

import (
	"sync"
	"time"
)

// deadline belongs to one direction of a stream, under the stream's lock.
type deadline struct {
	timer  *time.Timer
	passed bool
}

// set sets the deadline and wakes everybody who waits on cond when it passes.
func (d *deadline) set(t time.Time, cond *sync.Cond) {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
	d.passed = false
	switch left := time.Until(t); {
	case t.IsZero():
	case left <= 0:
		d.passed = true
		cond.Broadcast()
	default:
		var timer *time.Timer
		timer = time.AfterFunc(left, func() {
			cond.L.Lock()
			defer cond.L.Unlock()
			if d.timer == timer { // else it was set anew meanwhile
				d.passed = true
				cond.Broadcast()
			}
		})
		d.timer = timer
	}
}

// SetDeadline sets both deadlines; the zero time means none.
func (st *Stream) SetDeadline(t time.Time) error {
	_ = st.SetReadDeadline(t)
	return st.SetWriteDeadline(t)
}

// SetReadDeadline ends waiting Reads at t, and lets later ones fail.
func (st *Stream) SetReadDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.readLimit.set(t, &st.readable)
	return nil
}

// SetWriteDeadline ends waiting Writes at t, and lets later ones fail. A Write
// that was cut short says how much it has queued.
func (st *Stream) SetWriteDeadline(t time.Time) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.writeLimit.set(t, &st.writable)
	return nil
}
