package messagingproto

import (
	"context"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
)

// Result says what became of one message.
type Result struct {
	// Err is nil if the message has been written to a stream, otherwise a
	// *SendError that says why not.
	Err error
	// Tries is how many writes of the message were begun. A message that was
	// sent in more than one may arrive more than once.
	Tries int
}

// A receipt is told once what became of a message; nil stands for nobody who wants to know. A message is withdrawn by its receipt, so
// those of callers that may do that are pointers.
type receipt interface{ tell(Result) }

type (
	// callback is the receipt of SendAsync. A function in an interface allocates nothing.
	callback func(Result)
	// waiter is that of Send.
	waiter struct{ result chan Result }
	// member is that of a message of a group.
	member struct {
		group *group
		place int
	}
	// silence is that of messages whose senders were told long ago: a tie lost them, see young.go.
	silence struct{}
)

var sentBefore receipt = silence{}

func (f callback) tell(res Result) { f(res) }
func (w *waiter) tell(res Result)  { w.result <- res }
func (m *member) tell(res Result)  { m.group.note(m.place, res) }
func (silence) tell(Result)        {}

func newWaiter() any { return &waiter{make(chan Result, 1)} }

func (m *message) tell(res Result) {
	if m.receipt != nil {
		m.receipt.tell(res)
	}
}

// Send sends a copy of message to a peer and returns when it has been written
// to a stream, dialing the peer first if there is no connection. The error is
// always a *SendError. If ctx ends while the message waits, it is not sent.
func (s *Service) Send(ctx context.Context, to peer.ID, message []byte) error {
	if err := ctx.Err(); err != nil {
		return s.cancelled(0, err).Err
	}
	r := s.waiters.Get().(*waiter)
	o, err := s.enqueue(to, message, r)
	if err != nil {
		s.waiters.Put(r)
		return err
	}
	select {
	case res := <-r.result:
		s.waiters.Put(r)
		return res.Err
	case <-ctx.Done():
	}
	if tries, ok := o.withdraw(r); ok {
		s.waiters.Put(r)
		return s.cancelled(tries, ctx.Err()).Err
	}
	// Its write has begun or is over. r may still be used by the writer, so it
	// does not go back to the pool.
	select {
	case res := <-r.result:
		return res.Err
	default:
		return &SendError{Reason: Cancelled, Tries: 1, Err: ctx.Err()}
	}
}

// SendAsync queues a copy of message for a peer and returns at once. If it
// returns nil, done is called exactly once. done may be nil; it is called from
// the goroutine that writes to the peer and must not block.
func (s *Service) SendAsync(to peer.ID, message []byte, done func(Result)) error {
	var r receipt
	if done != nil {
		r = callback(done)
	}
	_, err := s.enqueue(to, message, r)
	return err
}

// SendMany sends messages to one peer and returns when each has its result, at
// the message's place. They leave in their order, few writes taking all of
// them; other messages to the peer may come in between.
//
// All are queued at once, so what exceeds the Limits fails with QueueFull. If
// ctx ends, those that wait are not sent. Callers that do not wait use
// SendAsync for each.
func (s *Service) SendMany(ctx context.Context, to peer.ID, messages [][]byte) []Result {
	return s.sendGroup(ctx, len(messages), func(i int) (peer.ID, []byte) { return to, messages[i] })
}

// Broadcast sends one message to many peers and returns when each has its
// result, at the peer's place. No peer waits for another; the slowest decides
// when Broadcast returns, at the latest after the time-outs of Config. If ctx
// ends, what waits is not sent.
//
// Every peer's queue holds a copy, and the Limits count it.
func (s *Service) Broadcast(ctx context.Context, to []peer.ID, message []byte) []Result {
	return s.sendGroup(ctx, len(to), func(i int) (peer.ID, []byte) { return to[i], message })
}

// BroadcastAsync is Broadcast that does not wait. done is called exactly once
// for each peer, possibly before BroadcastAsync returns. It may be nil and must
// not block.
func (s *Service) BroadcastAsync(to []peer.ID, message []byte, done func(peer.ID, Result)) {
	for _, p := range to {
		var told func(Result)
		if done != nil {
			told = func(res Result) { done(p, res) }
		}
		if err := s.SendAsync(p, message, told); err != nil && done != nil {
			done(p, Result{Err: err})
		}
	}
}

// group is a set of messages whose sender waits for all of them.
type group struct {
	mu       sync.Mutex // guards what follows
	results  []Result
	answered []bool
	left     int
	all      chan struct{} // closed when left is 0
}

func (g *group) note(place int, res Result) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.answered[place] {
		return // the sender does not wait any more
	}
	g.results[place], g.answered[place] = res, true
	if g.left--; g.left == 0 {
		close(g.all)
	}
}

// sendGroup queues n messages and waits for their results.
func (s *Service) sendGroup(ctx context.Context, n int, message func(i int) (peer.ID, []byte)) []Result {
	if n == 0 {
		return nil
	}
	g := &group{results: make([]Result, n), answered: make([]bool, n), left: n, all: make(chan struct{})}
	members := make([]member, n)
	boxes := make([]*outbox, n)
	for i := range members {
		members[i] = member{g, i}
		if err := ctx.Err(); err != nil {
			g.note(i, s.cancelled(0, err))
			continue
		}
		to, body := message(i)
		var err error
		if boxes[i], err = s.enqueue(to, body, &members[i]); err != nil {
			g.note(i, Result{Err: err})
		}
	}
	select {
	case <-g.all:
		return g.results
	case <-ctx.Done():
	}
	for i, o := range boxes {
		if o == nil {
			continue
		}
		if tries, ok := o.withdraw(&members[i]); ok {
			g.note(i, s.cancelled(tries, ctx.Err()))
			continue
		}
		// Its write has begun or is over; the result, if there is one, stays.
		g.note(i, Result{Err: &SendError{Reason: Cancelled, Tries: 1, Err: ctx.Err()}, Tries: 1})
	}
	return g.results
}
