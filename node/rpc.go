package node

import (
	"context"
	"errors"
	"sync/atomic"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// RPC is a node's RPC: the services that its user registers, and calls of those that peers have. Its limits are those of tari_comms,
// of the era of each connection.
type RPC struct {
	server  *rpc.Server
	pools   *rpc.Pools
	refused atomic.Uint64
}

// newRPC serves nothing and is connected to nobody yet.
func newRPC(n *Node) *RPC {
	r := &RPC{pools: rpc.NewPools(dialing{n}, rpc.PoolConfig{})}
	r.server = rpc.NewServer(n.Host, rpc.ServerConfig{OnEnd: r.ended})
	return r
}

// ended counts the sessions that were never opened.
func (r *RPC) ended(_ peer.ID, _ protocol.ID, err error) {
	if errors.As(err, new(*rpc.RejectedError)) {
		r.refused.Add(1)
	}
}

// Register serves a service: the methods of one protocol id, to whoever calls. Before Start is the time for it, so that the first
// claim names the service already. It fails if two methods have one number, or after Close.
func (r *RPC) Register(service protocol.ID, methods ...rpc.Method) error {
	return r.server.Register(service, methods...)
}

// Peer is where calls of a peer's service go: method.Call(ctx, n.RPC.Peer(id, service), request). It may be kept. A call connects to
// the peer if need be, of which an address must be known, opens a session, at most four at a time, and leaves it open for a minute.
// What a dial found out is in the peer book.
func (r *RPC) Peer(to peer.ID, service protocol.ID) rpc.Caller { return r.pools.To(to, service) }

// Sessions returns how many sessions peers have with our services.
func (r *RPC) Sessions() int { return r.server.Sessions() }

// OpenSessions returns how many sessions we have with services of peers.
func (r *RPC) OpenSessions() int { return r.pools.Sessions() }

// RefusedSessions counts the sessions that peers asked for and did not get since New, mostly for lack of a place.
func (r *RPC) RefusedSessions() uint64 { return r.refused.Load() }

// close ends all sessions, ours first, and waits for the handlers of our services.
func (r *RPC) close() error { return errors.Join(r.pools.Close(), r.server.Close()) }

// dialing is the host as calls see it.
type dialing struct{ n *Node }

// NewStream opens a stream for a call; the book is told of a dial that fails.
func (d dialing) NewStream(ctx context.Context, p peer.ID, pids ...protocol.ID) (network.Stream, error) {
	s, err := d.n.Host.NewStream(ctx, p, pids...)
	if err != nil {
		d.n.dialFailed(ctx, p, err)
	}
	return s, err
}
