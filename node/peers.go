package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// learn puts a peer that our user named into the book; its addresses count as configured, whatever they are.
func (n *Node) learn(p tari.Address) (peerbook.Record, error) {
	news := peerbook.Record{Key: p.Key}
	for _, a := range p.Addrs {
		news.Addresses = append(news.Addresses, peerbook.Address{Addr: a, Source: peerbook.Configured})
	}
	if err := n.Peers.Put(news); err != nil {
		return news, err
	}
	if kept, ok := n.Peers.Get(p.Key.PeerID()); ok {
		return kept, nil
	}
	return news, nil
}

// onClaim keeps in the book what a peer says of itself once it is connected.
func (n *Node) onClaim(id peer.ID, claim *identityproto.Claim, dir network.Direction, addr ma.Multiaddr) {
	m := peerbook.Meeting{Network: n.config.Network.Name, Rules: identityproto.Rules{AllowTestAddresses: n.config.AllowTestAddresses}}
	if dir == network.DirOutbound {
		m.Dialed = addr
	}
	if err := n.Peers.Claimed(claim, m); err != nil {
		n.emit(Event{Kind: EventBookFailed, Peer: keyText(id), Error: err.Error()})
	}
}

// remember tells the host the addresses under which the book knows a peer, and those given here.
func (n *Node) remember(p tari.Address) {
	id := p.Key.PeerID()
	addrs := p.Addrs
	if r, ok := n.Peers.Get(id); ok {
		addrs = unique(addrs, r.Addrs())
	}
	n.Host.Peerstore().AddAddrs(id, addrs, peerstore.TempAddrTTL)
}

func (n *Node) peerInfo(r peerbook.Record) PeerInfo {
	info := PeerInfo{
		PublicKey: r.Key.String(),
		NodeID:    r.NodeID().String(),
		Addresses: texts(r.Addrs()),
		Features:  r.Features.String(),
		UserAgent: r.UserAgent,
		Protocols: texts(r.Protocols),
		Connected: n.Host != nil && n.Host.Network().Connectedness(r.PeerID()) == network.Connected,
	}
	if !r.LastSeen.IsZero() {
		info.LastSeen = &r.LastSeen
	}
	if r.Banned(time.Now()) {
		info.Banned = &BanInfo{Until: r.Ban.Until, Reason: r.Ban.Reason}
	}
	return info
}
