package connectivity

import (
	"context"
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// Config holds a Manager's figures. Zero fields take the value given here.
type Config struct {
	Pool    int           // nodes that we keep ourselves connected to by dialing: 12 (tari_comms: 8 neighbours and 4 random ones)
	Floor   int           // fewer than these make dialing urgent: 8, at most Pool-1 (tari_comms' proactive_dialing_floor)
	Min     int           // connected nodes that make us Online: 1 (tari_comms' min_connectivity)
	Refresh time.Duration // between looks at what to close and what to top up: 60 s (tari_comms' connection_pool_refresh_interval)
	SeedAge time.Duration // after which a seed makes room once the pool is full without it: 15 min (tari_comms' max_seed_peer_age)
	Reap    Reap
	Dials   Dials
	Breaker Breaker
	Backoff Backoff
	Rand    rand.Source // of all choices and delays, used by one goroutine: equal sources, equal behaviour; nil = a random one
}

// Reap says which idle connections are closed. Zero fields have tari_comms' values.
type Reap struct {
	Outbound int           // connections that we dialed and do not close: 50
	Inbound  int           // connections that others dialed and that we do not close: 400
	MinAge   time.Duration // a younger connection is not idle: 20 min
	Streams  int           // nor is one with so many streams: 3
}

// Dials bounds what we do to the network. The dials that others ask of the host do not count.
type Dials struct {
	PerMinute int           // dials begun in any 60 s: 60 (our choice)
	InFlight  int           // at a time: 30 (tari_comms dials at most 30 in a round)
	Limit     time.Duration // of one dial: 60 s (tari_comms' dial timeout)
}

// Breaker stops filling the pool when nobody answers at all.
type Breaker struct {
	Rounds int           // of dialing without a success, one after the other, that open it: 3 (tari_comms has 3 failures of a peer)
	Pause  time.Duration // before a small trial round is made, which closes it or opens it again: 2 min (as in tari_comms)
}

// Backoff says for how long a peer that failed is left alone: First, then twice as long with each failure, up to Max, and up to a
// quarter more or less by chance. A success does not take that back, but each 10 minutes of connection one step.
type Backoff struct {
	First   time.Duration // 5 s
	Max     time.Duration // 30 min
	HeldMax time.Duration // for peers under Hold: 2 min
	Offline time.Duration // for peers under Hold while we have no connection at all: 30 s
}

// Parts is what a Manager works with. Failures, Anchors and Pinger may be nil.
type Parts struct {
	Dialer      Dialer
	Candidates  Candidates
	Connections Connections
	Closer      Closer
	Pinger      Pinger
	Failures    Failures
	Anchors     Anchors
}

// Dialer makes a connection to a peer. Without addresses in to it uses all that are known. failed are addresses at which the peer did
// not answer. When it returns nil, the connection is among the Connections.
type Dialer interface {
	Dial(ctx context.Context, to peer.AddrInfo) (failed []ma.Multiaddr, err error)
}

// Candidates lists peers that may be dialed: nodes that are not banned and have an address. The order should not change for nothing:
// choices follow it.
type Candidates interface {
	Candidates() []Candidate
}

// Candidate is a peer that might be dialed.
type Candidate struct {
	ID      peer.ID
	Addrs   []ma.Multiaddr // the best first
	Reached time.Time      // when a dial last reached it; zero = never

	// Unproven are those of Addrs that a stranger may have made up: no dial ever reached the peer there, and our own user did not give
	// them. Each IP address, onion service or domain is dialed at most once in ten minutes for such, whoever claims to be there.
	Unproven []ma.Multiaddr

	Seed bool // a well-known node: dialed first when there is no connection, and last otherwise
}

// Connections lists the connections there are.
type Connections interface {
	Connections() []Connection
}

// Connection is one connection, whoever dialed it. Nobody needs to keep it alive: what is not protected and not to a peer under Hold
// may be closed when there are too many.
type Connection struct {
	ID        string // unique among all connections of the process
	Peer      peer.ID
	Local     ma.Multiaddr
	Remote    ma.Multiaddr
	Inbound   bool
	Opened    time.Time
	Streams   int
	Ours      int  // streams that we opened: somebody here wants them
	Client    bool // a wallet, not a node
	Seed      bool
	Protected bool // never closed by us
}

// Closer closes a connection, and may take a while to do so.
type Closer interface {
	CloseConnection(Connection)
}

// Pinger asks for a sign of life on a connection.
type Pinger interface {
	Ping(context.Context, Connection) error
}

// Failures is told of dials that failed while the network was there, to be remembered.
type Failures interface {
	DialFailed(id peer.ID, failed []ma.Multiaddr, err error)
}

// Anchors is told at each refresh which connections are the best of those we dialed, the very best last. They should be the candidates
// Reached last at the next start, for those are dialed first then.
type Anchors interface {
	KeepAnchors([]Connection)
}

func (c Config) withDefaults() Config {
	orDefault(&c.Pool, 12)
	orDefault(&c.Floor, 8)
	c.Floor = max(1, min(c.Floor, c.Pool-1))
	orDefault(&c.Min, 1)
	orDefault(&c.Refresh, 60*time.Second)
	orDefault(&c.SeedAge, 15*time.Minute)
	orDefault(&c.Reap.Outbound, 50)
	orDefault(&c.Reap.Inbound, 400)
	orDefault(&c.Reap.MinAge, 20*time.Minute)
	orDefault(&c.Reap.Streams, 3)
	orDefault(&c.Dials.PerMinute, 60)
	orDefault(&c.Dials.InFlight, 30)
	orDefault(&c.Dials.Limit, 60*time.Second)
	orDefault(&c.Breaker.Rounds, 3)
	orDefault(&c.Breaker.Pause, 2*time.Minute)
	orDefault(&c.Backoff.First, 5*time.Second)
	orDefault(&c.Backoff.Max, 30*time.Minute)
	orDefault(&c.Backoff.HeldMax, 2*time.Minute)
	orDefault(&c.Backoff.Offline, 30*time.Second)
	if c.Rand == nil {
		c.Rand = rand.NewPCG(rand.Uint64(), rand.Uint64())
	}
	return c
}

func orDefault[T comparable](v *T, value T) {
	var zero T
	if *v == zero {
		*v = value
	}
}
