package messagingproto

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// outbox is the queue of messages to one peer and the stream they leave on.
//
// It has a goroutine only while it is not empty: enqueue starts run, and run
// ends when nothing is left. What arrives while a write is in progress goes out
// together with the next one.
type outbox struct {
	service *Service
	to      peer.ID
	runner  func() // run; kept so that starting it allocates nothing

	// Of run alone:
	armed    time.Time // when the stream's write deadline was last set
	failures int       // streams lost one after the other without a whole message written

	mu       sync.Mutex // guards what follows
	running  bool
	closed   bool          // no message is taken any more
	gone     bool          // removed from the service; look for another outbox
	drained  chan struct{} // if not nil, closed when run ends
	stream   network.Stream
	pending  []*batch
	messages int         // messages in pending and in the write in progress
	bytes    int         // their bytes
	sent     uint64      // messages
	idleEnd  *time.Timer // closes the stream when it was idle for long
}

// enqueue copies body into the outbox of a peer, or says why not.
func (s *Service) enqueue(to peer.ID, body []byte, r receipt) (*outbox, error) {
	if len(body) > MaxMessage {
		return nil, s.refuse(TooLarge, nil)
	}
	for {
		o := s.outbox(to)
		if o == nil {
			return nil, s.refuse(Closed, nil)
		}
		if again, err := o.add(body, r); !again {
			return o, err
		}
	}
}

// outbox finds the outbox of a peer, or makes it. It returns nil once the service is closed.
func (s *Service) outbox(to peer.ID) *outbox {
	if o := s.recent.Load(); o != nil && o.to == to {
		return o
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil
	}
	o := s.outboxes[to]
	if o == nil {
		o = &outbox{service: s, to: to}
		o.runner = o.run
		s.outboxes[to] = o
	}
	s.recent.Store(o)
	return o
}

// add takes a message in. again means that the outbox was removed meanwhile.
func (o *outbox) add(body []byte, r receipt) (again bool, err error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	switch {
	case o.gone:
		return true, nil
	case o.closed:
		return false, o.service.refuse(Closed, nil)
	}
	if err := o.admit(len(body)); err != nil {
		o.removeIfIdle()
		return false, o.service.refuse(QueueFull, err)
	}
	o.messages++
	o.bytes += len(body)
	last := len(o.pending) - 1
	if last < 0 || !o.pending[last].fits(len(body)) {
		o.pending = append(o.pending, batches.Get().(*batch))
		last++
	}
	o.pending[last].add(body, message{deadline: o.service.now() + o.service.cfg.TTL, receipt: r})
	if !o.running {
		o.running = true
		o.service.work.Add(1)
		go o.runner()
	}
	return false, nil
}

// admit applies the limits to a message of size bytes and counts it.
func (o *outbox) admit(size int) error {
	l := &o.service.cfg.Limits
	dialing := o.stream == nil
	reserve := !dialing && o.bytes < establishedReserve
	switch {
	case o.messages >= l.PeerMessages:
		return errPeerMessages
	case o.bytes+size > l.PeerBytes && !reserve:
		return errPeerBytes
	case dialing && o.bytes+size > l.DialingPeerBytes:
		return errDialingPeerBytes
	}
	return o.service.admit(size, dialing, reserve)
}

// forget takes n messages of size bytes together out of the count.
func (o *outbox) forget(n, size int) {
	o.messages -= n
	o.bytes -= size
	o.service.total.Add(int64(-size))
	if o.stream == nil {
		o.service.dialing.Add(int64(-size))
	}
}

// changeStream sets the stream, and with it whether the bytes count as dialing.
func (o *outbox) changeStream(s network.Stream) {
	switch {
	case o.stream == nil && s != nil:
		o.service.dialing.Add(int64(-o.bytes))
	case o.stream != nil && s == nil:
		o.service.dialing.Add(int64(o.bytes))
	}
	o.stream = s
}

// drop gives up the stream, whatever is on its way on it.
func (o *outbox) drop(stream network.Stream) {
	stream.Reset()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changeStream(nil)
}

// leave ends the stream after what was written to it: a host that broke a tie
// between two connections still sends what is under way on the loser.
func (o *outbox) leave(stream network.Stream) {
	stream.Close()
	o.mu.Lock()
	defer o.mu.Unlock()
	o.changeStream(nil)
}

// run writes until nothing is left to write.
func (o *outbox) run() {
	defer o.service.work.Done()
	for o.more() {
		stream, err := o.ready()
		if err != nil {
			o.failAll(err)
			continue
		}
		b := o.take()
		if b == nil {
			continue
		}
		n, err := o.write(stream, b)
		o.settle(stream, b, n, err)
	}
}

// more says whether something is pending. If not, the run is over.
func (o *outbox) more() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.pending) > 0 {
		return true
	}
	o.running = false
	if o.drained != nil {
		close(o.drained)
		o.drained = nil
	}
	o.startIdleTimer()
	o.removeIfIdle()
	return false
}

// ready returns the stream to write to. It opens one if there is none, or if the
// connection of the one we had takes nothing more: connect and open, and once
// more if that fails.
func (o *outbox) ready() (network.Stream, error) {
	o.mu.Lock()
	stream := o.stream
	o.mu.Unlock()
	if stream != nil {
		if !stream.Conn().IsClosed() {
			return stream, nil
		}
		o.leave(stream)
	}
	s := o.service
	if err := pause(s.ctx, o.failures); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(s.ctx, s.cfg.DialTimeout)
	defer cancel()
	ctx = network.WithDialPeerTimeout(ctx, s.cfg.DialTimeout)
	stream, err := s.host.NewStream(ctx, o.to, s.cfg.Protocols...)
	if first := err; first != nil && ctx.Err() == nil {
		if stream, err = s.host.NewStream(ctx, o.to, s.cfg.Protocols...); err != nil {
			err = fmt.Errorf("%w; again: %w", first, err)
		}
	}
	if err != nil {
		return nil, err
	}
	o.armed = time.Time{}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closed {
		stream.Reset()
		return nil, context.Canceled
	}
	o.changeStream(stream)
	return stream, nil
}

// pause waits before a stream is opened after several were lost in a row:
// nothing after the first loss, then 250 ms more each time, at most 2 s.
func pause(ctx context.Context, failures int) error {
	d := min(time.Duration(failures-1)*250*time.Millisecond, 2*time.Second)
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// take removes the next batch from the queue, without the messages that have
// expired. It returns nil if none is left.
func (o *outbox) take() *batch {
	now := o.service.now()
	var expired []message
	o.mu.Lock()
	if len(o.pending) == 0 { // the last one was withdrawn
		o.mu.Unlock()
		return nil
	}
	b := o.pending[0]
	o.pending = slices.Delete(o.pending, 0, 1)
	if b.messages[0].deadline <= now { // deadlines only grow within a batch
		b.keep(func(m *message) bool {
			if m.deadline > now {
				return true
			}
			expired = append(expired, *m)
			o.forget(1, m.size())
			return false
		})
	}
	o.mu.Unlock()
	for i := range expired {
		o.service.failed(&expired[i], Expired, nil)
	}
	if len(b.messages) == 0 {
		b.recycle()
		return nil
	}
	return b
}

// write hands the batch to the stream in one Write.
func (o *outbox) write(stream network.Stream, b *batch) (int, error) {
	// Arming a deadline costs a timer, so it is not done for every write.
	timeout := o.service.cfg.WriteTimeout
	if now := time.Now(); now.Sub(o.armed) >= timeout/30 {
		stream.SetWriteDeadline(now.Add(timeout))
		o.armed = now
	}
	return stream.Write(b.bytes)
}
