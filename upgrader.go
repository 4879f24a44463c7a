package tari

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/transport"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// firstByte is how long a peer may take to send the wire byte, as tari_comms has it.
const firstByte = 6 * time.Second

// upgrader makes Tari connections of raw ones: it is the transport.Upgrader of every transport of a Host.
type upgrader struct {
	key     tarikey.SecretKey
	dials   dialect.Dialect // how we speak on connections that we open
	answers byteTable       // how on those that others open
	claim   func() (*identityproto.Claim, error)
	rules   identityproto.Rules
	gater   connmgr.ConnectionGater // may be nil
	rcmgr   network.ResourceManager
	limits  Limits
	hooks   Hooks
	learned func(peer.ID, *dialect.Session) // before the swarm knows the connection
	ended   func(peer.ID)                   // after the end of one
	offence func(peer.ID, error)

	onion    atomic.Bool // the listener that starts now is the one for Tor
	refusals *refusals
	arrivals arrivals
	cameIn   func(peer.ID, time.Duration) bool
	spare    func(peer.ID) bool // whether its connections may be closed to make room
}

var _ transport.Upgrader = (*upgrader)(nil)

// UpgradeError is a connection that failed before it was ready. It unwraps to a *dialect.StageError, or to what Limits.Libp2p returned.
type UpgradeError struct {
	Stages []dialect.StageTime // the stages that ran, the failed one last; StageConnect is the first of those that we dialed
	Err    error
}

func (e *UpgradeError) Error() string { return e.Err.Error() }

// Unwrap returns the error of the stage that failed.
func (e *UpgradeError) Unwrap() error { return e.Err }

// ErrRefused is a peer that our ConnectionGater does not want.
var ErrRefused = errors.New("our connection gater refuses this peer")

// Upgrade makes a connection ready for substreams, within dialect.Budget and ctx. It closes raw and scope when it fails.
func (u *upgrader) Upgrade(ctx context.Context, t transport.Transport, raw manet.Conn, dir network.Direction, expect peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	h := &handshake{u: u, raw: raw, dir: dir, expect: expect, scope: scope, stages: make([]dialect.StageTime, 0, maxStages), leave: func() {}}
	keepUnsent(raw)
	budget, cancel := context.WithTimeout(ctx, dialect.Budget)
	defer cancel()
	if u.dialsPlain(dir, expect) {
		return h.plain(budget, t, raw)
	}
	session, err := h.run(budget, ctx)
	if errors.Is(err, errPlain) {
		return h.plain(budget, t, &unread{Conn: raw, first: multistreamByte})
	}
	if err != nil {
		raw.Close()
		h.leave()
		scope.Done()
		h.failed(err)
		if ctx.Err() == nil && h.remote != "" { // what ended because we ended it is nobody's offence
			u.offence(h.remote, err)
		}
		return nil, err
	}
	_ = raw.SetDeadline(time.Time{})
	if dir == network.DirOutbound {
		u.foresee(ctx, raw.RemoteMultiaddr(), session)
	}
	u.learned(h.remote, session)
	c := &conn{
		Session:        session,
		ConnMultiaddrs: raw,
		local:          u.key.Public().PeerID(),
		remote:         h.remote,
		transport:      t,
		scope:          scope,
	}
	leave := h.leave
	c.atEnd(func() { leave(); u.ended(c.remote) })
	if session.Opened != nil {
		c.opening = attemptOf(ctx).opening
		c.opening.ready(c)
	}
	return c, nil
}

// maxStages is how many stages a handshake has.
const maxStages = 5

// handshake is one connection on its way up.
type handshake struct {
	u      *upgrader
	raw    manet.Conn
	dir    network.Direction
	expect peer.ID
	scope  network.ConnManagementScope
	remote peer.ID // once the key is proven
	stages []dialect.StageTime
	leave  func() // gives the turn among the attempts of a dial on
}

