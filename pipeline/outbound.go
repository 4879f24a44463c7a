package pipeline

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// Rules of tari_comms: its base node's bound, its limit for each task, and the
// seed era's queue.
const (
	defaultOutbound = 100
	defaultLimit    = 10 * time.Second
	defaultQueue    = 50
)

// Sender queues one message for a peer; a messagingproto.Service is one. If it
// returns nil, it calls done once.
type Sender interface {
	SendAsync(to peer.ID, message []byte, done func(messagingproto.Result)) error
}

// OutboundConfig is what NewOutbound needs to know. Its zero value works.
type OutboundConfig struct {
	Middleware []Middleware // the first one meets a message first
	// Concurrency is how many messages are in the pipeline at once. 0 means 100.
	Concurrency int
	// Limit is how long a message may be in the pipeline, until it is queued for
	// the peer. 0 means 10 s. Middleware has to heed its context for it.
	Limit time.Duration
	// Queue is how many messages of SendAsync may wait for their turn. 0 means 50.
	Queue int
}

// Outbound handles messages that are to be sent.
type Outbound struct {
	handler Handler
	to      Sender
	cfg     OutboundConfig
	slots   *slots
	work    sync.WaitGroup // workers

	mu      sync.Mutex // guards what follows
	closed  bool
	waiting []request
	workers int
}

type request struct {
	message Message
	done    func(error)
}

// NewOutbound returns a pipeline that ends in a sender.
func NewOutbound(to Sender, cfg OutboundConfig) *Outbound {
	if cfg.Concurrency == 0 {
		cfg.Concurrency = defaultOutbound
	}
	if cfg.Limit == 0 {
		cfg.Limit = defaultLimit
	}
	if cfg.Queue == 0 {
		cfg.Queue = defaultQueue
	}
	o := &Outbound{to: to, cfg: cfg, slots: newSlots(cfg.Concurrency)}
	o.handler = Chain(o.queue, cfg.Middleware...)
	return o
}

// Send takes one message through the pipeline and returns when all that came of
// it has been sent, with the errors of what was not. Messages that one goroutine
// sends keep their order if the middleware does. When ctx ends Send returns, but
// what was queued for a peer before may still be sent.
func (o *Outbound) Send(ctx context.Context, m Message) error {
	if err := o.slots.enter(ctx); err != nil {
		return err
	}
	result := make(chan error, 1)
	o.handle(ctx, m, func(err error) { result <- err })
	select {
	case err := <-result:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// SendAsync queues a copy of a message for the pipeline and returns at once. If
// it returns nil, done is called exactly once, with the error that Send would
// have returned; it may be nil and must not block. With a Concurrency above 1
// messages may overtake each other.
func (o *Outbound) SendAsync(m Message, done func(error)) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.closed:
		return ErrClosed
	case len(o.waiting) >= o.cfg.Queue:
		return ErrQueueFull
	}
	if done == nil {
		done = func(error) {}
	}
	o.waiting = append(o.waiting, request{m.clone(), done})
	if o.workers < o.cfg.Concurrency {
		o.workers++
		o.work.Go(o.worker)
	}
	return nil
}

// worker takes messages of SendAsync until none waits.
func (o *Outbound) worker() {
	for {
		o.mu.Lock()
		if len(o.waiting) == 0 {
			o.workers--
			o.mu.Unlock()
			return
		}
		next := o.waiting[0]
		o.waiting[0] = request{}
		o.waiting = o.waiting[1:]
		o.mu.Unlock()
		if err := o.slots.enter(context.Background()); err != nil {
			next.done(err)
			continue
		}
		o.handle(context.Background(), next.message, next.done)
	}
}

// handle takes a message that has a slot through the pipeline.
func (o *Outbound) handle(ctx context.Context, m Message, done func(error)) {
	t := &task{left: 1, done: done}
	limited, cancel := context.WithTimeout(ctx, o.cfg.Limit)
	err := safely(o.handler, &run{Context: limited, slots: o.slots, task: t}, m)
	if err != nil && ctx.Err() == nil && errors.Is(limited.Err(), context.DeadlineExceeded) {
		err = fmt.Errorf("%w: %w", ErrTimeLimit, err)
	}
	cancel()
	o.slots.leave()
	t.answer(err)
}

// queue is the last handler.
func (o *Outbound) queue(ctx context.Context, m Message) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	r := runOf(ctx)
	if r == nil || r.task == nil { // a middleware has made a context of its own
		return o.to.SendAsync(m.Peer, m.Body, nil)
	}
	r.task.expect()
	err := o.to.SendAsync(m.Peer, m.Body, func(res messagingproto.Result) { r.task.answer(res.Err) })
	if err != nil {
		r.task.answer(nil) // the middleware hears of it, and decides
	}
	return err
}

// Close refuses new messages, lets those that wait go through the pipeline and
// waits for it. It does not wait for what is queued for the peers: closing the
// messaging service does.
func (o *Outbound) Close() error {
	o.mu.Lock()
	o.closed = true
	o.mu.Unlock()
	o.work.Wait()
	o.slots.close()
	return nil
}

// task gathers the results of the messages that one message became.
type task struct {
	done func(error)

	mu   sync.Mutex // guards what follows
	left int        // answers that are missing, that of the pipeline included
	errs []error
}

func (t *task) expect() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.left++
}

func (t *task) answer(err error) {
	t.mu.Lock()
	if err != nil {
		t.errs = append(t.errs, err)
	}
	t.left--
	last, errs := t.left == 0, t.errs
	t.mu.Unlock()
	if !last {
		return
	}
	if len(errs) == 1 {
		t.done(errs[0])
		return
	}
	t.done(errors.Join(errs...))
}
