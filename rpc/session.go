package rpc

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
)

// session is the server's side of a stream. One goroutine at a time has the
// lead: it reads what the client says and serves it, so that a short call costs
// no change of goroutines. Of a call that streams or takes its time another
// goroutine takes the lead, to hear it cancelled; there is never more than one
// call.
//
//	client                                server
//	  | hello{versions} ------------------> |   within 10 s, at most 1 KiB
//	  | <------- helloReply{version|reject} |   the session counts from here on
//	  |                                     |
//	  | request{id, method, deadline} ----> |   unary:
//	  | <-------- response{id, FIN} payload |
//	  |                                     |
//	  | request{id, method, deadline} ----> |   streaming:
//	  | <------------- response{id} payload |   as often as there are items
//	  | <---------------- response{id, FIN} |   no payload
//	  |                                     |
//	  | <-- response{id, status, FIN} text  |   instead, at any point: it failed
//	  |                                     |
//	  | request{id, FIN} -----------------> |   at any point: the call is cancelled,
//	  |                                     |   nothing more of it comes
//	  | request{ACK} ---------------------> |   between two calls: a ping
//	  | <-------------------- response{ACK} |
//	  |                                     |
//	  | (end of the stream) --------------> |   after which a call is cancelled too
type session struct {
	server  *Server
	rules   rules
	peer    peer.ID
	methods map[uint32]Method
	stream  network.Stream
	ctx     context.Context // ends with the session
	cancel  context.CancelCauseFunc

	work   sync.WaitGroup // goroutines other than the stream's own
	idle   idle
	slow   slow
	frames frames // of who has the lead
	buf    []byte // for what is written; of who serves the call that runs, else of who has the lead
}

// call is a request, or something else to be answered.
type call struct {
	request
	oversized int // if not 0, the bytes of a request that was not read
	ctx       context.Context
	cancel    context.CancelCauseFunc
	served    bool          // for an idle session it counts
	turn      chan struct{} // closed when the call before it is over; nil if there was none
	led       bool          // another goroutine has the lead meanwhile
	done      chan struct{} // closed when the session has finished with it

	// Of a unary one:
	answered atomic.Bool   // who sets it is the one who answers
	limit    time.Duration // its deadline
	written  chan struct{} // closed when the handler has returned and the answer is written, if that took its time
	failed   error         // of that write
}

func newSession(s *Server, p peer.ID, methods map[uint32]Method, stream network.Stream) *session {
	x := &session{server: s, rules: rulesOn(stream.Conn(), s.cfg.Era), peer: p, methods: methods, stream: stream}
	x.ctx, x.cancel = context.WithCancelCause(s.ctx)
	x.frames = frames{r: stream, limit: maxHandshake}
	return x
}

// interrupt makes reads and writes fail once the session is told to end. The
// returned function undoes it.
func (x *session) interrupt() (stop func()) {
	woken := make(chan struct{})
	undo := context.AfterFunc(x.ctx, func() {
		_ = x.stream.SetDeadline(past)
		close(woken)
	})
	return func() {
		if !undo() {
			<-woken
		}
	}
}

// past is a deadline that has gone by.
var past = time.Unix(1, 0)

// refuse is a session for which there is not even a handshake.
func (x *session) refuse() error {
	defer x.cancel(nil)
	defer x.interrupt()()
	err := x.reject(RejectServerFull)
	x.stream.Close()
	return err
}

// serve is a session from its first byte to its last.
func (x *session) serve() (err error) {
	defer x.cancel(nil)
	defer x.interrupt()()
	if err := x.handshake(); err != nil {
		if _, answered := errors.AsType[*RejectedError](err); answered {
			x.stream.Close()
		} else {
			_ = x.stream.Reset()
		}
		return err
	}
	defer x.server.leave(x)

	x.idle.begin(x)
	x.slow.attend = x.attend
	x.lead(nil)
	x.work.Wait()
	x.idle.end()
	x.slow.stop()
	switch err = context.Cause(x.ctx); err {
	case errHungUp:
		err = nil
		fallthrough
	case errIdle, errCulled, errClosed:
		x.stream.Close()
	default:
		_ = x.stream.Reset()
	}
	return err
}

// handshake agrees on the version and takes a place.
func (x *session) handshake() error {
	defer x.server.shaken(x.peer)
	if err := x.arm(x.stream.SetDeadline, x.rules.serverHandshake); err != nil {
		return err
	}

	// <- hello
	frame, err := x.frames.next()
	if err != nil {
		return fmt.Errorf("rpc: handshake: %w", noEOF(err))
	}
	offer, err := parseHello(frame)
	switch {
	case err != nil:
		return err
	case !slices.Contains(offer.Versions, version):
		return x.reject(RejectVersion)
	case !x.server.admit(x):
		return x.reject(RejectServerFull)
	}

	// -> helloReply; the session counts already
	_, err = x.stream.Write(appendFrame(nil, helloReply{Accepted: version}))
	if err == nil {
		x.frames.limit = x.rules.frame
		_ = x.stream.SetDeadline(time.Time{})
		err = context.Cause(x.ctx)
	}
	if err != nil {
		x.server.leave(x)
		return fmt.Errorf("rpc: handshake: %w", err)
	}
	return nil
}

