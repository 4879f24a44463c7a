package rpc

import (
	"context"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// exchange is one request and its answers. Nobody else uses the session until
// its end.
type exchange struct {
	c        *Client
	ctx      context.Context
	unwatch  func()
	id       uint16
	method   uint32
	ping     bool
	first    time.Time // when the request was sent, zero once there was an answer
	stale    int       // bytes of answers to other requests
	finished bool      // there is nothing to cancel: the last answer came, or the request never left
}

// open waits for its turn.
func (c *Client) open(ctx context.Context) (*exchange, error) {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("rpc: %w", context.Cause(ctx))
	}
	err := c.Err()
	if err == nil && ctx.Err() != nil {
		err = fmt.Errorf("rpc: %w", context.Cause(ctx))
	}
	if err != nil {
		<-c.turn
		return nil, err
	}
	return &exchange{c: c, ctx: ctx, unwatch: c.watch(ctx)}, nil
}

// begin sends a request, whose payload is in it or a message.
func (c *Client) begin(ctx context.Context, r request, payload proto.Message) (*exchange, error) {
	x, err := c.open(ctx)
	if err != nil {
		return nil, err
	}
	if c.lastID++; c.lastID == 0 { // that of pings
		c.lastID = 1
	}
	x.id, x.method, x.first = c.lastID, r.Method, time.Now()
	r.ID, r.Deadline = uint32(x.id), x.deadline()
	if err := x.send(r, payload); err != nil {
		x.finished = true
		x.end()
		return nil, err
	}
	return x, nil
}

// deadline is what the server is told, in seconds.
func (x *exchange) deadline() uint64 {
	d := x.c.cfg.Deadline
	if t, ok := x.ctx.Deadline(); ok {
		d = min(d, time.Until(t))
	}
	return uint64(max(1, (d+time.Second-1)/time.Second))
}

// send writes a request. One that is too large is not sent; one that is sent in
// part ends the session.
func (x *exchange) send(r request, payload proto.Message) error {
	c, b := x.c, x.c.buf[:0]
	var err error
	if payload == nil {
		b = appendFrame(b, r)
		if size := len(b) - headSize; size > c.rules.request {
			err = &tariproto.FrameSizeError{Size: uint64(size), Max: c.rules.request}
		}
	} else {
		b, err = appendWith(b, r, payload, c.rules.request)
	}
	if err != nil {
		return fmt.Errorf("rpc: request: %w", err)
	}
	c.buf = small(b)
	_ = c.stream.SetWriteDeadline(time.Now().Add(c.cfg.Deadline + c.cfg.Grace))
	if x.ctx.Err() != nil {
		return fmt.Errorf("rpc: %w", context.Cause(x.ctx))
	}
	if n, err := c.stream.Write(b); err != nil {
		if n == 0 && x.ctx.Err() != nil {
			return fmt.Errorf("rpc: %w", context.Cause(x.ctx))
		}
		return c.fail(fmt.Errorf("request: %w", err))
	}
	return nil
}

// next waits for an answer, valid until the next call or end. Answers to calls
// that were cancelled before are skipped.
func (x *exchange) next() (response, error) {
	c := x.c
	c.until = time.Now().Add(c.cfg.Deadline + c.cfg.Grace)
	for {
		frame, err := c.frames.next()
		switch {
		case err == nil:
		case x.ctx.Err() != nil:
			return response{}, fmt.Errorf("rpc: %w", context.Cause(x.ctx))
		case isTimeout(err):
			return response{}, &Status{Timeout, "no answer in time"}
		default:
			return response{}, c.fail(noEOF(err))
		}
		r, err := parseResponse(frame)
		if err != nil {
			return response{}, c.fail(err)
		}
		if !x.answers(r) {
			if !x.isLate(r) {
				return response{}, c.fail(errAnswered)
			}
			if x.stale += max(len(frame), minStale); x.stale > maxStale {
				return response{}, c.fail(errStale)
			}
			continue
		}
		if !x.first.IsZero() {
			c.latency.Store(int64(time.Since(x.first)))
			x.first = time.Time{}
		}
		return x.accept(r)
	}
}

// accept is what an answer means.
func (x *exchange) accept(r response) (response, error) {
	x.finished = x.finished || r.Flags&flagFIN != 0 || r.Status != OK
	if r.Status != OK {
		return r, statusOf(r)
	}
	if !x.finished && len(r.Payload) > x.c.cfg.MaxItem {
		_ = x.c.fail(fmt.Errorf("an item of %d bytes, the limit is %d", len(r.Payload), x.c.cfg.MaxItem))
		return r, &Status{ProtocolError, fmt.Sprintf("an item of %d bytes, the limit is %d", len(r.Payload), x.c.cfg.MaxItem)}
	}
	return r, nil
}

// How much of what belongs to calls that were cancelled is read past, our own
// choice: a full window of a connection, counting small frames as minStale.
const (
	maxStale = 64 << 20
	minStale = 256
)

// answers says whether a response is to our request.
func (x *exchange) answers(r response) bool {
	ack := r.Flags&flagACK != 0
	return ack == x.ping && r.ID == uint32(x.id)
}

// isLate says whether a response is to a request before ours: a ping, or a call
// that was cancelled. Ids go round.
func (x *exchange) isLate(r response) bool {
	if r.Flags&flagACK != 0 {
		return r.ID == 0
	}
	age := x.c.lastID - uint16(r.ID)
	return r.ID <= 1<<16-1 && age < 1<<15 && (age > 0 || x.ping)
}

// end cancels what was not answered to the end, and gives the turn to the next.
func (x *exchange) end() {
	c := x.c
	x.unwatch()
	if !x.finished && c.Err() == nil {
		x.cancel()
	}
	c.frames.release()
	<-c.turn
}

// cancel tells the server that nobody waits for its answer any more. One of the
// first era does not understand that: there the session ends.
func (x *exchange) cancel() {
	c := x.c
	if !c.rules.controls {
		_ = c.fail(errUnasked)
		return
	}
	fin := request{ID: uint32(x.id), Method: x.method, Flags: flagFIN, Deadline: x.deadline()}
	_ = c.stream.SetWriteDeadline(time.Now().Add(cancelTime))
	if _, err := c.stream.Write(appendFrame(c.buf[:0], fin)); err != nil {
		_ = c.fail(fmt.Errorf("cancelling: %w", err))
	}
}
