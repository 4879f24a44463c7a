package yamux

import (
	"errors"
	"io"
	"math"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

const (
	// A peer may waste churnBurst streams, plus churnRate per second: open and
	// reset them before we answered, or open more than may be.
	churnBurst = 1000
	churnRate  = 100
)

// conclude ends the session after the last read, whose error it gets, and puts everything away.
func (s *Session) conclude(err error) {
	defer s.finish()
	s.wakeReaders()
	var breach *ViolationError
	if errors.As(err, &breach) {
		s.goAway(localEnd(network.ConnProtocolViolation, err), goAwayProtocol)
		s.in.discard() // so that closing does not destroy the GoAway
	} else if !s.ending.Load() {
		s.fail(err)
	}
	// When the end came from this side the last frames may still be on their way;
	// the timer of end keeps that short.
	<-s.w.idle
	s.conn.Close()
	s.in.discard() // what was read ahead: the connection gives its buffer back when it says that it has ended
}

func (s *Session) finish() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.over = true
	close(s.finished)
	s.cond.Broadcast()
}

// incoming is the frame that is being read. Who reads may leave off in the middle of it, and another goes on.
type incoming struct {
	header
	st     *Stream // nil: its body is for nobody
	left   uint32  // of the body
	under  bool    // the header is read
	opened bool    // it opened st
}

// readFrames reads until there is a new stream, and returns nil, until who reads is to leave off, and returns errLeaveOff, or until the
// end, and returns why.
func (s *Session) readFrames() error {
	for {
		opened, err := s.readFrame()
		if err != nil {
			return err
		}
		if opened {
			s.wakeReaders()
			return nil
		}
	}
}

// readFrame reads a frame, or the rest of it, and says whether it opened a stream.
func (s *Session) readFrame() (opened bool, err error) {
	f := &s.frame
	if !f.under {
		b, err := s.in.header()
		if err != nil {
			return false, connectionEnded(err)
		}
		h, err := parseHeader(b)
		if err != nil {
			return false, err
		}
		if err := s.begin(h); err != nil {
			return false, err
		}
	}
	for f.left > 0 {
		most := int(f.left)
		if f.st != nil && f.st == s.leader {
			most = min(most, s.wanted)
		}
		p, err := s.in.some(most)
		if err != nil {
			return false, connectionEnded(err)
		}
		f.left -= uint32(len(p))
		if s.deliver(f.st, p) {
			return false, errLeaveOff
		}
	}
	f.under = false
	if f.st == nil {
		return false, nil
	}
	opened = f.opened
	return opened, s.handleEndFlags(f.st, f.header)
}

func connectionEnded(err error) error {
	if err == errLeaveOff {
		return err
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return remoteEnd(network.ConnNoError, ErrConnectionEnded)
	}
	return remoteEnd(network.ConnNoError, err)
}

// begin takes the header of a frame. The body is read piece by piece, so that no memory is set aside for bytes that were only announced.
func (s *Session) begin(h header) error {
	s.frame = incoming{header: h, under: true}
	switch h.kind {
	case typePing:
		return s.handlePing(h)
	case typeGoAway:
		return remoteEnd(network.ConnErrorCode(h.length), ErrGoAway)
	}
	if h.kind == typeData {
		if h.length > s.cfg.Window.maxFrame() {
			return violation("frame too large")
		}
		s.frame.left = h.length
	}
	if s.ending.Load() {
		return nil
	}
	st, err := s.streamFor(h)
	if err != nil || st == nil {
		return err
	}
	s.frame.st, s.frame.opened = st, h.has(flagSYN)
	if s.frame.opened {
		s.offer(st) // before the body: should the connection end within it, the rest counts
	}
	if h.kind == typeData {
		err = st.expect(h.length)
	} else if !h.has(flagRST | flagSYN) {
		err = st.credited(h.length)
	}
	return err
}

// deliver hands a piece of a body to its stream. It returns true if who reads is to leave off: the Read of that stream has all it asked
// for, or another that has comes back at once.
func (s *Session) deliver(st *Stream, p []byte) (enough bool) {
	if st == nil {
		return false
	}
	tell, full := st.receive(p)
	if tell {
		s.woken = append(s.woken, st)
	}
	if st == s.leader {
		s.wanted -= len(p)
		return s.wanted == 0
	}
	if full && st.wakeReader() && s.mayKeepFor(st) { // it has enough to do while more is read, or comes back at once
		s.wakeReaders()
		s.told = st
		return true
	}
	return false
}

