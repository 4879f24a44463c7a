package yamux

import (
	"errors"
	"net"
	"sync"
	"time"

	pool "github.com/libp2p/go-buffer-pool"
)

const (
	// maxPending is how many bytes may wait for the connection before writers of
	// data wait as well: a few full Noise frames.
	maxPending = 2 * noiseFrame
	// maxReplies is how many bytes of replies (pongs, resets of refused streams)
	// may wait for a peer that makes us write them and does not read.
	maxReplies = 64 << 10
	// These are how much is given to the connection at a time: what fits into a
	// full Noise frame, two of them on a fast link, less on a very slow one.
	noiseFrame = 65519
	maxPiece   = 2 * noiseFrame
	minPiece   = 4 << 10
	fast       = 10 * time.Millisecond // for a piece
)

// tryWriter is a connection that can write without waiting. A *noise.Conn on a
// socket is one.
type tryWriter interface {
	// TryWrite is Write that waits for nothing. It returns how much of p it took,
	// and whether all that it ever took has left; the next Write sends the rest. It
	// returns errors.ErrUnsupported and takes nothing if it cannot do that.
	TryWrite(p []byte) (n int, sent bool, err error)
}

// writer sends frames in the order in which they were queued. While one batch
// is being written the next gathers: that is all the coalescing there is, and it
// needs no timer. Who queued data writes it too, as far as the connection takes
// it at once. The rest, and all other frames, are left to a goroutine that lives
// only while there is something to write, so that an idle session has only the
// one that reads.
type writer struct {
	conn    net.Conn
	try     tryWriter // conn, if it is one
	timeout time.Duration
	session *Session

	mu      sync.Mutex
	pending []byte // whole frames
	// The data frame at the end of pending may still take more of its stream.
	openStream uint32
	openAt     int // where it starts; -1: there is none
	openMax    int

	replies int
	waiting []*Stream     // writers to wake when there is room
	running bool          // somebody writes
	stopped bool          // nothing more is queued
	idle    chan struct{} // closed when stopped and nothing runs
	unsent  bool          // something that had been queued was not written

	loop func() // run; made once, so that starting it allocates nothing

	// Of who set running:
	stall *time.Timer
	piece int    // what is written at a time
	batch []byte // what is being written
	rest  []byte // what of it the connection has not taken
	kept  bool   // the connection took something that has not left yet
}

func newWriter(conn net.Conn, cfg Config, s *Session) *writer {
	w := &writer{
		conn: conn, timeout: cfg.WriteTimeout, session: s,
		piece: noiseFrame, openAt: -1, openMax: cfg.MaxMessage, idle: make(chan struct{}),
	}
	w.loop = w.run
	w.try, _ = conn.(tryWriter)
	return w
}

// control queues a frame without body. It never waits; callers bound it.
func (w *writer) control(h header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(h)
}

func (w *writer) queue(h header) {
	if w.stopped {
		return
	}
	w.openAt = -1
	w.grow(headerSize)
	w.pending = appendHeader(w.pending, h)
	w.start()
}

// reply queues a frame that the peer caused. It returns false if the peer
// caused too many without reading them.
func (w *writer) reply(h header) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.replies += headerSize
	if w.replies > maxReplies {
		return false
	}
	w.queue(h)
	return true
}

// data queues bytes of st, in a new data frame or the one at the end of the
// queue, and returns how many that has room for. Without room in the queue it
// returns 0, and wakes st when there is. Who calls it calls lead afterwards.
func (w *writer) data(st *Stream, flags uint16, body []byte) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return 0 // the session's end wakes st
	}
	if len(w.pending) >= maxPending {
		if !st.waits {
			st.waits = true
			w.waiting = append(w.waiting, st)
		}
		return 0
	}
	body = body[:min(len(body), w.openMax)]
	w.grow(headerSize + len(body))
	if flags == 0 {
		if n := w.extend(st.id, body); n > 0 {
			return n
		}
	}
	w.openStream, w.openAt = st.id, len(w.pending)
	w.pending = appendHeader(w.pending, header{typeData, flags, st.id, uint32(len(body))})
	w.pending = append(w.pending, body...)
	return len(body)
}

// extend adds what there is room for to the frame at the end of the queue, if
// that is of the same stream, and returns how much.
func (w *writer) extend(stream uint32, body []byte) int {
	if w.openAt < 0 || w.openStream != stream {
		return 0
	}
	size := len(w.pending) - w.openAt - headerSize
	n := min(len(body), w.openMax-size)
	w.pending = append(w.pending, body[:n]...)
	putLength(w.pending[w.openAt:], uint32(size+n))
	return n
}

// crowded says whether more waits than data alone can account for: somebody
// opens and resets streams while the connection takes nothing.
func (w *writer) crowded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) > 2*maxPending
}

