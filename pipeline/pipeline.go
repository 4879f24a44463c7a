package pipeline

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Message is one message on its way.
type Message struct {
	Peer peer.ID // who sent it, or who is to get it
	Body []byte  // valid until the handler returns
	// Parts are the parts of an envelope, if the message is one: set by Unpack,
	// taken by Pack. They are as short-lived as Body.
	Parts [][]byte
}

// Handler takes one message. An error means that the message was not handled or
// not sent; it says nothing about others. ctx ends when the message's time is
// over or the pipeline's user closes.
type Handler func(ctx context.Context, m Message) error

// Middleware makes a handler of the next one. What it makes is called by many
// goroutines at once.
type Middleware func(next Handler) Handler

// Chain puts middleware around a handler; a message meets the first one first.
func Chain(last Handler, middleware ...Middleware) Handler {
	for i := len(middleware) - 1; i >= 0; i-- {
		last = middleware[i](last)
	}
	return last
}

// Into is a handler that puts a copy of each message into a channel. It waits
// while the channel is full.
func Into(ch chan<- Message) Handler {
	return func(ctx context.Context, m Message) error {
		select {
		case ch <- m.clone():
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// clone is a copy that stays valid. Parts that lie in Body do so in the copy too
// only by their content.
func (m Message) clone() Message {
	c := Message{Peer: m.Peer, Body: append([]byte(nil), m.Body...)}
	if m.Parts != nil {
		c.Parts = make([][]byte, len(m.Parts))
		for i, p := range m.Parts {
			c.Parts[i] = append([]byte(nil), p...)
		}
	}
	return c
}

// Errors of pipelines. They are compared with errors.Is.
var (
	// ErrClosed: the pipeline was closed before the message had its turn.
	ErrClosed = errors.New("pipeline: closed")
	// ErrQueueFull: OutboundConfig.Queue messages wait already.
	ErrQueueFull = errors.New("pipeline: queue full")
	// ErrTimeLimit: the message was not through the outbound pipeline within
	// OutboundConfig.Limit.
	ErrTimeLimit = errors.New("pipeline: over the time limit")
)

// PanicError is the error of a message under which a handler panicked.
type PanicError struct {
	Value any    // what was given to panic
	Stack []byte // where; for a log, not for a peer
}

// Error implements error.
func (e *PanicError) Error() string { return fmt.Sprintf("pipeline: panic: %v", e.Value) }

// Unwrap returns the value if it is an error.
func (e *PanicError) Unwrap() error {
	err, _ := e.Value.(error)
	return err
}

// safely calls a handler and makes an error of its panic.
func safely(h Handler, ctx context.Context, m Message) (err error) { //nolint:revive // ctx and m belong together, as h has them
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{v, debug.Stack()}
		}
	}()
	return h(ctx, m)
}

// slots bound how many messages are handled at once.
type slots struct {
	free   chan struct{} // one token for each that is free
	closed chan struct{}
	work   sync.WaitGroup // all that have entered

	mu   sync.Mutex // guards what follows, and work.Add against close
	over bool
}

func newSlots(n int) *slots {
	s := &slots{free: make(chan struct{}, n), closed: make(chan struct{})}
	for range n {
		s.free <- struct{}{}
	}
	return s
}

// enter waits for a slot. If it returns nil, leave must be called.
func (s *slots) enter(ctx context.Context) error {
	s.mu.Lock()
	if s.over {
		s.mu.Unlock()
		return ErrClosed
	}
	s.work.Add(1)
	s.mu.Unlock()
	if err := s.take(ctx); err != nil {
		s.work.Done()
		return err
	}
	return nil
}

func (s *slots) take(ctx context.Context) error {
	select {
	case <-s.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-s.closed:
		return ErrClosed
	}
}

func (s *slots) leave() {
	s.free <- struct{}{}
	s.work.Done()
}

// close refuses those that wait for a slot and waits for those that have one.
func (s *slots) close() {
	s.mu.Lock()
	first := !s.over
	s.over = true
	s.mu.Unlock()
	if first {
		close(s.closed)
	}
	s.work.Wait()
}

// run is the context of one message in a pipeline.
type run struct {
	context.Context
	slots *slots
	task  *task // outbound only
}

type runKey struct{}

// Value implements context.Context.
func (r *run) Value(key any) any {
	if _, ours := key.(runKey); ours {
		return r
	}
	return r.Context.Value(key)
}

func runOf(ctx context.Context) *run {
	r, _ := ctx.Value(runKey{}).(*run)
	return r
}

// pause waits without a slot, so that others can use it meanwhile.
func pause(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	var closed chan struct{}
	if r := runOf(ctx); r != nil { // not a handler that is used without a pipeline
		closed = r.slots.closed
		r.slots.free <- struct{}{}
		// Without a slot there is no way on, whatever ends meanwhile; those that
		// have one give it back.
		defer func() { <-r.slots.free }()
	}
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	case <-closed:
		return ErrClosed
	}
}
