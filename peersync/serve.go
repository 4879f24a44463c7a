package peersync

import (
	"context"
	"iter"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// ServerConfig says what is told to those who ask.
type ServerConfig struct {
	// Claims returns at most so many claims that keep says yes to, each of another
	// peer, at random: all that is told comes from here. They have been verified;
	// whoever knows a peer to be banned, or has not met it for days, leaves it out.
	Claims func(most int, keep func(*identityproto.Claim) bool) []*identityproto.Claim
	// MaxPeers bounds one answer. 0 means 500; there are never more.
	MaxPeers int
	// AllowTestAddresses passes internal addresses on too: for networks of one's own.
	AllowTestAddresses bool
}

// Method answers get_peers, for rpc.Server.Register under Service. Of what Claims
// has it tells signed claims of nodes, of clients too if asked for them, never that
// of who asks; and a claim only if every address in it may be kept and dialed,
// since a claim cannot be cut without breaking its signature.
func Method(cfg ServerConfig) rpc.Method {
	if cfg.MaxPeers <= 0 || cfg.MaxPeers > maxPeers {
		cfg.MaxPeers = maxPeers
	}
	return getPeers.Serve(func(_ context.Context, from peer.ID, req *dhtproto.GetPeersRequest) iter.Seq2[*dhtproto.GetPeersResponse, error] {
		return func(yield func(*dhtproto.GetPeersResponse, error) bool) {
			if req.MaxClaims == 0 || req.MaxAddressesPerClaim == 0 {
				yield(nil, &rpc.Status{Code: rpc.BadRequest, Text: "max_claims and max_addresses_per_claim must be greater than zero"})
				return
			}
			for _, claim := range cfg.Claims(cfg.most(req.N), func(c *identityproto.Claim) bool { return cfg.tells(c, from, req) }) {
				if !yield(itemOf(claim), nil) {
					return
				}
			}
		}
	})
}

// most is how many peers are told where n are asked for.
func (cfg *ServerConfig) most(n uint32) int {
	if n == 0 {
		return cfg.MaxPeers
	}
	return int(min(n, uint32(cfg.MaxPeers)))
}

// tells: the claim may be passed on to that peer.
func (cfg *ServerConfig) tells(c *identityproto.Claim, to peer.ID, req *dhtproto.GetPeersRequest) bool {
	if c == nil || c.Signature == nil || len(c.Addresses) == 0 || uint64(len(c.Addresses)) > uint64(req.MaxAddressesPerClaim) {
		return false
	}
	if c.Features != identityproto.FeatureNode && !req.IncludeClients {
		return false
	}
	for _, a := range c.Addresses {
		if !identityproto.Usable(a, cfg.AllowTestAddresses) {
			return false
		}
	}
	return c.Key.PeerID() != to
}
