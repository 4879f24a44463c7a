package yamux

import (
	"io"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// What the reading goroutine does to a stream, and the end of the session.

// expect takes n bytes off the window, before they are read.
func (st *Stream) expect(n uint32) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n > st.recvWindow {
		return violation("data beyond the window")
	}
	st.recvWindow -= n
	st.coming = n
	return nil
}

// large is how much a Read asks for that gets just that, while the rest stays where it lies, or comes from another goroutine; for
// less than that all is queued that is there.
const large = 4 << 10

// receive hands p over: to a Read that waits, else copied for the next one. What comes after a FIN or RST is ignored. tell is true
// if the reader is to be woken and was not yet, full if it asked for much and has it.
func (st *Stream) receive(p []byte) (tell, full bool) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.coming -= uint32(len(p))
	if st.readClosed != nil || st.recvErr != nil {
		return false, false
	}
	if st.received.size == 0 {
		n := copy(st.waiting[st.handed:], p)
		st.handed += n
		p = p[n:]
		full = n > 0 && st.handed >= large && st.handed == len(st.waiting)
	}
	if len(p) > 0 {
		st.received.write(p)
	}
	tell = !st.told
	st.told = true
	return tell, full
}

// served says whether a Read that waits has an end of that.
func (st *Stream) served() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	return st.handed > 0 || st.received.size > 0 || st.recvErr != nil || st.readClosed != nil || st.readLimit.passed
}

// wakeReader returns true if a Read waited, and more may come for the next.
func (st *Stream) wakeReader() bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.told = false
	waited := st.readable.n > 0
	st.readable.tell()
	return waited && st.recvErr == nil && st.quick
}

// credited lets us send n more bytes.
func (st *Stream) credited(n uint32) error {
	st.mu.Lock()
	defer st.mu.Unlock()
	if n > math.MaxUint32-st.credit {
		return violation("window overflow")
	}
	st.credit += n
	st.writable.wake()
	return nil
}

func (st *Stream) remoteFinished() {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.cutReading(io.EOF)
	st.maybeForget()
}

// remoteReset returns true if we had not answered on the stream.
func (st *Stream) remoteReset(code network.StreamErrorCode) bool {
	st.mu.Lock()
	defer st.mu.Unlock()
	err := &network.StreamError{Remote: true, ErrorCode: code}
	if st.s.cfg.Window == Absolute && st.readClosed == nil && st.recvErr == nil {
		st.cutWriting(err)
		st.awaitStragglers(err)
	} else {
		st.cutBoth(err)
	}
	st.maybeForget()
	return st.owed&flagACK != 0
}

// sessionEnded leaves what was received readable, and says so to the session.
// resetGrace is how long data may follow a reset under the Absolute rule.
//
// yamux 0.4.7 sends a RST past what is queued: when a stream is dropped that it
// closed but that the other side has not, and when credit arrives for a stream
// that it dropped. What the application wrote before, and the FIN behind it, come
// after that RST. They are written by then, so they are not long on their way.
const resetGrace = 2 * time.Second

// awaitStragglers reads on after a reset until FIN, or until the grace is over.
func (st *Stream) awaitStragglers(err error) {
	if st.late != nil {
		return
	}
	st.late = time.AfterFunc(resetGrace, func() {
		st.mu.Lock()
		defer st.mu.Unlock()
		st.cutReading(err)
		st.maybeForget()
	})
}

func (st *Stream) sessionEnded(err error) {
	st.mu.Lock()
	defer st.mu.Unlock()
	st.cutBoth(err)
	if st.received.size > 0 {
		st.holding = true
		return
	}
	st.s.drained()
	st.maybeForget()
}

func (st *Stream) cutReading(err error) {
	if st.recvErr == nil {
		st.recvErr = err
		st.readable.wake()
	}
}

func (st *Stream) cutBoth(err error) {
	st.cutReading(err)
	st.cutWriting(err)
}

func (st *Stream) cutWriting(err error) {
	if st.writeErr == nil {
		st.writeErr = err
	}
	st.writable.wake()
}

func (st *Stream) wakeWriter() {
	st.mu.Lock()
	st.writable.wake()
	st.mu.Unlock()
}
