package messagingproto

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// manners are what peers expect of a stream beyond its frames.
type manners struct {
	// endsOwnHalf: the receiver closes the half it never writes to at once.
	// Peers of t/msg/0.1 take an end of that half for the end of the stream.
	endsOwnHalf bool
	// idle is how long the sender keeps a stream without messages; 0 means as
	// long as the connection.
	idle time.Duration
}

// mannersOf knows the ids of tari_comms; other ids have the zero value.
var mannersOf = map[protocol.ID]manners{
	tariproto.Messaging: {},
	// Its receiver closes after 8 minutes without a message. We close first, so
	// that no message crosses with the end of its stream.
	tariproto.MessagingSeed: {endsOwnHalf: true, idle: 7 * time.Minute},
}

// startIdleTimer begins the time after which the idle stream is closed. o.mu is held.
func (o *outbox) startIdleTimer() {
	if o.stream == nil || o.closed {
		return
	}
	idle := mannersOf[o.stream.Protocol()].idle
	switch {
	case idle == 0:
	case o.idleEnd == nil:
		o.idleEnd = time.AfterFunc(idle, o.closeIdle)
	default:
		o.idleEnd.Reset(idle)
	}
}

// closeIdle ends the stream when its idle time is over.
func (o *outbox) closeIdle() {
	o.mu.Lock()
	defer o.mu.Unlock()
	if !o.running && !o.closed {
		o.endStream()
		o.removeIfIdle()
	}
}

// endStream closes our half of the stream, after what was written. o.mu is held.
func (o *outbox) endStream() {
	if o.stream != nil {
		o.stream.Close()
		o.changeStream(nil)
	}
}

// disconnected lets go of the stream if it belonged to the connection that ended.
func (o *outbox) disconnected(c network.Conn) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.running || o.stream == nil || o.stream.Conn() != c {
		return
	}
	o.stream.Reset()
	o.changeStream(nil)
	o.removeIfIdle()
}

// removeIfIdle takes an outbox without messages and stream out of the service,
// so that nothing is kept for peers of the past. o.mu is held.
func (o *outbox) removeIfIdle() {
	if o.running || o.stream != nil || o.gone {
		return
	}
	o.gone = true
	if o.idleEnd != nil {
		o.idleEnd.Stop()
	}
	s := o.service
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.outboxes, o.to)
	s.recent.CompareAndSwap(o, nil)
}

// idle returns a channel that is closed when nothing is left to write.
func (o *outbox) idle() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.drained == nil {
		drained := make(chan struct{})
		if !o.running {
			close(drained)
			return drained
		}
		o.drained = drained
	}
	return o.drained
}

// close ends the stream, gently if nothing is being written, and has run fail
// what is left. The service's context has ended.
func (o *outbox) close() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.closed = true
	if o.idleEnd != nil {
		o.idleEnd.Stop()
	}
	switch {
	case !o.running:
		o.endStream()
	case o.stream != nil:
		o.stream.Reset()
	}
}
