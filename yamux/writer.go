package yamux

import (
	"net"
	"sync"
	"time"

	pool "github.com/libp2p/go-buffer-pool"
)

const (
	// maxPending is how many bytes may wait for the connection before writers of
	// data wait as well: two full Noise frames.
	maxPending = 2 * 65519
	// maxReplies is how many bytes of replies (pongs, resets of refused streams)
	// may wait for a peer that makes us write them and does not read.
	maxReplies = 64 << 10
	// maxPiece and minPiece are how much is given to the connection at a time: a
	// full Noise frame, or less of it on a very slow link.
	maxPiece = 65519
	minPiece = 4 << 10
)

// writer sends frames in the order in which they were queued. While one batch
// is being written the next gathers: that is all the coalescing there is, and it
// needs no timer. The goroutine that writes lives only while there is something
// to write, so that an idle session has only the one that reads.
type writer struct {
	conn    net.Conn
	timeout time.Duration
	session *Session

	mu      sync.Mutex
	pending []byte // whole frames
	// The data frame at the end of pending may still take more of its stream.
	openStream uint32
	openAt     int // where it starts; -1: there is none
	openMax    int

	replies int
	waiting []*Stream // writers to wake when there is room
	running bool
	stopped bool          // nothing more is queued
	idle    chan struct{} // closed when stopped and nothing runs
	unsent  bool          // something that had been queued was not written

	loop  func()      // run; made once, so that starting it allocates nothing
	stall *time.Timer // used by run only, as is
	piece int         // what is written at a time
}

func newWriter(conn net.Conn, cfg Config, s *Session) *writer {
	w := &writer{
		conn: conn, timeout: cfg.WriteTimeout, session: s,
		piece: maxPiece, openAt: -1, openMax: cfg.MaxMessage, idle: make(chan struct{}),
	}
	w.loop = w.run
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

// data queues a data frame of st. Without room it returns false, and wakes st
// when there is.
func (w *writer) data(st *Stream, flags uint16, body []byte) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.stopped {
		return false // the session's end wakes st
	}
	if len(w.pending) >= maxPending {
		if !st.waits {
			st.waits = true
			w.waiting = append(w.waiting, st)
		}
		return false
	}
	w.grow(headerSize + len(body))
	if flags == 0 && w.extend(st.id, body) {
		return true
	}
	w.openStream, w.openAt = st.id, len(w.pending)
	w.pending = appendHeader(w.pending, header{typeData, flags, st.id, uint32(len(body))})
	w.pending = append(w.pending, body...)
	w.start()
	return true
}

// extend adds body to the frame at the end of the queue, if that is of the same
// stream and has room.
func (w *writer) extend(stream uint32, body []byte) bool {
	if w.openAt < 0 || w.openStream != stream {
		return false
	}
	size := len(w.pending) - w.openAt - headerSize + len(body)
	if size > w.openMax {
		return false
	}
	w.pending = append(w.pending, body...)
	putLength(w.pending[w.openAt:], uint32(size))
	return true
}

// crowded says whether more waits than data alone can account for: somebody
// opens and resets streams while the connection takes nothing.
func (w *writer) crowded() bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.pending) > 2*maxPending
}

// grow makes room for n more bytes, in buffers of few sizes.
func (w *writer) grow(n int) {
	need := len(w.pending) + n
	if need <= cap(w.pending) {
		return
	}
	size := 4 << 10
	for size < need {
		size *= 4
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

func (w *writer) run() {
	for {
		w.mu.Lock()
		if len(w.pending) == 0 {
			w.running = false
			w.checkIdle()
			w.mu.Unlock()
			return
		}
		batch, waiting := w.pending, w.waiting
		w.pending, w.waiting, w.replies, w.openAt = nil, nil, 0, -1
		for _, st := range waiting {
			st.waits = false
		}
		w.mu.Unlock()

		for _, st := range waiting {
			st.wakeWriter()
		}
		if err := w.write(batch); err != nil {
			w.mu.Lock()
			w.unsent = true
			w.mu.Unlock()
			w.kill()
			w.session.broken(err)
		}
	}
}

// write writes a batch in pieces, each of which may take w.timeout. A link that
// is so slow that one takes a second gets small ones, so that it is not mistaken
// for one that stands still.
func (w *writer) write(batch []byte) error {
	defer pool.Put(batch)
	for rest := batch; len(rest) > 0; {
		n := min(len(rest), w.piece)
		if w.stall == nil {
			w.stall = time.AfterFunc(w.timeout, w.session.stalled) // ends the Write below
		} else {
			w.stall.Reset(w.timeout)
		}
		begin := time.Now()
		_, err := w.conn.Write(rest[:n])
		w.stall.Stop()
		if err != nil {
			return err
		}
		rest = rest[n:]
		w.piece = maxPiece
		if time.Since(begin) > time.Second {
			w.piece = minPiece
		}
	}
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
