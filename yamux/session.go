package yamux

import (
	"context"
	"errors"
	"math"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// Session is a connection that carries streams. Its methods may be called at
// the same time from any goroutine.
type Session struct {
	cfg    Config
	client bool
	conn   net.Conn
	w      *writer
	mem    *memory
	pulse  pulse

	// Of the goroutine that reads:
	in    input
	frame incoming
	churn budget
	woken []*Stream // whose readers are told before more is waited for
	told  *Stream   // the last of those of which a Read waited and may come back

	grown    atomic.Uint32 // the largest window that a stream has grown to
	ending   atomic.Bool   // err is set: what still arrives is for nobody
	finished chan struct{} // closed when nobody reads any more

	turn // who reads

	mu   sync.Mutex
	cond sync.Cond // the backlog, err, undrained, left or the turn changed

	err    error // why the session ended; nil while it lives
	left   bool  // Close was called
	over   bool  // nobody reads any more
	cutOff *time.Timer

	streams map[uint32]*Stream // until both sides are done and what was received is read
	opened  int                // those of streams that we opened
	nextID  uint32
	backlog []*Stream // opened by the peer, not yet accepted

	undrained int  // streams that hold received bytes although the session ended
	drainOver bool // their time is over
}

var _ network.MuxedConn = (*Session)(nil)

// Client starts a session on the side that dialed. The session owns c. Window
// memory is reserved in a span of scope, which may be nil.
func Client(c net.Conn, cfg Config, scope network.PeerScope) (*Session, error) {
	return newSession(c, true, cfg, scope)
}

// AppendOpening appends the frame that opens the first stream of the side that dialed, and carries first, of at most MaxOpening bytes. It
// may be sent before the session starts, which is then to be started with ClientOpened.
func AppendOpening(dst, first []byte) []byte {
	return append(appendHeader(dst, header{typeData, flagSYN, firstOfClient, uint32(len(first))}), first...)
}

// MaxOpening is how many bytes AppendOpening takes: a frame that every peer accepts.
const MaxOpening = 16 << 10

const firstOfClient = 1

// ClientOpened is Client on a connection on which AppendOpening's frame with first was sent. It returns the stream that this opened.
func ClientOpened(c net.Conn, cfg Config, scope network.PeerScope, first []byte) (*Session, *Stream, error) {
	s, err := makeSession(c, true, cfg, scope)
	if err != nil {
		return nil, nil, err
	}
	st, err := s.open()
	if err != nil {
		s.mem.end()
		return nil, nil, err
	}
	st.owed = 0
	st.credit -= uint32(len(first))
	s.start()
	return s, st, nil
}

// Server starts a session on the side that accepted the connection; otherwise
// as Client.
func Server(c net.Conn, cfg Config, scope network.PeerScope) (*Session, error) {
	return newSession(c, false, cfg, scope)
}

func newSession(c net.Conn, client bool, cfg Config, scope network.PeerScope) (*Session, error) {
	s, err := makeSession(c, client, cfg, scope)
	if err == nil {
		s.start()
	}
	return s, err
}

// makeSession is a session that does not read yet.
func makeSession(c net.Conn, client bool, cfg Config, scope network.PeerScope) (*Session, error) {
	cfg = cfg.withDefaults()
	mem, err := newMemory(cfg.ConnectionMemory, scope)
	if err != nil {
		return nil, err
	}
	s := &Session{
		cfg: cfg, client: client, conn: c, mem: mem,
		finished: make(chan struct{}),
		streams:  make(map[uint32]*Stream),
		nextID:   2,
	}
	if client {
		s.nextID = firstOfClient
	}
	s.cond.L = &s.mu
	s.loop = s.run
	s.in = newInput(c, s.pause, s.pulse.beat)
	_, patient := c.(lender)
	s.canLead = patient && c.SetReadDeadline(time.Time{}) == nil
	s.w = newWriter(c, cfg, s)
	return s, nil
}

func (s *Session) start() {
	s.pulse.start(s)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.due = time.Now().Add(reliefAfter)
	s.fires = s.due
	s.relief = time.AfterFunc(reliefAfter, s.relieve)
}

// OpenStream opens a stream. It never waits: at a limit it returns a
// *LimitError, and after the session's end the reason for that.
func (s *Session) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	st, err := s.open()
	if err != nil {
		return nil, err
	}
	if s.cfg.Window == Absolute && !s.w.crowded() { // else with the first Read or Write
		st.mu.Lock()
		st.announce()
		st.mu.Unlock()
	}
	return st, nil
}

func (s *Session) open() (*Stream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.err != nil:
		return nil, s.err
	case len(s.streams) >= s.cfg.MaxStreams || s.opened >= s.cfg.MaxOpen:
		return nil, &LimitError{"too many streams"}
	case s.nextID > math.MaxUint32-2:
		return nil, &LimitError{"stream ids used up"}
	case !s.mem.reserve(initialWindow, priorityFirst):
		return nil, &LimitError{"no memory for a window"}
	}
	st := newStream(s, s.nextID, flagSYN)
	s.streams[st.id] = st
	s.nextID += 2
	s.opened++
	return st, nil
}