// reject tells the client that there is no session, as far as its era can hear
// it: a server of the first closes without a word when it is full.
func (x *session) reject(why RejectReason) error {
	reply := helloReply{Rejected: true, Reason: why}
	if !x.rules.controls {
		reply.Reason = RejectUnknown
		if why != RejectVersion {
			return &RejectedError{why}
		}
	}
	if err := x.arm(x.stream.SetWriteDeadline, x.rules.serverHandshake); err != nil {
		return err
	}
	if _, err := x.stream.Write(appendFrame(nil, reply)); err != nil {
		return fmt.Errorf("rpc: handshake: %w", err)
	}
	return &RejectedError{why}
}

// arm sets a deadline, unless the session is to end.
func (x *session) arm(set func(time.Time) error, d time.Duration) error {
	_ = set(time.Now().Add(d))
	if x.ctx.Err() != nil {
		return context.Cause(x.ctx)
	}
	return nil
}

// lead reads what the client says and serves it, until the session ends or
// another goroutine has the lead. While running is under way only a frame that
// may be its FIN is read behind it, so that the client's window and not we hold
// the rest.
func (x *session) lead(running *call) {
	for {
		c, err := x.readCall(running)
		if err == io.EOF {
			err = errHungUp
		}
		if err != nil {
			x.cancel(err)
			return
		}
		if c.Flags&flagFIN != 0 {
			if running != nil && running.ID == c.ID && running.Flags == 0 {
				running.cancel(errCancelled)
				_ = x.stream.SetWriteDeadline(time.Now().Add(refusalTime)) // it may be in the middle of a frame
			}
			continue
		}
		c.ctx, c.cancel = context.WithCancelCause(x.ctx)
		c.done = make(chan struct{})
		if running != nil && !running.over() {
			x.queue(c, running)
			return
		}
		running = c
		if left, err := x.serveCall(c); left {
			return
		} else if x.finish(c, err); err != nil {
			return
		}
	}
}

// queue serves a call that came behind another when that is over, and gives the
// lead to another goroutine, but not before all others had their turn: one
// waits, and what is behind it is not read.
func (x *session) queue(c, running *call) {
	c.led, c.turn = true, make(chan struct{})
	if running.turn != nil {
		select {
		case <-running.turn:
		case <-x.ctx.Done():
		}
	}
	x.work.Go(func() { x.lead(c) })
	<-running.done // its context ends with the session's
	close(c.turn)
	if left, err := x.serveCall(c); !left {
		x.finish(c, err)
	}
}

// cancelled says whether the client has cancelled the call, or the session ends.
func (c *call) cancelled() bool { return c.ctx.Err() != nil }

// over says whether the session has finished with the call.
func (c *call) over() bool {
	select {
	case <-c.done:
		return true
	default:
		return false
	}
}

// finish is the end of a call, and after an error that of the session.
func (x *session) finish(c *call, err error) {
	c.cancel(nil)
	if err != nil {
		x.cancel(err)
	}
	if c.served {
		x.idle.busy(false)
	}
	c.Payload = nil // who has the lead remembers the call
	close(c.done)
}

// readCall reads the next frame, a long one not before running has ended.
func (x *session) readCall(running *call) (*call, error) {
	size, err := x.frames.size()
	if err != nil {
		return nil, err
	}
	if size > maxFIN && running != nil {
		select {
		case <-running.done:
		case <-x.ctx.Done():
			return nil, context.Cause(x.ctx)
		}
	}
	if size > x.rules.request {
		start, err := x.frames.skip(1 + 5) // enough for the tag and the value of the id, which comes first
		return &call{request: request{ID: idAt(start)}, oversized: size}, err
	}
	body, err := x.frames.take()
	if err != nil {
		return nil, err
	}
	req, err := parseRequest(body)
	return &call{request: req}, err
}

// idAt reads the id from the start of a request, 0 if it is not there.
func idAt(start []byte) uint32 {
	num, typ, n := protowire.ConsumeTag(start)
	if n < 0 || num != 1 || typ != protowire.VarintType {
		return 0
	}
	id, n := protowire.ConsumeVarint(start[n:])
	if n < 0 {
		return 0
	}
	return uint32(id)
}

// serveCall answers one request. left means that other goroutines have the lead
// and finish the call.
func (x *session) serveCall(c *call) (left bool, err error) {
	method, known := x.methods[c.Method]
	switch {
	case x.ctx.Err() != nil:
		return false, context.Cause(x.ctx)
	case c.cancelled(): // before its turn
		return false, nil
	case c.oversized > 0:
		return false, x.fail(c, BadRequest, "the request has %d bytes, the limit is %d", c.oversized, x.rules.request)
	case c.Flags&flagACK != 0:
		return false, x.write(c, appendFrame(x.buf[:0], response{ID: c.ID, Flags: flagACK}), refusalTime)
	case c.Deadline < 1:
		return false, x.fail(c, BadRequest, "invalid deadline: it must be 1 s or more")
	}
	x.idle.busy(true)
	c.served = true
	if !known {
		return false, x.fail(c, UnsupportedMethod, "there is no method %d", c.Method)
	}
	deadline := x.server.cfg.MaxDeadline
	if c.Deadline < uint64(deadline/time.Second) {
		deadline = time.Duration(c.Deadline) * time.Second
	}
	if method.unary != nil {
		return x.unary(c, method, deadline)
	}
	x.giveLead(c)
	x.finish(c, x.call(c, method, deadline))
	return true, nil
}