func (h *handshake) run(budget, ctx context.Context) (*dialect.Session, error) {
	record := attemptOf(ctx)
	if took, dialed := record.connected(); dialed {
		h.stages = append(h.stages, dialect.StageTime{Stage: StageConnect, Took: took})
	}
	rules := h.u.rules
	rules.Outbound = h.dir == network.DirOutbound // silence is no offence of a peer we dialed: it may be far away
	us := dialect.Local{
		Key:   h.u.key,
		Claim: h.u.claim,
		Rules: rules,
		Admit: func(remote tarikey.PublicKey) (network.PeerScope, error) {
			scope, err := h.admit(remote)
			if err == nil && record.turn != nil {
				err = h.lastWord(budget, record)
			}
			return scope, err
		},
		Trace: func(s dialect.StageTime) {
			h.stages = append(h.stages, s)
			if s.Err == nil {
				record.past(s.Stage)
			}
		},
	}
	us.Opening = record.opening.take
	speak := h.u.dials
	if h.dir == network.DirInbound {
		var err error
		if speak, err = h.wireMode(budget, ctx); err != nil {
			return nil, &UpgradeError{Stages: h.stages, Err: err}
		}
	}
	if h.expect != "" {
		var err error
		if us.Expect, err = tarikey.PublicKeyFromPeerID(h.expect); err != nil {
			return nil, fmt.Errorf("tari: not the id of a Tari peer: %w", err)
		}
	}
	session, err := speak.Upgrade(budget, h.raw, h.dir, us)
	var mismatch *dialect.KeyMismatchError
	if errors.As(err, &mismatch) && mismatch.Got == h.u.key.Public() {
		err = &dialect.StageError{Stage: dialect.StageNoise, Err: ErrSelf}
	}
	if err != nil {
		return nil, &UpgradeError{Stages: h.stages, Err: err}
	}
	session.Stages = h.stages
	return session, nil
}

// wireMode reads the first byte and says which dialect it means, or errPlain. A liveness session runs right here, under the
// listener's ctx.
func (h *handshake) wireMode(budget, ctx context.Context) (dialect.Dialect, error) {
	start := time.Now()
	_ = h.raw.SetDeadline(start.Add(firstByte))
	stop := context.AfterFunc(budget, func() { _ = h.raw.SetDeadline(time.Unix(1, 0)) })
	b, err := wiremode.Read(h.raw)
	if stop() {
		_ = h.raw.SetDeadline(time.Time{})
	}
	d, known := h.u.answers.dialects[b]
	if err == nil && b == multistreamByte && h.u.limits.Libp2p != nil {
		h.stages = append(h.stages, dialect.StageTime{Stage: dialect.StageWire, Took: time.Since(start)})
		return nil, errPlain
	}
	if err == nil && !known {
		err = &wiremode.UnknownError{Byte: b}
		if echo, asks := h.u.answers.liveness[b]; asks && h.u.limits.Liveness != nil {
			err = serveLiveness(ctx, h.raw, echo, h.u.limits.Liveness)
		}
	}
	h.stages = append(h.stages, dialect.StageTime{Stage: dialect.StageWire, Took: time.Since(start), Err: err})
	if err != nil {
		return nil, &dialect.StageError{Stage: dialect.StageWire, Err: err}
	}
	return d, nil
}

// admit is asked once the peer's key is proven, before it learns anything about us.
func (h *handshake) admit(remote tarikey.PublicKey) (network.PeerScope, error) {
	if remote == h.u.key.Public() {
		return nil, ErrSelf // before it is anybody's offence
	}
	h.remote = remote.PeerID()
	if g := h.u.gater; g != nil && !g.InterceptSecured(h.dir, h.remote, h.raw) {
		return nil, ErrRefused
	}
	if h.scope.PeerScope() == nil {
		if err := h.scope.SetPeer(h.remote); err != nil {
			return nil, fmt.Errorf("resource limit: %w", err)
		}
	}
	return h.scope.PeerScope(), nil
}

var errCameIn = errors.New("the peer has dialed us meanwhile")

// lastWord is called before the peer that we dialed learns who we are, and with that takes the connection for one that stands. It ends a
// dial that comes too late: beside a connection that has stood for a while the peer would take ours for a sign that we have lost that one.
func (h *handshake) lastWord(ctx context.Context, at *attempt) (err error) {
	if h.leave, err = at.take(ctx); err != nil || !h.u.cameIn(h.remote, tieOver) {
		return err
	}
	at.end()
	return errCameIn
}

// failed tells who wants to know.
func (h *handshake) failed(err error) {
	if h.u.hooks.OnFailed != nil {
		p := h.remote
		if p == "" {
			p = h.expect
		}
		h.u.hooks.OnFailed(p, h.dir, h.raw.RemoteMultiaddr(), err)
	}
}