// handleEndFlags comes after the body, which counts even if a reset follows.
func (s *Session) handleEndFlags(st *Stream, h header) error {
	if h.has(flagRST) {
		var code uint32
		if h.kind == typeWindowUpdate {
			code = h.length
		}
		unanswered := st.remoteReset(network.StreamErrorCode(code))
		if unanswered && !s.ours(h.stream) && !s.churn.spend() {
			return violation("too many streams opened and reset")
		}
		return nil
	}
	if h.has(flagFIN) {
		st.remoteFinished()
	}
	return nil
}

func (s *Session) handlePing(h header) error {
	if !h.has(flagSYN) {
		s.pulse.pong(h.length)
		return nil
	}
	if !s.w.reply(header{kind: typePing, flags: flagACK, length: h.length}) {
		return violation("too many pings without reading the answers")
	}
	return nil
}

// streamFor finds the stream of a data frame or window update, or makes it. It
// returns nil if the frame is to be ignored: streams that are gone may have had
// frames on their way.
func (s *Session) streamFor(h header) (*Stream, error) {
	if h.stream == 0 {
		return nil, violation("stream 0 carries no data")
	}
	s.mu.Lock()
	st, count := s.streams[h.stream], len(s.streams)
	s.mu.Unlock()
	if !h.has(flagSYN) {
		return st, nil
	}
	switch {
	case s.ours(h.stream):
		return nil, violation("opened a stream with an id of ours")
	case st != nil:
		return nil, violation("opened a stream twice")
	case h.has(flagRST):
		return nil, s.wasted() // opened and reset at once: never was
	case h.kind == typeData && h.length > initialWindow:
		return nil, violation("first data beyond the window")
	}
	credit := uint64(initialWindow)
	if h.kind == typeWindowUpdate {
		if s.cfg.Window == Absolute {
			credit = 0
		}
		credit += uint64(h.length)
	}
	if credit > math.MaxUint32 {
		return nil, violation("window overflow")
	}
	if count >= s.cfg.MaxStreams || !s.mem.reserve(initialWindow, priorityFirst) {
		return nil, s.refuse(h.stream)
	}
	st = newStream(s, h.stream, flagACK)
	st.credit = uint32(credit)
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return nil, nil
	}
	s.streams[h.stream] = st
	return st, nil
}

func (s *Session) refuse(stream uint32) error {
	reset := header{typeWindowUpdate, flagRST, stream, uint32(network.StreamResourceLimitExceeded)}
	if !s.w.reply(reset) {
		return violation("too many streams without reading the refusals")
	}
	return s.wasted()
}

func (s *Session) wasted() error {
	if !s.churn.spend() {
		return violation("too many streams opened in vain")
	}
	return nil
}

// offer hands a new stream to AcceptStream.
func (s *Session) offer(st *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.backlog = append(s.backlog, st)
	s.awaited = s.accepting > 0
	s.cond.Broadcast()
}

// awaitRoom waits, and so keeps the peer waiting, while too many streams are
// not accepted.
func (s *Session) awaitRoom() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for s.err == nil && s.full() {
		s.pulse.held.Store(true)
		s.cond.Wait()
	}
	if s.pulse.held.Swap(false) {
		s.pulse.beat()
	}
}

// wakeReaders tells those who wait to read of what arrived: once for all that had arrived together.
func (s *Session) wakeReaders() {
	s.told = nil
	for i, st := range s.woken {
		if st.wakeReader() {
			s.told = st
		}
		s.woken[i] = nil
	}
	s.woken = s.woken[:0]
}

// budget is a bucket of tokens: churnBurst at first, churnRate more per second.
type budget struct {
	spent float64
	since time.Time
}

func (b *budget) spend() bool {
	now := time.Now()
	if !b.since.IsZero() {
		b.spent = max(0, b.spent-churnRate*now.Sub(b.since).Seconds())
	}
	b.since = now
	b.spent++
	return b.spent <= churnBurst
}
