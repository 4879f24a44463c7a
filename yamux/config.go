package yamux

import (
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// WindowRule is how a dialect counts flow-control windows.
type WindowRule int

const (
	// Additive is the rule of yamux 0.13 (modern Tari), and of the yamux
	// specification: each side may send 256 KiB on a new stream, and the length of
	// every window update is added to that. A stream is announced by its first
	// data frame.
	Additive WindowRule = iota
	// Absolute is the rule of yamux 0.4.7 (seed Tari): a stream is announced as it
	// is opened, by a window update whose length is all that the other side may
	// send. Later window updates are added. A stream announced by a data frame
	// has 256 KiB each way.
	Absolute
)

// initialWindow is the window of a stream that was announced without another,
// bytes each way. Both Rust versions use it.
const initialWindow = 256 << 10

// maxFrame is the longest body that is accepted, as in the Rust peers.
func (r WindowRule) maxFrame() uint32 {
	if r == Absolute {
		return 8 << 20
	}
	return 1 << 20
}

// Config tunes a session. The zero value is right for Tari peers.
type Config struct {
	// Window is the dialect's way to count windows.
	Window WindowRule
	// MaxStreams bounds the streams of a connection, both directions together,
	// until both sides are done with them; 0 means 128, at which modern Tari
	// drops the connection. We reset what the peer opens beyond.
	MaxStreams int
	// MaxOpen bounds those that we opened; 0 means 112, where modern Tari stops
	// as well.
	MaxOpen int
	// MaxMessage is the largest body we send, in bytes; 0 means 65,507, so that a
	// frame with its header fills one Noise frame.
	MaxMessage int
	// MaxWindow bounds the receive window of a stream, in bytes; 0 means 16 MiB.
	// Windows start at 256 KiB and double while the reader keeps up.
	MaxWindow uint32
	// ConnectionMemory bounds the receive windows of all streams together, in
	// bytes; 0 means 64 MiB.
	ConnectionMemory int64
	// Backlog is how many streams may wait for AcceptStream before the session
	// stops reading from the peer; 0 means 64.
	Backlog int
	// KeepAlive is the silence after which the peer is asked for a sign of life;
	// after as much silence again the session ends. 0 means 25 s, negative never.
	KeepAlive time.Duration
	// WriteTimeout ends the session when the connection has not taken 64 KiB (4 KiB
	// once it is known to be slow) in this time; 0 means 120 s.
	WriteTimeout time.Duration
	// CloseTimeout bounds Close, and how long AcceptStream holds back the end of
	// a session that the peer closed while readers still drain it; 0 means 2 s.
	CloseTimeout time.Duration
}

func (c Config) withDefaults() Config {
	orDefault(&c.MaxStreams, 128)
	orDefault(&c.MaxOpen, 112)
	orDefault(&c.MaxMessage, 65507)
	orDefault(&c.MaxWindow, 16<<20)
	orDefault(&c.ConnectionMemory, 64<<20)
	orDefault(&c.Backlog, 64)
	orDefault(&c.KeepAlive, 25*time.Second)
	orDefault(&c.WriteTimeout, 120*time.Second)
	orDefault(&c.CloseTimeout, 2*time.Second)
	c.MaxMessage = min(c.MaxMessage, maxPending)
	c.MaxWindow = max(c.MaxWindow, initialWindow)
	return c
}

func orDefault[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// Muxer is a network.Multiplexer that makes sessions with one Config.
type Muxer struct{ Config }

var _ network.Multiplexer = (*Muxer)(nil)

// NewConn starts a session on c, which it owns from then on. Window memory is
// reserved in a span of scope, unless scope is nil.
func (m *Muxer) NewConn(c net.Conn, isServer bool, scope network.PeerScope) (network.MuxedConn, error) {
	return newSession(c, !isServer, m.Config, scope)
}