// grow makes room for n more bytes, in buffers of few sizes: one for a few small frames, one for many, one for the largest frame of data
// and what else waits with it.
func (w *writer) grow(n int) {
	need := len(w.pending) + n
	if need <= cap(w.pending) {
		return
	}
	size := 2 << 10
	for size < need && size < 128<<10 {
		size *= 8
	}
	for size < need {
		size *= 2
	}
	bigger := pool.Get(size)
	bigger = bigger[:copy(bigger, w.pending)]
	if w.pending != nil {
		pool.Put(w.pending)
	}
	w.pending = bigger
}

func (w *writer) start() {
	if !w.running {
		w.running = true
		go w.loop() // ends when nothing is pending; the session waits for idle
	}
}

// lead has what is pending written: by a goroutine, or, if it returns true, by
// the caller, who calls drive without holding any lock.
func (w *writer) lead() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.running || len(w.pending) == 0:
	case w.try == nil:
		w.start()
	default:
		w.running = true
		return true
	}
	return false
}

// drive writes what is pending and does not wait for the connection; what comes
// meanwhile, or does not go at once, is left to the goroutine.
func (w *writer) drive() {
	if w.take() {
		w.failed(w.writeAtOnce())
	}
	if w.more() {
		go w.loop() // as start
	}
}

func (w *writer) run() {
	for w.more() {
		if len(w.rest) > 0 || w.kept || w.take() {
			w.failed(w.write())
		}
	}
}

// more says whether there is anything to write. If not, nobody writes any more.
func (w *writer) more() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.pending) == 0 && len(w.rest) == 0 && !w.kept {
		w.running = false
		w.checkIdle()
	}
	return w.running
}

// take makes what is pending the batch that is written, and wakes who waits for
// room. It returns false if there is nothing.
func (w *writer) take() bool {
	w.mu.Lock()
	waiting := w.waiting
	w.batch, w.rest = w.pending, w.pending
	w.pending, w.waiting, w.replies, w.openAt = nil, nil, 0, -1
	for _, st := range waiting {
		st.waits = false
	}
	w.mu.Unlock()
	for _, st := range waiting {
		st.wakeWriter()
	}
	return len(w.batch) > 0
}

// failed ends the session after a failed write.
func (w *writer) failed(err error) {
	if err == nil {
		return
	}
	w.done()
	w.mu.Lock()
	w.unsent = true
	w.mu.Unlock()
	w.kill()
	w.session.broken(err)
}

// done gives the batch back.
func (w *writer) done() {
	pool.Put(w.batch)
	w.batch, w.rest, w.kept = nil, nil, false
}

// writeAtOnce writes as much of the batch as the connection takes without
// waiting.
func (w *writer) writeAtOnce() error {
	for len(w.rest) > 0 {
		n, sent, err := w.try.TryWrite(w.rest[:min(len(w.rest), maxPiece)])
		w.rest = w.rest[n:]
		switch {
		case errors.Is(err, errors.ErrUnsupported):
			w.try = nil
			return nil
		case err != nil:
			return err
		case !sent:
			w.kept = true
			return nil
		}
	}
	w.done()
	return nil
}

// write writes the rest of the batch in pieces, each of which may take
// w.timeout. A link that is so slow that one takes a second gets small ones, so
// that it is not mistaken for one that stands still.
func (w *writer) write() error {
	for len(w.rest) > 0 || w.kept {
		n := min(len(w.rest), w.piece)
		if w.stall == nil {
			w.stall = time.AfterFunc(w.timeout, w.session.stalled) // ends the Write below
		} else {
			w.stall.Reset(w.timeout)
		}
		begin := time.Now()
		_, err := w.conn.Write(w.rest[:n])
		w.stall.Stop()
		if err != nil {
			return err
		}
		w.rest, w.kept = w.rest[n:], false
		switch took := time.Since(begin); {
		case took > time.Second:
			w.piece = minPiece
		case took > fast:
			w.piece = noiseFrame
		default:
			w.piece = maxPiece
		}
	}
	w.done()
	return nil
}

// finish queues a last frame; what is pending is still sent.
func (w *writer) finish(h header) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.queue(h)
	w.stopped = true
	w.checkIdle()
}

// kill drops what is pending.
func (w *writer) kill() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stopped = true
	w.unsent = w.unsent || len(w.pending) > 0
	w.pending, w.waiting = nil, nil
	w.checkIdle()
}

// lost says whether anything that had been queued was not written.
func (w *writer) lost() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.unsent
}

func (w *writer) checkIdle() {
	if !w.stopped || w.running {
		return
	}
	select {
	case <-w.idle:
	default:
		close(w.idle)
	}
}
