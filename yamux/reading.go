package yamux

import (
	"errors"
	"math"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Who reads. One goroutine at a time: that of an AcceptStream or of a Read that waits, else one that is started for it. While nobody
// does, a timer runs, the relief, at whose end somebody will.
//
// A Read that reads gets its bytes without a change of goroutines. It leaves off when it has them, and is likely to come back soon
// for more. Until then the connection is kept for it, unless somebody else has begun to wait for the peer lately; an AcceptStream keeps it in
// the same way for a Read that waited for what it has read, and so does a Read that has waited in vain for a while. Who takes its time
// with much data is read for by another goroutine meanwhile.

const (
	// reliefAfter is how long nobody reads before a goroutine is started for it (our choice). Where AcceptStream is called all the time it
	// comes back much sooner; what waits for the peer does not wait for this.
	reliefAfter = 20 * time.Millisecond
	// reliefSoon is how long who waits for the peer waits for an AcceptStream that is about to come back, and an AcceptStream for a Read
	// (our choice).
	reliefSoon = time.Millisecond
	// pace is how soon a Read of much data comes back if it is to read for itself (our choice): who takes longer with what it got than two
	// goroutines take to change places is better served by another one that reads meanwhile.
	pace = 10 * time.Microsecond
	// patience is how long somebody has waited for the peer, on whose account a Read of another stream does not lose the connection (our
	// choice): a stream on which messages are waited for, for example.
	patience = 20 * time.Millisecond
)

// turn says whose turn it is to read.
type turn struct {
	loop    func()       // run; made once, so that starting it allocates nothing
	canLead bool         // a Read may read: the connection can be taken from it again
	waiting atomic.Int32 // who waits for the peer on a stream, but for a Read that reads; more only with the session's mutex held
	reading atomic.Bool  // somebody reads; changed with the session's mutex held

	// Behind the session's mutex:
	relief      *time.Timer // has somebody read if nobody comes to do it
	due         time.Time   // when
	fires       time.Time   // when it looks; zero: it does not
	accepts     bool        // AcceptStream has been called
	accepting   int         // AcceptStreams that wait while another goroutine reads
	awaited     bool        // one of them waited for the last stream that was opened
	kept        *Stream     // nobody reads, for the sake of its next Read
	leader      *Stream     // whose Read reads; it is the one who changes it
	wanted      int         // how much that may still get; 0: it got all it asked for, and more is there
	led         time.Time   // since when
	yields      bool        // it leaves off in favour of one that it served, which is busier
	interrupted bool        // it was told to leave off
	lately      [2]waited   // who began to wait last, and who of the others
}

// waited says when somebody began to wait for the peer, to read or to write on a stream.
type waited struct {
	who uint64
	at  time.Time
}

// errLeaveOff has who reads leave that to others.
var errLeaveOff = errors.New("yamux: others read")

// waiters are those who wait for the peer on one direction of a stream, under the lock of that.
type waiters struct {
	sync.Cond
	st    *Stream
	who   uint64 // which stream and direction
	n     int32  // of them, and not woken yet
	leads bool   // one of them, a Read, reads for the session
}

func (w *waiters) wait() { w.waitAs(w.who) }

// waitOn is wait for one that has waited before, and is not new.
func (w *waiters) waitOn() { w.waitAs(0) }

func (w *waiters) waitAs(who uint64) {
	w.n++
	w.st.s.await(who)
	w.Wait()
}

// tell wakes all for who reads.
func (w *waiters) tell() {
	w.st.s.waiting.Add(-w.n)
	w.n = 0
	w.Broadcast()
}

// wake wakes all, also one who reads.
func (w *waiters) wake() {
	w.tell()
	if w.leads {
		w.st.s.interrupt(w.st)
	}
}

// StartReading has a goroutine read if nobody does, for who uses a stream and does not call AcceptStream meanwhile. Without it that happens soon.
func (s *Session) StartReading() {
	if s.reading.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.reading.Load() {
		s.startReading()
	}
}

func (s *Session) startReading() {
	s.takeOver()
	go s.loop() // ends with the connection, or when others read; Close waits for it
}

// takeOver makes the caller the one who reads. It is called with the mutex held, as all that follow up to run.
func (s *Session) takeOver() {
	s.reading.Store(true)
	s.kept, s.wanted = nil, math.MaxInt
}

// relieveIn has somebody read in d if nobody does until then. Its timer is left alone as long as it does not fire too late: if it is
// set it fires when it is due, or before that and looks.
func (s *Session) relieveIn(d time.Duration) {
	s.due = time.Now().Add(d)
	if s.fires.IsZero() || s.due.Before(s.fires) {
		s.relief.Reset(d)
		s.fires = s.due
	}
}

// relieve is called by the timer.
func (s *Session) relieve() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.fires = time.Time{}
	if s.reading.Load() {
		return
	}
	if left := time.Until(s.due); left > 0 {
		s.relieveIn(left)
		return
	}
	s.fill()
}

// fill has somebody read.
func (s *Session) fill() {
	s.kept = nil
	if s.accepting == 0 {
		s.startReading()
		return
	}
	s.cond.Broadcast()
	s.relieveIn(reliefSoon) // it may have got a stream, and go with that
}

