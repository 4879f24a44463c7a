package noise

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	flynn "github.com/flynn/noise"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Client does the handshake of the side that dialed. It ends with ctx, or when the peer takes longer than cfg.StepTimeout over a
// message. The error is a *HandshakeError, and the caller closes c. On success c's deadlines are cleared.
func Client(ctx context.Context, c net.Conn, cfg Config) (*Conn, error) {
	h, err := begin(ctx, c, cfg, true)
	if err != nil {
		return nil, err
	}

	//                                 XX                   IX
	h.send(cfg.Preamble) //            -> e                 -> e, s
	h.receive()          //            <- e, ee, s, es      <- e, ee, se, s, es
	h.send(nil)          //            -> s, se
	return h.finish()
}

// Server does the handshake of the side that accepted; see Client.
func Server(ctx context.Context, c net.Conn, cfg Config) (*Conn, error) {
	h, err := begin(ctx, c, cfg, false)
	if err != nil {
		return nil, err
	}

	//                                 XX                   IX
	h.receive() //                     -> e                 -> e, s
	h.send(nil) //                     <- e, ee, s, es      <- e, ee, se, s, es
	h.receive() //                     -> s, se
	return h.finish()
}

// handshake is a handshake under way. After the first error, and after the pattern's last message, its steps do nothing.
type handshake struct {
	ctx       context.Context
	cfg       Config
	state     *flynn.HandshakeState
	group     *ristretto
	conn      *Conn
	initiator bool // we are it
	sizes     []int
	message   int                // messages done
	first     *flynn.CipherState // initiator to responder, after the last message
	second    *flynn.CipherState // responder to initiator
	unwatch   func() bool
	watched   chan struct{} // closed when the watcher of ctx has run
	err       error
}

// begin sets up a handshake and has ctx interrupt c until finish.
func begin(ctx context.Context, c net.Conn, cfg Config, initiator bool) (*handshake, error) {
	script := cfg.Pattern.script()
	if len(script.sizes) == 0 {
		return nil, &HandshakeError{"start", errors.New("unknown pattern")}
	}
	if cfg.Static.IsZero() {
		return nil, &HandshakeError{"start", errors.New("no static key")}
	}
	if cfg.StepTimeout <= 0 {
		cfg.StepTimeout = DefaultStepTimeout
	}
	group := &ristretto{static: cfg.Static, hash: cfg.HashDH}
	state, err := flynn.NewHandshakeState(flynn.Config{
		CipherSuite:   flynn.NewCipherSuite(group, flynn.CipherChaChaPoly, flynn.HashBLAKE2b),
		Random:        cfg.Rand,
		Pattern:       script.handshake,
		Initiator:     initiator,
		Prologue:      cfg.Prologue,
		StaticKeypair: group.staticKey(),
	})
	if err != nil {
		return nil, &HandshakeError{"start", err}
	}
	h := &handshake{
		ctx: ctx, cfg: cfg, state: state, group: group, conn: newConn(c), initiator: initiator, sizes: script.sizes,
		watched: make(chan struct{}),
	}
	h.unwatch = context.AfterFunc(ctx, func() {
		defer close(h.watched)
		_ = c.SetDeadline(time.Unix(1, 0)) // the step in progress fails, and step finds out why
	})
	return h, nil
}

// send writes the next message, after the preamble, in one Write, or leaves it to the first Write on the connection.
func (h *handshake) send(preamble []byte) {
	h.step("send", func(int) error {
		head := len(preamble) + HeaderSize
		out := make([]byte, head, head+128)
		copy(out, preamble)
		out, first, second, err := h.state.WriteMessage(out, nil)
		if err != nil {
			return err
		}
		h.first, h.second = first, second
		binary.BigEndian.PutUint16(out[len(preamble):], uint16(len(out)-head))
		if h.cfg.HoldLast && first != nil {
			h.conn.tx.held = out
			return nil
		}
		_, err = h.conn.inner.Write(out)
		return err
	})
}

// receive reads the next message. Reading may run ahead into the frames after the handshake: they stay in conn.
func (h *handshake) receive() {
	h.step("receive", func(size int) error {
		body, err := h.frame(size)
		if err != nil {
			return err
		}
		_, first, second, err := h.state.ReadMessage(nil, body)
		var notAKey *tarikey.KeyError
		if err != nil && !errors.As(err, &notAKey) {
			return ErrBadMessage // the size was right, so only a tag can be wrong
		}
		h.first, h.second = first, second
		return err
	})
}

// frame reads a frame of exactly size bytes, and refuses another size without waiting for its body.
func (h *handshake) frame(size int) ([]byte, error) {
	rx := &h.conn.rx
	for {
		if body, ok := rx.cut(); ok && len(body) == size {
			return body, nil
		} else if ok {
			return nil, ErrMessageSize
		}
		if announced, ok := rx.announced(); ok && announced != size {
			return nil, ErrMessageSize
		}
		err := rx.fill(h.conn.inner)
		switch {
		case err == nil:
		case h.initiator && h.message == 1 && rx.empty() && !isTimeout(err):
			return nil, fmt.Errorf("%w (%w)", ErrNoAnswer, err)
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// step does one message of the pattern under a fresh deadline.
func (h *handshake) step(verb string, do func(size int) error) {
	if h.err != nil || h.message == len(h.sizes) {
		return
	}
	err := h.conn.inner.SetDeadline(time.Now().Add(h.cfg.StepTimeout))
	if err == nil {
		// ctx's watcher may have run before that SetDeadline; then ctx has ended by now.
		err = h.ctx.Err()
	}
	if err == nil {
		err = do(h.sizes[h.message])
	}
	h.message++
	if err != nil {
		if h.ctx.Err() != nil {
			err = context.Cause(h.ctx)
		}
		h.err = &HandshakeError{fmt.Sprintf("%s message %d", verb, h.message), err}
	}
}

// finish turns a handshake that went well into a connection.
func (h *handshake) finish() (*Conn, error) {
	if !h.unwatch() {
		<-h.watched // it is about to touch the connection, or just did
		if h.err == nil {
			h.err = &HandshakeError{"finish", context.Cause(h.ctx)}
		}
	}
	if h.err != nil {
		return nil, h.err
	}
	remote, err := h.group.point(h.state.PeerStatic())
	if err != nil {
		return nil, &HandshakeError{"finish", err}
	}
	if err := h.conn.inner.SetDeadline(time.Time{}); err != nil {
		return nil, &HandshakeError{"finish", err}
	}
	h.conn.remote = remote.PublicKey()
	h.conn.binding = bytes.Clone(h.state.ChannelBinding()) // which would keep all of the state
	ours, theirs := h.first, h.second
	if !h.initiator {
		ours, theirs = theirs, ours
	}
	h.conn.tx.key.set(ours.UnsafeKey())
	h.conn.rx.key.set(theirs.UnsafeKey())
	return h.conn, nil
}

// isTimeout tells an expired deadline from a connection that failed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