// AcceptStream waits for a stream from the peer. After the session's end it
// first returns the streams that had arrived. If it was the peer who ended the
// session, it then holds the error back for up to Config.CloseTimeout while
// readers still have something to read: callers take the error as the moment to
// tear everything down. After a Close on this side it returns when that does.
//
// While it waits it reads, unless another goroutine does: who calls it again and again, as
// go-libp2p's swarm does, spares the session a goroutine of its own.
func (s *Session) AcceptStream() (network.MuxedStream, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.accepts = true
	for {
		if len(s.backlog) > 0 {
			st := s.backlog[0]
			s.backlog[0] = nil
			s.backlog = s.backlog[1:]
			s.cond.Broadcast() // the reading goroutine may wait for room
			return st, nil
		}
		over := s.over
		if !s.left {
			over = s.drainOver || s.undrained == 0
		}
		if s.err != nil && over {
			return nil, s.err
		}
		if s.reading.Load() || s.kept != nil {
			s.accepting++
			s.cond.Wait()
			s.accepting--
			continue
		}
		s.takeOver()
		s.mu.Unlock()
		err := s.readFrames()
		s.mu.Lock()
		switch err {
		case nil:
			s.leaveOff()
		case errLeaveOff:
			s.keepFor(s.told)
		default:
			go s.conclude(err) // as run
		}
	}
}

// IsClosed is true as soon as no more streams can be opened.
func (s *Session) IsClosed() bool { return s.ending.Load() }

// RTT is the round-trip time as it was measured last, 0 if it was not yet. It is measured while much is received, or by MeasureRTT.
func (s *Session) RTT() time.Duration { return s.pulse.last() }

// MeasureRTT asks the peer for a sign of life if RTT is more than 10 s old, and does not wait for it.
func (s *Session) MeasureRTT() { s.pulse.roundTrip() }

// As stores the session in target if that is a **Session.
func (s *Session) As(target any) bool {
	if t, ok := target.(**Session); ok {
		*t = s
		return true
	}
	return false
}

// Close sends what has been written, then GoAway, and closes the connection. It
// takes at most Config.CloseTimeout, and returns ErrUnsent if that was not
// enough for what was written. Bytes that were received can still be read.
func (s *Session) Close() error { return s.CloseWithError(network.ConnNoError) }

// CloseWithError is Close with a reason, which the GoAway carries. If the
// session has ended before, it only frees what is left.
func (s *Session) CloseWithError(code network.ConnErrorCode) error {
	s.mu.Lock()
	s.left = true
	s.cond.Broadcast()
	s.mu.Unlock()

	began := s.goAway(localEnd(code, ErrClosed), uint32(code))
	s.StartReading()
	<-s.finished
	s.cutOff.Stop() // these would keep the session in memory for nothing
	s.relief.Stop()
	s.mem.end()
	if began && s.w.lost() {
		return ErrUnsent
	}
	return nil
}

// goAway ends the session in good order. It returns false if it has ended
// before.
func (s *Session) goAway(err error, code uint32) bool {
	if !s.end(err) {
		return false
	}
	s.w.finish(header{kind: typeGoAway, length: code})
	return true
}

// fail ends the session at once.
func (s *Session) fail(err error) {
	var conn *network.ConnError
	if !errors.As(err, &conn) {
		err = localEnd(network.ConnNoError, err)
	}
	s.end(err)
	s.w.kill()
	s.conn.Close()
}

// stalled ends the session when the connection takes no more bytes.
func (s *Session) stalled() { s.fail(ErrWriteStall) }

// broken ends the session after a failed write, but not at once: what the peer
// sent before it went may still be on its way to the reading goroutine, which
// sees the end for itself.
func (s *Session) broken(err error) {
	time.AfterFunc(s.cfg.CloseTimeout, func() { s.fail(err) })
}

// end makes err the end of the session and of each stream, for the first caller.
// From now on a timer limits the life of the connection.
func (s *Session) end(err error) bool {
	s.mu.Lock()
	if s.err != nil {
		s.mu.Unlock()
		return false
	}
	s.err = err
	s.ending.Store(true)
	s.cutOff = time.AfterFunc(s.cfg.CloseTimeout, s.cut)
	streams := make([]*Stream, 0, len(s.streams))
	for _, st := range s.streams {
		streams = append(streams, st)
	}
	s.undrained = len(streams) // each says when it is drained, some at once
	s.cond.Broadcast()
	s.mu.Unlock()

	s.pulse.stop()
	for _, st := range streams {
		st.sessionEnded(err)
	}
	return true
}

func (s *Session) cut() {
	s.mu.Lock()
	s.drainOver = true
	s.cond.Broadcast()
	s.mu.Unlock()
	s.conn.Close()
}

// drained is called once for each stream that end counted.
func (s *Session) drained() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.undrained--; s.undrained == 0 {
		s.cond.Broadcast()
	}
}

// forget drops a stream that both sides are done with.
func (s *Session) forget(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.streams[st.id] != st {
		return
	}
	delete(s.streams, st.id)
	if s.ours(st.id) {
		s.opened--
	}
}

// ours says whether a stream id belongs to this side.
func (s *Session) ours(id uint32) bool { return (id%2 == 1) == s.client }
