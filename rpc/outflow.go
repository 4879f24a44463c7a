package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// outflow is what a handler has answered and the session has not written yet:
// whole frames, at most keepSize and one more.
type outflow struct {
	id    uint32 // of the request
	limit int    // of a frame's body

	ready chan struct{} // holds a token when there is something new for the session
	room  chan struct{} // holds a token when there is room again

	mu      sync.Mutex
	pending []byte
	ended   bool // the last frame is in pending
}

func newOutflow(id uint32, limit int, buf []byte) *outflow {
	return &outflow{id: id, limit: limit, pending: buf[:0], ready: make(chan struct{}, 1), room: make(chan struct{}, 1)}
}

// item adds an item, and waits for room before that.
func (o *outflow) item(ctx context.Context, m proto.Message) (err error) {
	for !o.locked(func() {
		if o.ended { // late, and the client knows
			err = errLate
			return
		}
		o.pending, err = appendAnswer(o.pending, response{ID: o.id}, m, o.limit)
	}) {
		select {
		case <-o.room:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return err
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

// locked does f if there is room.
func (o *outflow) locked(f func()) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) >= keepSize {
		return false
	}
	f()
	signal(o.ready)
	return true
}

// swap takes what is pending and leaves an empty buffer in its place.
func (o *outflow) swap(empty []byte) (frames []byte, ended bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	frames, o.pending = o.pending, empty[:0]
	signal(o.room)
	return frames, o.ended
}

func signal(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}