// giveLead has another goroutine hear what comes while a call runs.
func (x *session) giveLead(c *call) {
	if !c.led {
		c.led = true
		x.work.Go(func() { x.lead(c) })
	}
}

// unary runs a unary method's handler and writes what it answers. When that
// takes its time, another goroutine looks after the rest.
func (x *session) unary(c *call, m Method, deadline time.Duration) (left bool, err error) {
	c.written, c.limit = make(chan struct{}), deadline
	x.work.Add(1) // attend; this goroutine's own end may come before its beginning
	x.slow.begin(c)
	answer, err := m.unary(c.ctx, x.peer, c.Payload)
	if err = x.reply(c, answer, err); x.slow.end() {
		x.work.Done()
		return false, err
	}
	c.failed = err
	close(c.written)
	return true, nil
}

// attend is with a unary call that takes its time. It gives the lead to another
// goroutine, tells the client when the call is late, and finishes it.
func (x *session) attend(c *call) {
	defer x.work.Done()
	x.giveLead(c)
	late := time.NewTimer(c.limit - leadTime)
	defer late.Stop()
	var err error
	select {
	case <-c.written:
	case <-late.C:
		err = x.reply(c, nil, errLate)
		c.cancel(errLate) // nothing that the handler still does is of any use
		<-c.written
	}
	x.finish(c, cmp.Or(err, c.failed))
}

// reply writes the answer to a unary call, or why there is none, unless there
// was one.
func (x *session) reply(c *call, answer proto.Message, failure error) error {
	if c.cancelled() || c.answered.Swap(true) {
		return nil
	}
	frame := x.buf[:0]
	if failure == nil {
		frame, failure = appendAnswer(frame, response{ID: c.ID, Flags: flagFIN}, answer, x.rules.frame)
	}
	if failure != nil {
		frame = appendFrame(frame, refusal(c.ID, statusFor(failure)))
	}
	x.buf = small(frame)
	return x.write(c, frame, c.limit)
}

func (x *session) fail(c *call, code Code, format string, args ...any) error {
	text := fmt.Sprintf(format, args...)
	return x.write(c, appendFrame(x.buf[:0], response{ID: c.ID, Status: code, Flags: flagFIN, Payload: []byte(text)}), refusalTime)
}

// call runs a streaming method's handler and writes what it answers, which may take
// deadline for each item, and deadline again until the client has taken it. It
// returns when the handler has.
func (x *session) call(c *call, m Method, deadline time.Duration) error {
	out := newOutflow(c.ID, x.rules.frame, x.buf, func(frames []byte) error { return x.write(c, frames, deadline) })
	returned := make(chan struct{})
	go func() {
		defer close(returned)
		if err := m.stream(c.ctx, x.peer, c.Payload, out); err != nil {
			out.fail(statusFor(err))
		}
	}()
	x.attendStream(c, out, deadline)
	c.cancel(errLate) // nothing that the handler still does is of any use
	<-returned
	x.buf = small(out.pending)
	return out.failed
}

// attendStream writes what a handler answers, and tells the client when it is
// late, up to the last frame, the first write that fails, or the end of the call.
func (x *session) attendStream(c *call, out *outflow, deadline time.Duration) {
	late := time.NewTimer(deadline)
	defer late.Stop()
	ended := c.ctx.Done() // cancelled by the client, or the session ends
	for {
		select {
		case <-ended:
			return
		case <-late.C:
			if left := out.left(deadline); left > 0 {
				late.Reset(left)
				continue
			}
			out.fail(errLate)
			c.cancel(errLate)
			ended = x.ctx.Done()
		case <-out.ready:
		}
		if c.ctx.Err() != nil && context.Cause(c.ctx) != errLate || out.flush() {
			return
		}
	}
}

// small keeps a buffer for later unless it is large.
func small(b []byte) []byte {
	if cap(b) > 2*keepSize {
		return nil
	}
	return b[:0]
}

// write writes frames. A client that does not take them within the deadline
// ends the session, since there is half a frame then.
func (x *session) write(c *call, frames []byte, deadline time.Duration) error {
	if err := x.arm(x.stream.SetWriteDeadline, deadline); err != nil {
		return err
	}
	if c.ctx.Err() != nil && context.Cause(c.ctx) != errLate { // cancelled meanwhile: see lead
		_ = x.stream.SetWriteDeadline(time.Now().Add(refusalTime))
	}
	if _, err := x.stream.Write(frames); err != nil {
		if x.ctx.Err() != nil {
			return context.Cause(x.ctx)
		}
		return fmt.Errorf("rpc: response: %w", err)
	}
	return nil
}
