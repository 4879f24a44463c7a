package node

import (
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peersync"
)

// toldFor is how long after we met a peer others are told of it, as tari_comms_dht has it.
const toldFor = 60 * time.Hour

// tellPeers has the node tell others of peers that it has met, where peers sign what they say.
func (n *Node) tellPeers() error {
	if n.config.NoPeerSync || !n.config.Network.Signed() {
		return nil
	}
	return n.RPC.Register(peersync.Service, peersync.Method(peersync.ServerConfig{
		Claims: n.told, AllowTestAddresses: n.config.AllowTestAddresses,
	}))
}

// told are claims of random peers of our network that we have met lately; no banned ones.
func (n *Node) told(most int, keep func(*identityproto.Claim) bool) (claims []*identityproto.Claim) {
	since := time.Now().Add(-toldFor)
	for _, r := range n.Peers.Random(most, func(r peerbook.Record) bool {
		return r.Claim != nil && r.Network == n.config.Network.Name && r.LastSeen.After(since) && keep(r.Claim)
	}) {
		claims = append(claims, r.Claim)
	}
	return claims
}
