package yamux

import (
	"os"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// closeLinger is how long the peer may take to finish a stream that we closed
// before it is reset.
const closeLinger = time.Minute

// Stream is one stream of a session. Its methods may be called at the same time
// from any goroutine; concurrent Writes are not mixed with each other.
type Stream struct {
	s  *Session
	id uint32

	mu   sync.Mutex
	owed uint16 // SYN or ACK, which the first frame of ours carries

	readable   waiters // received, recvErr, readClosed or readLimit changed
	received   buffer
	waiting    []byte    // of a Read that waits: where to put what comes
	handed     int       // how much of it was put there
	had        time.Time // when a Read that asked for much had something last
	quick      bool      // the next came at once
	told       bool      // the reading goroutine will wake the readers
	coming     uint32    // of the frame being read, off recvWindow and not in received yet
	recvWindow uint32    // what the peer may still send
	recvMax    uint32    // the size of the window, reserved in the session's memory
	given      uint32    // what the peer got since measured
	measured   time.Time // when half of the window had been read last
	recvErr    error     // what Read returns when received is empty; io.EOF after FIN
	readClosed error     // what Read returns at once: closed on this side
	readLimit  deadline
	holding    bool // the session ended, and waits for received to be read

	writable   waiters // credit, room, writeErr, writing or writeLimit changed
	writing    bool    // a Write is under way
	credit     uint32  // what we may still send
	finished   bool    // FIN was queued
	writeErr   error
	writeLimit deadline

	waits  bool // the writer wakes it when there is room; under the writer's lock
	gone   bool // forgotten by the session
	linger *time.Timer
	late   *time.Timer // a reset came, and data may follow it: see resetGrace
}

var _ network.MuxedStream = (*Stream)(nil)

func newStream(s *Session, id uint32, owed uint16) *Stream {
	st := &Stream{
		s: s, id: id, owed: owed,
		recvWindow: initialWindow, recvMax: initialWindow, credit: initialWindow,
		measured: time.Now(),
	}
	st.readable.L, st.writable.L = &st.mu, &st.mu
	st.readable.st, st.writable.st = st, st
	st.readable.who, st.writable.who = 2*uint64(id), 2*uint64(id)+1
	return st
}

// announce tells the peer of a stream that it does not know yet: before data
// under the Absolute rule, and under both when somebody waits for the peer's
// first word. Otherwise the first data frame does it.
func (st *Stream) announce() {
	if st.owed&flagSYN == 0 || st.writeErr != nil {
		return
	}
	var window uint32 // on top of the initial one
	if st.s.cfg.Window == Absolute {
		window = st.recvWindow
	}
	st.s.w.control(header{typeWindowUpdate, st.takeOwed(), st.id, window})
}

func (st *Stream) takeOwed() uint16 {
	flags := st.owed
	st.owed = 0
	return flags
}

// Read returns what was received, then io.EOF if the peer finished the stream,
// else the error that cut it off: a *network.StreamError after a reset, a
// *network.ConnError after the end of the session, both matching
// network.ErrReset. After the deadline it returns os.ErrDeadlineExceeded.
func (st *Stream) Read(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for again := false; ; {
		switch {
		case st.readClosed != nil:
			return 0, st.readClosed
		case st.readLimit.passed:
			return 0, os.ErrDeadlineExceeded
		case len(p) == 0:
			return 0, nil
		case st.received.size > 0:
			n := st.received.read(p)
			st.afterRead()
			return n, nil
		case st.recvErr != nil:
			st.s.forgo(st)
			return 0, st.recvErr
		}
		st.announce()
		var n int
		if n, again = st.awaitData(p, again); n > 0 {
			st.afterRead()
			return n, nil
		}
	}
}

// awaitData waits for anything to change, and returns how much came directly into p: what came is read, whatever else has changed. yields
// is true if it has left the connection to another Read, and is to be called again so.
func (st *Stream) awaitData(p []byte, again bool) (n int, yields bool) {
	if st.waiting != nil { // another Read waits, and is first
		st.readable.wait()
		return 0, false
	}
	st.waiting = p
	st.quick = len(p) < large || time.Since(st.had) < pace
	switch {
	case again:
		st.readable.waitOn()
	case st.s.lead(st):
		st.readable.leads = true
		st.mu.Unlock()
		yields = st.s.readFor(st)
		st.mu.Lock()
		st.readable.leads = false
	default:
		st.readable.wait()
	}
	n = st.handed
	st.waiting, st.handed = nil, 0
	if len(p) >= large {
		st.had = time.Now()
	}
	return n, yields
}

// soon is how much of a large window may be read before the peer gets credit.
const soon = 1 << 20

// afterRead gives the peer new credit: once half of the window was read, of a
// large one a quarter, so that less of it lies idle for a round trip for want
// of the rest.
func (st *Stream) afterRead() {
	if st.received.size == 0 {
		st.drained()
	}
	if st.recvErr != nil || st.late != nil {
		return
	}
	credit := st.recvMax - st.recvWindow - st.coming - uint32(st.received.size)
	if credit < max(st.recvMax/4, min(st.recvMax/2, soon)) {
		return
	}
	if st.given += credit; st.given >= st.recvMax/2 {
		now := time.Now()
		if rtt := st.s.pulse.roundTrip(); now.Sub(st.measured) < 2*rtt {
			credit += st.growWindow()
		}
		st.measured, st.given = now, 0
	}
	st.announce() // a SYN with a length would say something else
	st.recvWindow += credit
	st.s.w.control(header{typeWindowUpdate, st.takeOwed(), st.id, credit})
}

// growWindow doubles the window: half of it was read within two round trips,
// so a larger one would have carried more. A stream of a session in which one
// grew further before gets as much at once.
func (st *Stream) growWindow() uint32 {
	growth := min(st.recvMax, st.s.cfg.MaxWindow-st.recvMax)
	grown := st.s.grown.Load()
	if further := grown - min(grown, st.recvMax); further > growth && st.s.mem.reserve(further, priorityGrowth) {
		growth = further
	} else if growth == 0 || !st.s.mem.reserve(growth, priorityGrowth) {
		return 0
	}
	st.recvMax += growth
	if st.recvMax > grown {
		st.s.grown.Store(st.recvMax) // of two at once either will do
	}
	return growth
}

// Write returns when p is queued for sending, or with what was queued of it and
// why that was not all: os.ErrDeadlineExceeded, ErrWriteClosed, or as Read. What
// it has taken is sent even if the stream or the session is closed next.
func (st *Stream) Write(p []byte) (int, error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	for st.writing {
		if err := st.cannotWrite(); err != nil {
			return 0, err
		}
		st.writable.wait()
	}
	st.writing = true
	defer func() {
		st.writing = false
		st.writable.wake()
	}()

	done := 0
	for {
		err := st.cannotWrite()
		if err == nil && done < len(p) {
			if n := st.send(p[done:]); n > 0 {
				done += n
				continue
			}
		}
		switch {
		case st.s.w.lead():
			st.mu.Unlock()
			st.s.w.drive()
			st.mu.Lock()
		case done > 0 && done == len(p):
			return done, nil // whatever happened meanwhile
		case err != nil || len(p) == 0:
			return done, err
		default:
			st.writable.wait()
		}
	}
}

func (st *Stream) cannotWrite() error {
	if st.writeErr != nil {
		return st.writeErr
	}
	if st.writeLimit.passed {
		return os.ErrDeadlineExceeded
	}
	return nil
}

// send queues as much of body as the credit and one frame allow.
func (st *Stream) send(body []byte) int {
	body = body[:min(len(body), int(st.credit))]
	if len(body) == 0 {
		return 0
	}
	if st.s.cfg.Window == Absolute {
		st.announce()
	}
	n := st.s.w.data(st, st.owed, body)
	if n > 0 {
		st.owed = 0
		st.credit -= uint32(n)
	}
	return n
}

// CloseWrite tells the peer that no more will come. Everything written before
// is sent first.
func (st *Stream) CloseWrite() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.closeWrite()
}

