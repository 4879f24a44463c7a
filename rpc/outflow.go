package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Our own choice.
const (
	maxOutflow = 128 << 10 // what a stream's handler may be ahead of the client
	enough     = 64 << 10  // for so much it writes itself
)

// outflow is what a handler has answered and is not written yet: whole frames,
// at most maxOutflow bytes and one more. The session writes it, or when that is
// enough for a write the handler itself, which saves a change of goroutines.
type outflow struct {
	id    uint32                    // of the request
	limit int                       // of a frame's body
	write func(frames []byte) error // called by one goroutine at a time

	ready chan struct{} // holds a token when there is something new for the session
	room  chan struct{} // holds a token when there is room again

	mu      sync.Mutex
	pending []byte
	spare   []byte    // takes the place of pending when that is written
	ended   bool      // the last frame is in pending, or written
	writing bool      // somebody writes
	moved   time.Time // when something was written last
	failed  error     // of a write
}

func newOutflow(id uint32, limit int, buf []byte, write func([]byte) error) *outflow {
	return &outflow{
		id: id, limit: limit, write: write, pending: buf[:0], moved: time.Now(),
		ready: make(chan struct{}, 1), room: make(chan struct{}, 1),
	}
}

// item adds an item, and waits for room before that.
func (o *outflow) item(ctx context.Context, m proto.Message) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	for len(o.pending) >= maxOutflow && !o.ended {
		o.mu.Unlock()
		select {
		case <-o.room:
		case <-ctx.Done():
		}
		o.mu.Lock()
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
	}
	if o.ended { // late, and the client knows
		return errLate
	}
	if o.failed != nil {
		return o.failed
	}
	var err error
	o.pending, err = appendAnswer(o.pending, response{ID: o.id}, m, o.limit)
	if err == nil && len(o.pending) >= enough && !o.writing && ctx.Err() == nil {
		o.writePending()
	}
	if len(o.pending) > 0 || o.failed != nil {
		signal(o.ready)
	}
	return err
}

// flush writes what is pending for the session, unless the handler is writing
// and will say that there is more. It returns true when that was the last.
func (o *outflow) flush() (done bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		return false
	}
	if len(o.pending) > 0 && o.failed == nil {
		o.writePending()
	}
	return o.failed != nil || o.ended && len(o.pending) == 0
}

// writePending writes with the mutex released meanwhile.
func (o *outflow) writePending() {
	frames := o.pending
	o.pending, o.writing = o.spare[:0], true
	o.mu.Unlock()
	signal(o.room)
	err := o.write(frames)
	o.mu.Lock()
	o.spare, o.writing, o.moved, o.failed = frames, false, time.Now(), err
}

// left is how much of a deadline is left to the handler. None of it goes by
// while the client is waited for.
func (o *outflow) left(deadline time.Duration) time.Duration {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.writing {
		return deadline
	}
	return deadline - time.Since(o.moved)
}

// appendAnswer appends a response of which m is the payload. One that is too
// large is a *Status.
func appendAnswer(b []byte, r response, m proto.Message, limit int) ([]byte, error) {
	b, err := appendWith(b, r, m, limit)
	if tooLarge, ok := errors.AsType[*tariproto.FrameSizeError](err); ok {
		err = &Status{General, fmt.Sprintf("the response has %d bytes, the limit is %d", tooLarge.Size, tooLarge.Max)}
	}
	return b, err
}

// refusal is the last response to a request, with an error.
func refusal(id uint32, s *Status) response {
	return response{ID: id, Status: s.Code, Flags: flagFIN, Payload: []byte(s.Text)}
}

// fin ends a stream.
func (o *outflow) fin() error {
	o.end(response{ID: o.id, Flags: flagFIN})
	return nil
}

// fail ends the call with an error, if nothing else has ended it.
func (o *outflow) fail(s *Status) { o.end(refusal(o.id, s)) }

func (o *outflow) end(r response) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.ended {
		o.pending, o.ended = appendFrame(o.pending, r), true
		signal(o.ready)
	}
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
