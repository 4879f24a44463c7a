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
	ctx      context.Context
	cfg      Config
	state    *state
	conn     *Conn
	messages []message
	done     int // messages
	unwatch  func() bool
	watched  chan struct{} // closed when the watcher of ctx has run
	err      error
}

// begin sets up a handshake and has ctx interrupt c until finish.
func begin(ctx context.Context, c net.Conn, cfg Config, initiator bool) (*handshake, error) {
	script := cfg.Pattern.script()
	if len(script.messages) == 0 {
		return nil, &HandshakeError{"start", errors.New("unknown pattern")}
	}
	if cfg.Static.IsZero() {
		return nil, &HandshakeError{"start", errors.New("no static key")}
	}
	if cfg.StepTimeout <= 0 {
		cfg.StepTimeout = DefaultStepTimeout
	}
	h := &handshake{ctx: ctx, cfg: cfg, conn: newConn(c), messages: script.messages, watched: make(chan struct{})}
	h.state = newState(&h.cfg, initiator)
	h.unwatch = context.AfterFunc(ctx, func() {
		defer close(h.watched)
		_ = c.SetDeadline(time.Unix(1, 0)) // the step in progress fails, and step finds out why
	})
	return h, nil
}

// send writes the next message, after the preamble, in one Write, or leaves it to the first Write on the connection.
func (h *handshake) send(preamble []byte) {
	h.step("send", func(m message) error {
		out := make([]byte, 0, len(preamble)+HeaderSize+m.size)
		out = append(out, preamble...)
		out = binary.BigEndian.AppendUint16(out, uint16(m.size))
		out, err := h.state.write(out, m.tokens)
		if err != nil {
			return err
		}
		if h.cfg.HoldLast && h.done == len(h.messages)-1 {
			h.conn.tx.held = out
			return nil
		}
		_, err = h.conn.inner.Write(out)
		return err
	})
}

// receive reads the next message. Reading may run ahead into the frames after the handshake: they stay in conn.
func (h *handshake) receive() {
	h.step("receive", func(m message) error {
		body, err := h.frame(m.size)
		if err != nil {
			return err
		}
		return h.state.read(body, m.tokens)
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
		case h.state.initiator && h.done == 1 && rx.empty() && !isTimeout(err):
			return nil, fmt.Errorf("%w (%w)", ErrNoAnswer, err)
		case err == io.EOF:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}

// step does one message of the pattern under a fresh deadline.
func (h *handshake) step(verb string, do func(message) error) {
	if h.err != nil || h.done == len(h.messages) {
		return
	}
	err := h.conn.inner.SetDeadline(time.Now().Add(h.cfg.StepTimeout))
	if err == nil {
		// ctx's watcher may have run before that SetDeadline; then ctx has ended by now.
		err = h.ctx.Err()
	}
	if err == nil {
		err = do(h.messages[h.done])
	}
	h.done++
	if err != nil {
		if h.ctx.Err() != nil {
			err = context.Cause(h.ctx)
		}
		h.err = &HandshakeError{fmt.Sprintf("%s message %d", verb, h.done), err}
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
	if err := h.conn.inner.SetDeadline(time.Time{}); err != nil {
		return nil, &HandshakeError{"finish", err}
	}
	h.conn.remote = h.state.remoteS.PublicKey()
	h.conn.binding = bytes.Clone(h.state.h[:]) // which would keep all of the state
	ours, theirs := h.state.split()
	if !h.state.initiator {
		ours, theirs = theirs, ours
	}
	h.conn.tx.key.set(ours)
	h.conn.rx.key.set(theirs)
	return h.conn, nil
}

// isTimeout tells an expired deadline from a connection that failed.
func isTimeout(err error) bool {
	var timeout net.Error
	return errors.As(err, &timeout) && timeout.Timeout()
}