func (st *Stream) closeWrite() error {
	if st.finished {
		return nil
	}
	if st.writeErr != nil {
		return st.writeErr
	}
	if st.s.cfg.Window == Absolute {
		st.announce()
	}
	st.finished = true
	st.writeErr = ErrWriteClosed
	st.writable.wake()
	st.maybeForget() // before the peer hears of it and opens the next one
	st.s.w.control(header{typeData, st.takeOwed() | flagFIN, st.id, 0})
	return nil
}

// CloseRead drops what was received and not read, and what will be. The peer
// gets no new credit.
func (st *Stream) CloseRead() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closeRead(ErrReadClosed)
	st.maybeForget()
	return nil
}

func (st *Stream) closeRead(err error) {
	if st.readClosed != nil {
		return
	}
	st.readClosed = err
	if st.late != nil {
		st.cutReading(err)
	}
	st.received.discard()
	st.drained()
	st.readable.wake()
	st.s.forgo(st)
}

// Close is CloseRead and CloseWrite. If the peer does not finish the stream
// within a minute, it is reset.
func (st *Stream) Close() error {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.closeRead(ErrReadClosed)
	_ = st.closeWrite() // a stream that was cut off is closed as well
	st.maybeForget()
	if !st.gone && st.linger == nil {
		st.linger = time.AfterFunc(closeLinger, func() { _ = st.Reset() })
	}
	return nil
}

// Reset is ResetWithError without a code.
func (st *Stream) Reset() error { return st.ResetWithError(network.StreamNoError) }

// ResetWithError gives up both directions and tells the peer so, with the code
// if it is not 0 (Rust peers do not look at it). What was written before is
// still sent.
func (st *Stream) ResetWithError(code network.StreamErrorCode) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	err := &network.StreamError{ErrorCode: code}
	st.closeRead(err)
	if st.gone {
		return nil
	}
	st.writeErr = err
	st.writable.wake()
	st.forget() // before the peer hears of it and opens the next one
	switch {
	case st.owed&flagSYN != 0: // the peer never heard of it
	case code == network.StreamNoError: // as the Rust peers do it
		st.s.w.control(header{typeData, flagRST, st.id, 0})
	default:
		st.s.w.control(header{typeWindowUpdate, flagRST, st.id, uint32(code)})
	}
	return nil
}

// maybeForget drops the stream once nothing can happen on it any more.
func (st *Stream) maybeForget() {
	if st.writeErr != nil && st.recvErr != nil && st.received.size == 0 {
		st.forget()
	}
}

func (st *Stream) forget() {
	if st.gone {
		return
	}
	st.gone = true
	if st.late != nil {
		st.late.Stop()
	}
	if st.linger != nil {
		st.linger.Stop()
	}
	st.readLimit.stop()
	st.writeLimit.stop()
	st.s.forget(st)
	st.s.mem.release(st.recvMax)
}

// drained follows the moment when nothing is left to read.
func (st *Stream) drained() {
	if st.holding {
		st.holding = false
		st.s.drained()
	}
	st.maybeForget()
}
