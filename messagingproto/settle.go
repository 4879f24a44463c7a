package messagingproto

import (
	"errors"
	"os"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
)

// settle tells what became of the messages of a batch of which n bytes were
// written before err.
func (o *outbox) settle(stream network.Stream, b *batch, n int, err error) {
	b.tried(n)
	if err == nil {
		o.failures = 0
		o.written(b, len(b.bytes))
		if !o.service.keepYoung(stream, b) {
			b.recycle()
		}
		return
	}
	o.drop(stream)
	if isYoung(stream.Conn()) && byPeer(err) {
		n = 0 // what was written may be lost with the rest; see young.go
	}
	if o.written(b, n) > 0 {
		o.failures = 0
	}
	o.failures++
	switch {
	case o.service.ctx.Err() != nil:
		o.putBack(b)
		o.failAll(err)
	case errors.Is(err, os.ErrDeadlineExceeded):
		o.failTimeout(b, err)
	default:
		o.requeue(b, err)
	}
	if isPeerReset(err) {
		o.service.resetYoung(stream)
	}
}

// written answers the messages that are within the first n bytes of the batch,
// removes them from it and returns how many they were.
func (o *outbox) written(b *batch, n int) int {
	count, size := len(b.messages), b.size()
	if n < len(b.bytes) {
		for count, size = 0, 0; b.messages[count].end <= n; count++ {
			size += b.messages[count].size()
		}
	}
	o.mu.Lock()
	o.forget(count, size)
	o.sent += uint64(count)
	o.mu.Unlock()
	o.service.sent(b.messages[:count], size)
	if count < len(b.messages) {
		b.keep(func(m *message) bool { return m.end > n })
	}
	return count
}

// requeue puts the rest of a batch back at the front of the queue after its
// stream was lost, so that the order stays.
//
// The message whose write was interrupted uses up its one retry. If the peer
// reset the stream, so does every message that waits: the peer may well do it
// again. If the connection died, the others keep theirs.
func (o *outbox) requeue(b *batch, err error) {
	refused := isPeerReset(err)
	reason := ConnectionLost
	if refused {
		reason = MaxRetries
	}
	var failed []message
	first := true
	retry := func(m *message) bool {
		uses := first || refused
		first = false
		switch {
		case !uses:
			return true
		case m.retried:
			failed = append(failed, *m)
			o.forget(1, m.size())
			return false
		}
		m.retried = true
		return true
	}
	o.mu.Lock()
	b.keep(retry)
	if refused {
		o.pending = slices.DeleteFunc(o.pending, func(p *batch) bool {
			p.keep(retry)
			return len(p.messages) == 0
		})
	}
	o.putBackLocked(b)
	o.mu.Unlock()
	for i := range failed {
		o.service.failed(&failed[i], reason, err)
	}
}

func (o *outbox) putBack(b *batch) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.putBackLocked(b)
}

func (o *outbox) putBackLocked(b *batch) {
	if len(b.messages) > 0 {
		o.pending = slices.Insert(o.pending, 0, b)
	}
}

// isPeerReset says whether the peer ended the stream, as opposed to the
// connection being lost.
func isPeerReset(err error) bool {
	if _, lost := errors.AsType[*network.ConnError](err); lost {
		return false
	}
	return errors.Is(err, network.ErrReset)
}

// byPeer says whether the peer ended the stream or its connection.
func byPeer(err error) bool {
	lost, ok := errors.AsType[*network.ConnError](err)
	return isPeerReset(err) || ok && lost.Remote
}

// failTimeout tells all messages that the peer does not read.
func (o *outbox) failTimeout(b *batch, err error) {
	o.putBack(b)
	first := true
	o.fail(err, func(*message) Reason {
		if first {
			first = false
			return SendTimeout
		}
		return QueuedBehindTimeout
	})
}

// failAll tells all messages that there is no stream to the peer.
func (o *outbox) failAll(err error) {
	closed := o.service.ctx.Err() != nil
	now := o.service.now()
	if closed {
		err = nil
	}
	o.fail(err, func(m *message) Reason {
		switch {
		case closed:
			return Closed
		case m.deadline <= now:
			return Expired
		case m.retried:
			return ConnectionLost
		}
		return DialFailed
	})
}

// fail empties the queue and tells each message what why says, and the cause.
func (o *outbox) fail(cause error, why func(*message) Reason) {
	o.mu.Lock()
	all := o.pending
	o.pending = nil
	for _, b := range all {
		for i := range b.messages {
			o.forget(1, b.messages[i].size())
		}
	}
	o.mu.Unlock()
	for _, b := range all {
		for i := range b.messages {
			o.service.failed(&b.messages[i], why(&b.messages[i]), cause)
		}
		b.recycle()
	}
}

// withdraw takes a message out of the queue by its receipt and returns how often
// it was tried. It returns false if the message is being written or has been
// answered.
func (o *outbox) withdraw(r receipt) (tries int, found bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	for i, b := range o.pending {
		b.keep(func(m *message) bool {
			if m.receipt != r {
				return true
			}
			o.forget(1, m.size())
			tries, found = int(m.tries), true
			return false
		})
		if !found {
			continue
		}
		if len(b.messages) == 0 {
			o.pending = slices.Delete(o.pending, i, i+1)
			b.recycle()
		}
		break
	}
	return tries, found
}
