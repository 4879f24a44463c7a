package rpc

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Era is a generation of tari_comms: a session keeps its limits, and does
// without what it does not know. The messages are the same in both. The zero
// value stands for what the connection says, Modern if it says nothing.
type Era = tariproto.Era

// The eras.
const (
	Modern = tariproto.EraModern // tari_comms 6
	Seed   = tariproto.EraSeed   // tari_comms 0.8: no ping, no cancelling, no reasons
)

// rules are what an era says.
type rules struct {
	frame   int // the largest frame, in bytes
	request int // the largest request that is served, in bytes

	clientHandshake time.Duration // for the server's answer
	serverHandshake time.Duration // for the client's first frame, and for ours
	deadline        time.Duration // sent with a call
	grace           time.Duration // what a client waits longer than that

	sessionsPerPeer int  // of a server
	controls        bool // FIN of a client cancels, ACK is a ping, a refusal has a reason
}

// rulesOn are the rules on a connection, unless the caller has chosen an era.
func rulesOn(c network.Conn, chosen Era) rules {
	if chosen == tariproto.EraUnknown {
		_ = c.As(&chosen)
	}
	return rulesOf(chosen)
}

// rulesOf are those of tari_comms in each era. In the second a server has no
// limit for a peer, so that one peer may have all sessions.
func rulesOf(e Era) rules {
	if e == Seed {
		return rules{
			frame:           4 << 20,
			request:         4 << 20,
			clientHandshake: 10 * time.Second,
			serverHandshake: 10 * time.Second,
			deadline:        30 * time.Second,
			grace:           10 * time.Second,
			sessionsPerPeer: maxSessions,
		}
	}
	return rules{
		frame:           8<<20 + 1<<10, // a largest message, and room for what RPC puts around it
		request:         6 << 20,
		clientHandshake: 90 * time.Second,
		serverHandshake: 10 * time.Second,
		deadline:        120 * time.Second,
		grace:           60 * time.Second,
		sessionsPerPeer: 10,
		controls:        true,
	}
}

// Rules of tari_comms 6, kept in both eras.
const (
	maxSessions     = 100  // of a server, in all
	maxHandshake    = 1024 // bytes of a frame of the handshake
	maxPending      = 32   // handshakes under way
	maxPendingPeer  = 4    // of one peer
	idleTime        = 10 * time.Minute
	maxDeadline     = 10 * time.Minute // of a call; a client that asks for more is served, and gets that
	refusalTime     = 5 * time.Second  // to take an answer to what is no valid call
	maxFIN          = 128              // bytes of a frame that is read while a call runs
	responseHead    = 4 + 4*5          // bytes that a response may need around its payload
	cancelTime      = 2 * time.Second  // to write that a call is cancelled
	maxStatusText   = 512              // bytes kept of a peer's text
	maxNesting      = 100              // messages inside of each other, as prost has it
	defaultBudget   = 16384
	noRetryWhenFull = 10 * time.Second // our own choice: how long a pool believes "no sessions"
	leadTime        = time.Millisecond // likewise: how long a handler may take before it is heard whether it is cancelled
)

func orDefault[T int | time.Duration](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}
