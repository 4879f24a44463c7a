package yamux

import "time"

// deadline belongs to one direction of a stream, under the stream's lock. Its
// timer is left alone as long as it does not fire too late: who sets a new
// deadline for each message pays for no timer.
type deadline struct {
	at     time.Time // zero: none
	passed bool
	timer  *time.Timer // made with the first deadline
	fires  time.Time   // when the timer does; zero: it does not
}

// set sets the deadline and wakes everybody who waits when it passes.
func (d *deadline) set(t time.Time, who *waiters) {
	d.at, d.passed = t, false
	if !t.IsZero() {
		d.wait(who)
	}
}

// wait notes that the deadline has passed, or sees to it that the timer does.
func (d *deadline) wait(who *waiters) {
	left := time.Until(d.at)
	switch {
	case left <= 0:
		d.passed = true
		who.wake()
		return
	case !d.fires.IsZero() && !d.at.Before(d.fires):
		return
	case d.timer == nil:
		d.timer = time.AfterFunc(left, func() { d.fired(who) })
	default:
		d.timer.Reset(left)
	}
	d.fires = d.at
}

// fired looks whether the deadline is still the one that the timer was set for.
func (d *deadline) fired(who *waiters) {
	who.L.Lock()
	defer who.L.Unlock()
	d.fires = time.Time{}
	if !d.at.IsZero() && !d.passed {
		d.wait(who)
	}
}

// stop stops the timer, so that it does not keep a stream that is gone in memory.
func (d *deadline) stop() {
	if d.timer != nil && d.timer.Stop() {
		d.fires = time.Time{}
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
