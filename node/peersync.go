package node

import (
	"slices"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peersync"
)

// toldFor is how long after we reached a peer others are told of it, as tari_comms_dht has it.
const toldFor = 60 * time.Hour

// tellPeers has the node tell others of peers that it has reached, where peers sign what they say.
func (n *Node) tellPeers() error {
	if n.config.NoPeerSync || !n.config.Network.Signed() {
		return nil
	}
	return n.RPC.Register(peersync.Service, peersync.Method(peersync.ServerConfig{
		Claims: n.told, AllowTestAddresses: n.config.AllowTestAddresses,
	}))
}

// told are claims of random peers of our network, no banned ones, that the last dial of ours reached, and lately. That somebody came to us
// is not enough: nobody is sent where we have not been.
func (n *Node) told(most int, keep func(*identityproto.Claim) bool) (claims []*identityproto.Claim) {
	since := time.Now().Add(-toldFor)
	for _, r := range n.Peers.Random(most, func(r peerbook.Record) bool {
		reached := func(a peerbook.Address) bool { return a.LastSeen.After(since) && a.Failures == 0 }
		return r.Claim != nil && r.Network == n.config.Network.Name && slices.ContainsFunc(r.Addresses, reached) && keep(r.Claim)
	}) {
		claims = append(claims, r.Claim)
	}
	return claims
}
