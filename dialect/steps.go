package dialect

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// steps are the stages of a handshake under way, shared by all dialects. After the first error they do nothing.
type steps struct {
	ctx     context.Context
	us      Local
	inbound bool
	raw     net.Conn
	conn    *noise.Conn       // after noise
	scope   network.PeerScope // after admit
	opening []byte            // sent already, as the beginning of our first stream
	session Session
	err     error
}

func begin(ctx context.Context, d Dialect, conn net.Conn, dir network.Direction, us Local) *steps {
	return &steps{ctx: ctx, us: us, inbound: dir == network.DirInbound, raw: conn, session: Session{Dialect: d}}
}

// step runs one stage, unless an earlier one failed.
func (s *steps) step(stage string, run func(context.Context) error) {
	if s.err != nil {
		return
	}
	start := time.Now()
	err := run(s.ctx)
	took := StageTime{Stage: stage, Took: time.Since(start), Err: err}
	s.session.Stages = append(s.session.Stages, took)
	if s.us.Trace != nil {
		s.us.Trace(took)
	}
	if err != nil {
		s.err = &StageError{Stage: stage, Err: err}
	}
}

// noise proves the keys of both sides. The initiator's wire byte travels with the first message.
func (s *steps) noise(params noise.Params) {
	s.step(StageNoise, func(ctx context.Context) (err error) {
		cfg := noise.Config{Params: params, Static: s.us.Key}
		if s.inbound {
			s.conn, err = noise.Server(ctx, s.raw, cfg)
		} else {
			cfg.Preamble = []byte{s.session.Dialect.WireByte()}
			cfg.HoldLast = true // for the claim, which follows at once if the key is the right one
			s.conn, err = noise.Client(ctx, s.raw, cfg)
		}
		if err != nil {
			return err
		}
		s.session.Remote, s.session.Binding = s.conn.RemoteKey(), s.conn.Binding()
		if !s.us.Expect.IsZero() && s.session.Remote != s.us.Expect {
			return &KeyMismatchError{Expected: s.us.Expect, Got: s.session.Remote}
		}
		return nil
	})
}

// admit asks whether we want this peer at all.
func (s *steps) admit() {
	if s.us.Admit == nil {
		return
	}
	s.step(StageAdmit, func(context.Context) (err error) {
		s.scope, err = s.us.Admit(s.session.Remote)
		return err
	})
}

// first is what of a stream of ours travels with the claim, as a frame of the muxer.
func (s *steps) first() []byte {
	if s.inbound || s.us.Opening == nil {
		return nil
	}
	if s.opening = s.us.Opening(); len(s.opening) == 0 {
		return nil
	}
	return yamux.AppendOpening(nil, s.opening)
}

// muxer starts the substreams.
func (s *steps) muxer(m *yamux.Muxer) {
	s.step(StageMuxer, func(context.Context) (err error) {
		if len(s.opening) == 0 {
			s.session.MuxedConn, err = m.NewConn(s.conn, s.inbound, s.scope)
			return err
		}
		mux, opened, err := yamux.ClientOpened(s.conn, m.Config, s.scope, s.opening)
		if err == nil {
			s.session.MuxedConn, s.session.Opened = mux, opened
		}
		return err
	})
}

// finish returns the session, or the first error after ending a muxer that already runs.
func (s *steps) finish() (*Session, error) {
	if s.err != nil {
		if s.session.MuxedConn != nil {
			_ = s.session.MuxedConn.CloseWithError(network.ConnProtocolViolation)
		}
		return nil, s.err
	}
	session := s.session // a pointer into s would keep all of the handshake
	return &session, nil
}