// ErrLiveness is how a liveness session ends in good order: it never becomes a connection, and Hooks.OnFailed is told.
var ErrLiveness = errors.New("was a liveness session")

func serveLiveness(ctx context.Context, c manet.Conn, echo wiremode.Liveness, gate *wiremode.Gate) error {
	echo.Gate = gate
	if err := wiremode.Serve(ctx, c, echo); err != nil {
		return err
	}
	return ErrLiveness
}

// keepUnsent undoes the SO_LINGER of 0 that go-libp2p's TCP transport sets: with it, Close drops what was not sent yet.
func keepUnsent(c manet.Conn) {
	if l, ok := c.(interface{ SetLinger(sec int) error }); ok {
		_ = l.SetLinger(-1)
	}
}

// conn is a Session in the swarm's clothes.
type conn struct {
	*dialect.Session
	network.ConnMultiaddrs
	local, remote peer.ID
	transport     transport.Transport
	scope         network.ConnManagementScope

	opening *opening // whose stream Session.Opened is, if there is one

	lostTo atomic.Pointer[conn] // in a tie: while that one lives, this one serves its streams and takes no new ones of ours

	known func() // called once the swarm knows the connection and a tie is broken; nil for those we dialed

	endings
}

var _ transport.CapableConn = (*conn)(nil)

// As finds the *dialect.Session of a connection, its tariproto.Era, and what its muxer offers.
func (c *conn) As(target any) bool {
	switch t := target.(type) {
	case **dialect.Session:
		*t = c.Session
		return true
	case *tariproto.Era:
		*t = c.Era
		return true
	case **conn:
		*t = c
		return true
	}
	return c.MuxedConn.As(target)
}

// IsClosed is also true of a connection that lost a tie, so that the swarm opens no stream on it any more.
func (c *conn) IsClosed() bool { return c.retired() || c.MuxedConn.IsClosed() }

func (c *conn) retired() bool {
	winner := c.lostTo.Load()
	return winner != nil && !winner.MuxedConn.IsClosed()
}

// OpenStream fails on a connection that lost a tie; the swarm then takes the one that won. After the connection's end it says why
// that came.
func (c *conn) OpenStream(ctx context.Context) (network.MuxedStream, error) {
	if first, ok := ctx.Value(openingKey{}).(*opening); ok && first == c.opening {
		return c.Opened, nil
	}
	if c.retired() && !c.MuxedConn.IsClosed() {
		return nil, errRetired
	}
	return c.MuxedConn.OpenStream(ctx)
}

var errRetired = errors.New("tari: another connection to this peer is in use")

// Close flushes what was written, says goodbye and closes.
func (c *conn) Close() error {
	defer c.end()
	return c.MuxedConn.Close()
}

// CloseWithError is Close, with a reason for peers that read one.
func (c *conn) CloseWithError(code network.ConnErrorCode) error {
	defer c.end()
	return c.MuxedConn.CloseWithError(code)
}

func (c *conn) end() {
	c.scope.Done()
	c.run()
}

// endings are what is to be done at the end of a connection.
type endings struct {
	mu    sync.Mutex
	ended bool
	after []func() // run once
}

// atEnd has f run when the connection is closed by us, which the swarm does when the peer closes it.
func (e *endings) atEnd(f func()) {
	e.mu.Lock()
	ended := e.ended
	if !ended {
		e.after = append(e.after, f)
	}
	e.mu.Unlock()
	if ended {
		f()
	}
}

func (e *endings) run() {
	e.mu.Lock()
	after := e.after
	e.ended, e.after = true, nil
	e.mu.Unlock()
	for _, f := range after {
		f()
	}
}

func (c *conn) LocalPeer() peer.ID             { return c.local }
func (c *conn) RemotePeer() peer.ID            { return c.remote }
func (c *conn) RemotePublicKey() crypto.PubKey { return c.Remote.Libp2p() }
func (c *conn) Scope() network.ConnScope       { return c.scope }
func (c *conn) Transport() transport.Transport { return c.transport }

// SecurityID is what ConnState().Security says of a connection with a Tari peer; any other is one with a peer of plain libp2p.
const SecurityID protocol.ID = "/tari/noise"

// ConnState names what the connection speaks.
func (c *conn) ConnState() network.ConnectionState {
	return network.ConnectionState{StreamMultiplexer: "/yamux/1.0.0", Security: SecurityID, Transport: fmt.Sprint(c.transport)}
}
