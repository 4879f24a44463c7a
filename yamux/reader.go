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

// reliefAfter is how long nobody reads before a goroutine is started for it (our choice). Where AcceptStream is called all the time it comes back
// much sooner; what waits for the peer does not wait for this.
const reliefAfter = 20 * time.Millisecond

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
	go s.run() // ends with the connection, or when an AcceptStream reads; Close waits for it
}

// reliefSoon is how long who waits for the peer waits for an AcceptStream that is about to come back (our choice).
const reliefSoon = time.Millisecond

// readSoon has a goroutine read, at once or if no AcceptStream comes back in a moment.
func (s *Session) readSoon() {
	if s.reading.Load() {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.reading.Load():
	case s.accepts:
		s.relief.Reset(reliefSoon)
	default:
		s.startReading()
	}
}

// takeOver makes the caller the one who reads. It is called with the mutex held, as leaveOff is.
func (s *Session) takeOver() {
	s.reading.Store(true)
	s.relief.Stop()
}

// leaveOff has an AcceptStream read that comes back for it, or the relief.
func (s *Session) leaveOff() {
	s.reading.Store(false)
	s.relief.Reset(reliefAfter)
	s.cond.Broadcast()
}

// run reads until the connection ends, or an AcceptStream goes on with it.
func (s *Session) run() {
	for {
		if err := s.readFrames(); err != nil {
			s.conclude(err)
			return
		}
		if s.handOver() {
			return
		}
		s.awaitRoom()
	}
}

// handOver leaves the reading to the AcceptStream that waited for the stream that was just opened, if one did: it comes back.
func (s *Session) handOver() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.awaited {
		s.leaveOff()
	}
	return s.awaited
}

// conclude ends the session after the last read, whose error it gets, and puts everything away.
func (s *Session) conclude(err error) {
	defer close(s.finished)
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

// readFrames reads until there is a new stream, and returns nil, or until the end, and returns why.
func (s *Session) readFrames() error {
	for {
		b, err := s.in.header()
		if err != nil {
			return connectionEnded(err)
		}
		h, err := parseHeader(b)
		if err != nil {
			return err
		}
		opened, err := s.handle(h)
		if err != nil {
			return err
		}
		if opened {
			s.wakeReaders()
			return nil
		}
	}
}

func connectionEnded(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return remoteEnd(network.ConnNoError, ErrConnectionEnded)
	}
	return remoteEnd(network.ConnNoError, err)
}

// handle takes a frame, and says whether it opened a stream.
func (s *Session) handle(h header) (opened bool, err error) {
	switch h.kind {
	case typePing:
		return false, s.handlePing(h)
	case typeGoAway:
		return false, remoteEnd(network.ConnErrorCode(h.length), ErrGoAway)
	}
	if h.kind == typeData && h.length > s.cfg.Window.maxFrame() {
		return false, violation("frame too large")
	}
	if s.ending.Load() {
		return false, s.skip(h)
	}
	st, err := s.streamFor(h)
	if err != nil {
		return false, err
	}
	if st == nil {
		return false, s.skip(h)
	}
	opened = h.has(flagSYN)
	if opened {
		s.offer(st) // before the body: should the connection end within it, the rest counts
	}
	if h.kind == typeData {
		err = s.readBody(st, h)
	} else if !h.has(flagRST | flagSYN) {
		err = st.credited(h.length)
	}
	if err != nil {
		return false, err
	}
	return opened, s.handleEndFlags(st, h)
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
	for s.err == nil && len(s.backlog) >= s.cfg.Backlog {
		s.pulse.held.Store(true)
		s.cond.Wait()
	}
	if s.pulse.held.Swap(false) {
		s.pulse.beat()
	}
}

// skip reads past the body of a frame that nobody wants.
func (s *Session) skip(h header) error {
	if h.kind != typeData || h.length == 0 {
		return nil
	}
	for left := int(h.length); left > 0; {
		p, err := s.in.some(left)
		if err != nil {
			return connectionEnded(err)
		}
		left -= len(p)
	}
	return nil
}

// readBody reads the body of a data frame into its stream, piece by piece, so
// that no memory is set aside for bytes that were only announced.
func (s *Session) readBody(st *Stream, h header) error {
	if err := st.expect(h.length); err != nil {
		return err
	}
	for left := int(h.length); left > 0; {
		p, err := s.in.some(left)
		if err != nil {
			return connectionEnded(err)
		}
		if st.receive(p) {
			s.woken = append(s.woken, st)
		}
		left -= len(p)
	}
	return nil
}

// wakeReaders tells those who wait to read of what arrived: once for all that had arrived together.
func (s *Session) wakeReaders() {
	for i, st := range s.woken {
		st.wakeReader()
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
