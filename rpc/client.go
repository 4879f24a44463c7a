package rpc

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
)

// Streams is what a client needs of a host: a stream to a peer. tari.Host and
// every host.Host of go-libp2p are one.
type Streams interface {
	NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error)
}

// ClientConfig is what Connect needs to know. Its zero value works; the times in
// brackets are those of Era Seed.
type ClientConfig struct {
	Era Era // zero: that of the connection
	// Deadline is what the server may take for an answer, and for each item of a
	// stream. It is sent in whole seconds, at least one. 0 means 120 s [30 s].
	Deadline time.Duration
	// Grace is how much longer the client waits for it, for the way there and
	// back. 0 means 60 s [10 s].
	Grace time.Duration
	// Handshake is how long the server may take to open the session. 0 means
	// 90 s [10 s].
	Handshake time.Duration
	// MaxItem is the largest item of a stream, in bytes; a larger one ends the
	// session. 0 means as much as fits into a frame, 8 MiB [4 MiB].
	MaxItem int
}

// Client is one session with a peer's service, made by Connect. Calls on it are
// one after the other, whoever makes them: see Pool for more at a time. It has
// no goroutine of its own. It is safe for concurrent use.
type Client struct {
	cfg    ClientConfig
	rules  rules
	stream network.Stream
	peer   peer.ID

	turn    chan struct{} // holds a token while there is an exchange; guards what follows
	frames  frames
	buf     []byte
	lastID  uint16
	until   time.Time       // when the answer has to be there
	waiting context.Context // of the exchange

	latency atomic.Int64
	mu      sync.Mutex
	ended   *SessionError // set once
}

// Connect opens a session with a service of a peer.
//
// Errors: a *RejectedError when the peer refuses it, a *SessionError when it
// does not keep to the protocol or is silent, the host's when there is no
// connection or the peer does not know the service, ctx's.
func Connect(ctx context.Context, h Streams, to peer.ID, service protocol.ID, cfg ClientConfig) (*Client, error) {
	stream, err := h.NewStream(ctx, to, service)
	if err != nil {
		return nil, fmt.Errorf("rpc: %s: %w", service, err)
	}
	r := rulesOn(stream.Conn(), cfg.Era)
	cfg.Deadline = max(orDefault(cfg.Deadline, r.deadline), time.Second)
	cfg.Grace = orDefault(cfg.Grace, r.grace)
	cfg.Handshake = orDefault(cfg.Handshake, r.clientHandshake)
	cfg.MaxItem = orDefault(cfg.MaxItem, r.frame)
	c := &Client{cfg: cfg, rules: r, stream: stream, peer: to, turn: make(chan struct{}, 1)}
	c.frames = frames{r: (*reader)(c), limit: maxHandshake}
	if err := c.handshake(ctx); err != nil {
		_ = stream.Reset()
		return nil, err
	}
	c.frames.limit = r.frame
	return c, nil
}

// handshake is the client's side of the wire that session describes.
func (c *Client) handshake(ctx context.Context) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.cfg.Handshake, errSilent)
	defer cancel()
	defer c.watch(ctx)()
	c.until = time.Now().Add(c.cfg.Handshake)
	started := time.Now()

	// -> hello. A server that refuses may have closed already: then it is in its answer why.
	_ = c.stream.SetWriteDeadline(c.until)
	_, _ = c.stream.Write(appendFrame(nil, hello{[]uint32{version}}))

	// <- helloReply
	frame, err := c.frames.next()
	if err != nil {
		if ctx.Err() != nil && context.Cause(ctx) != errSilent {
			return fmt.Errorf("rpc: handshake: %w", context.Cause(ctx))
		}
		return &SessionError{fmt.Errorf("handshake: %w", noEOF(err))}
	}
	reply, err := parseHelloReply(frame)
	switch {
	case err != nil:
		return &SessionError{err}
	case reply.Rejected:
		return &RejectedError{reply.Reason}
	case reply.Accepted != version:
		return &RejectedError{RejectVersion}
	}
	c.latency.Store(int64(time.Since(started)))
	return nil
}

// Peer is the peer that the session is with.
func (c *Client) Peer() peer.ID { return c.peer }

// Latency is how long the server took for its last first answer, or for the
// handshake if there was none.
func (c *Client) Latency() time.Duration { return time.Duration(c.latency.Load()) }

// Err is nil while the session can be used, else the *SessionError that ended it.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended == nil {
		return nil
	}
	return c.ended
}

// Close ends the session. A call that runs ends with a *SessionError.
func (c *Client) Close() error {
	if c.end(errClosed) {
		c.stream.Close()
	}
	return nil
}

// fail ends the session for a reason, and returns how it ended.
func (c *Client) fail(why error) error {
	if c.end(why) {
		_ = c.stream.Reset()
	}
	return c.Err()
}

// end notes that the session has ended, and returns false if it had already.
func (c *Client) end(why error) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ended != nil {
		return false
	}
	c.ended = &SessionError{why}
	return true
}

// session makes a client a Caller.
func (c *Client) session(context.Context) (*Client, func(), error) { return c, func() {}, nil }

// again is false: there is no other session.
func (c *Client) again(int, error) bool { return false }

// Ping asks the server for a sign of life and returns how long it took. A
// server that answers with anything else has broken the session. Peers of Era
// Seed know no ping: to them it fails and sends nothing.
func (c *Client) Ping(ctx context.Context) (time.Duration, error) {
	if !c.rules.controls {
		return 0, errNoPing
	}
	x, err := c.open(ctx)
	if err != nil {
		return 0, err
	}
	defer x.end()
	x.ping, x.finished = true, true // there is nothing to cancel
	started := time.Now()
	if err := x.send(request{Flags: flagACK, Deadline: x.deadline()}, nil); err != nil {
		return 0, err
	}
	if _, err := x.next(); err != nil {
		return 0, err
	}
	return time.Since(started), nil
}

// reader reads the stream on behalf of the exchange that has the turn.
type reader Client

// Read waits until the answer is due, or the exchange's context ends.
func (r *reader) Read(p []byte) (int, error) {
	_ = r.stream.SetReadDeadline(r.until)
	if r.waiting.Err() != nil { // its watcher has set a deadline before we did
		return 0, r.waiting.Err()
	}
	return r.stream.Read(p)
}

// watch makes reads and writes fail once ctx ends, until the returned function
// is called.
func (c *Client) watch(ctx context.Context) (stop func()) {
	c.waiting = ctx
	if ctx.Done() == nil {
		return func() {}
	}
	woken := make(chan struct{})
	undo := context.AfterFunc(ctx, func() {
		_ = c.stream.SetDeadline(past)
		close(woken)
	})
	return func() {
		if !undo() {
			<-woken
		}
	}
}
