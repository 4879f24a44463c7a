package peerbook

import (
	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

var _ connmgr.ConnectionGater = (*Book)(nil)

// InterceptPeerDial refuses to dial banned peers.
func (b *Book) InterceptPeerDial(id peer.ID) bool { return b.lets(id) }

// InterceptAddrDial refuses to dial banned peers.
func (b *Book) InterceptAddrDial(id peer.ID, _ ma.Multiaddr) bool { return b.lets(id) }

// InterceptAccept lets everybody in: who it is shows after the handshake.
func (b *Book) InterceptAccept(network.ConnMultiaddrs) bool { return true }

// InterceptSecured refuses banned peers as soon as their key is proved, before
// they hear who we are.
func (b *Book) InterceptSecured(_ network.Direction, id peer.ID, _ network.ConnMultiaddrs) bool {
	return b.lets(id)
}

// InterceptUpgraded asks again when the connection is made: the peer may have
// been banned since InterceptSecured.
func (b *Book) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	return b.lets(c.RemotePeer()), 0
}

func (b *Book) lets(id peer.ID) bool {
	_, banned := b.Banned(id)
	return !banned
}