// await counts somebody who waits for the peer, 0 if it is one who has waited before, and has somebody read. It is called without the mutex.
func (s *Session) await(who uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.waiting.Add(1)
	if who != 0 {
		if s.lately[0].who != who {
			s.lately[1] = s.lately[0]
		}
		s.lately[0] = waited{who, time.Now()}
	}
	if !s.reading.Load() && (who != 0 || s.kept == nil) {
		s.fillSoon()
	}
}

// shared says whether somebody else than the Reads of a stream has begun to wait for the peer lately.
func (s *Session) shared(st *Stream) bool {
	if s.waiting.Load() == 0 {
		return false
	}
	other := s.lately[0]
	if other.who == st.readable.who {
		other = s.lately[1]
	}
	return time.Since(other.at) < patience
}

// fillSoon has somebody read, at once or if no AcceptStream comes back in a moment.
func (s *Session) fillSoon() {
	switch {
	case !s.accepts || s.accepting > 0:
		s.fill()
	case s.fires.IsZero() || time.Until(s.due) > reliefSoon: // else who waits again and again would put it off
		s.relieveIn(reliefSoon)
	}
	s.kept = nil
}

// keepFor leaves the connection to the next Read of a stream that is likely to come for it, unless it is shared.
func (s *Session) keepFor(st *Stream) {
	s.reading.Store(false)
	if s.shared(st) {
		s.fillSoon()
		return
	}
	s.kept = st
	s.relieveIn(reliefSoon)
}

// forgo is for a stream of which no Read will come any more. It is called without the mutex.
func (s *Session) forgo(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.kept != st {
		return
	}
	s.kept = nil
	if s.accepting > 0 {
		s.fill()
	}
}

// leaveOff has an AcceptStream read that comes back for it, or the relief.
func (s *Session) leaveOff() {
	s.reading.Store(false)
	if s.waiting.Load() > 0 {
		s.relieveIn(reliefSoon)
	} else {
		s.relieveIn(reliefAfter)
	}
	s.cond.Broadcast()
}

// run reads until the connection ends, or others go on with it.
func (s *Session) run() {
	for {
		s.awaitRoom()
		err := s.readFrames()
		if err != nil && err != errLeaveOff {
			s.conclude(err)
			return
		}
		if s.handOver(err != nil) {
			return
		}
	}
}

// handOver leaves the reading to a Read, or to the AcceptStream that waited for the stream that was just opened, if one did: it comes back.
func (s *Session) handOver(toRead bool) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if toRead {
		s.keepFor(s.told)
		return true
	}
	if s.awaited {
		s.leaveOff()
	}
	return s.awaited
}

// lead makes the Read of st that waits the one who reads, if nobody does and the connection can be taken from it again.
func (s *Session) lead(st *Stream) bool {
	if !s.canLead || s.reading.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.reading.Load() || s.err != nil || s.full() {
		return false
	}
	if s.kept != nil && s.wanted == 0 && time.Since(s.due) > pace-reliefSoon {
		return false
	}
	s.takeOver()
	s.leader, s.led, s.yields = st, time.Now(), false
	if len(st.waiting) >= large {
		s.wanted = len(st.waiting)
	}
	return true
}

// readFor reads until the Read that leads has what it waits for, and returns true if it has not, and left the connection to another.
func (s *Session) readFor(st *Stream) (yields bool) {
	for {
		err := s.readFrames()
		if err == nil && !st.served() && s.roomy() {
			continue
		}
		next := st
		if s.yields {
			next = s.told
		} else {
			s.wakeReaders()
		}
		s.stopLeading(next, err)
		return next != st
	}
}

// stopLeading leaves the reading to others, first to the next Read of a stream.
func (s *Session) stopLeading(next *Stream, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.leader = nil
	if s.interrupted {
		s.interrupted = false
		_ = s.conn.SetReadDeadline(time.Time{})
		if errors.Is(err, os.ErrDeadlineExceeded) {
			err = nil
		}
	}
	switch {
	case err != nil && err != errLeaveOff:
		go s.conclude(err) // as run
	case s.err != nil, s.full():
		s.startReading()
	default:
		s.keepFor(next)
	}
}

// interrupt takes the connection from a Read. It is called with the lock of that one's stream, and without the mutex.
func (s *Session) interrupt(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.leader == st && !s.interrupted {
		s.interrupted = true
		_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// pause is called before the connection is waited for, and tells those who wait of what has arrived. It returns true if who reads
// leaves off.
func (s *Session) pause() bool {
	s.wakeReaders()
	if s.leader != nil {
		if s.leader.served() {
			return true
		}
		s.yields = s.told != nil && time.Since(s.led) >= patience && s.mayKeepFor(s.told)
		return s.yields
	}
	return s.told != nil && s.mayKeepFor(s.told)
}

// mayKeepFor is for who reads and would leave that to the next Read of a stream. It is called without the mutex.
func (s *Session) mayKeepFor(st *Stream) bool {
	if !s.canLead || s.ending.Load() {
		return false
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.shared(st)
}

// roomy says whether there is room for a stream that nobody has accepted yet.
func (s *Session) roomy() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return !s.full()
}

// full says whether too many streams are not accepted. It is called with the mutex held.
func (s *Session) full() bool { return len(s.backlog) >= s.cfg.Backlog }
