package node

import (
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// learn puts a peer that our user named into the book; its addresses count as configured, whatever they are.
func (n *Node) learn(p tari.Address, seed bool) (peerbook.Record, error) {
	news := peerbook.Record{Key: p.Key, Seed: seed}
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
		m.Dialed, m.Took = addr, n.dialTime(id, addr)
	}
	if err := n.Peers.Claimed(claim, m); err != nil {
		n.emit(Event{Kind: EventBookFailed, Peer: keyText(id), Error: err.Error()})
	}
}

// dialTime is what the connection to a peer that we dialed there took, from connect to the end of the handshake; 0 if it has ended.
func (n *Node) dialTime(id peer.ID, addr ma.Multiaddr) (took time.Duration) {
	host := n.up.Load()
	if host == nil {
		return 0
	}
	for _, c := range host.Network().ConnsToPeer(id) {
		if s, ok := sessionOf(c); ok && c.Stat().Direction == network.DirOutbound && c.RemoteMultiaddr().Equal(addr) {
			for _, stage := range s.Stages {
				took += stage.Took
			}
			break
		}
	}
	return took
}

// connected reports whether there is a connection to a peer. The book asks it too, so as not to give up such a peer.
func (n *Node) connected(id peer.ID) bool {
	host := n.up.Load()
	return host != nil && host.Network().Connectedness(id) == network.Connected
}

// known are the addresses under which the book knows a peer, the best first.
func (n *Node) known(id peer.ID) (out []tari.KnownAddress) {
	r, _ := n.Peers.Get(id)
	for _, a := range r.Addresses {
		out = append(out, tari.KnownAddress{Addr: a.Addr, Configured: a.Source == peerbook.Configured})
	}
	return out
}

func (n *Node) peerInfo(r peerbook.Record) PeerInfo {
	info := infoOf(r)
	info.Connected = n.connected(r.PeerID())
	return info
}

// infoOf is what a record alone tells of a peer.
func infoOf(r peerbook.Record) PeerInfo {
	info := PeerInfo{
		PublicKey: r.Key.String(),
		NodeID:    r.NodeID().String(),
		Addresses: texts(r.Addrs()),
		Features:  r.Features.String(),
		UserAgent: r.UserAgent,
		Protocols: texts(r.Protocols),
	}
	info.LastSeen = moment(r.LastSeen)
	if r.Banned(time.Now()) {
		info.Banned = &BanInfo{Until: r.Ban.Until, Reason: r.Ban.Reason}
	}
	return info
}

// moment is nil for a time that never was, which JSON shows as null.
func moment(t time.Time) *time.Time {
	if t.IsZero() {
		return nil
	}
	return &t
}

func (n *Node) peerDetail(r peerbook.Record) PeerDetail {
	d := PeerDetail{
		PeerInfo: n.peerInfo(r),
		PeerID:   r.PeerID().String(),
		Network:  r.Network,
		Seed:     r.Seed,
		Allowed:  r.Allowed,
		Added:    moment(r.AddedAt),
		Dials:    []AddressInfo{},
	}
	if r.Claim != nil && r.Claim.Signature != nil {
		d.Claim = &ClaimInfo{Updated: r.Claim.Signature.UpdatedAt, Addresses: texts(r.Claim.Addresses), Features: r.Claim.Features.String()}
	}
	for _, a := range r.Addresses {
		d.Dials = append(d.Dials, AddressInfo{
			Address:  a.Addr.String(),
			Source:   sourceText(a.Source),
			LastSeen: moment(a.LastSeen),
			LastFail: moment(a.LastFail),
			Failure:  a.Failure,
			Attempts: a.Attempts,
			Failures: a.Failures,
			TookUS:   a.Took.Microseconds(),
		})
	}
	return d
}

func sourceText(s peerbook.Source) string {
	switch s {
	case peerbook.Configured:
		return "configured"
	case peerbook.Claimed:
		return "claimed"
	default:
		return "relayed"
	}
}
