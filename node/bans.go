package node

import (
	"bytes"
	"context"
	"errors"
	"slices"
	"time"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Ban shuts a peer out for d (peerbook.Forever until Unban) and ends its connections. A ban that holds longer stays as it
// is, which the answer shows. The peer is named as CheckPeer has it.
func (n *Node) Ban(_ context.Context, peer string, d time.Duration, reason string) (Banned, error) {
	p, err := n.another(peer)
	if err != nil {
		return Banned{}, err
	}
	if d <= 0 {
		return Banned{}, fail(FailUsage, errors.New("node: a ban needs a time above 0"))
	}
	id := p.Key.PeerID()
	if err := n.Peers.BanByOperator(id, d, reason); err != nil {
		return Banned{}, err
	}
	answer := n.banned(p.Key)
	answer.Closed = n.hangUp(p.Key)
	if answer.Banned != nil {
		left := time.Until(answer.Banned.Until).Round(time.Second)
		n.emit(Event{Kind: EventBanned, Peer: answer.PublicKey, Seconds: int64(left / time.Second), Error: answer.Banned.Reason})
	}
	return answer, nil
}

// Unban lets a peer in again, whether it was banned or not.
func (n *Node) Unban(_ context.Context, peer string) (Unbanned, error) {
	p, err := n.resolve(peer)
	if err != nil {
		return Unbanned{}, err
	}
	id := p.Key.PeerID()
	answer := Unbanned{PublicKey: p.Key.String(), NodeID: p.Key.NodeID().String()}
	_, answer.WasBanned = n.Peers.Banned(id)
	// Also if it was not: a ban that is just being decided must not follow.
	if err := n.Peers.Unban(id); err != nil {
		return Unbanned{}, err
	}
	if answer.WasBanned {
		n.emit(Event{Kind: EventUnbanned, Peer: answer.PublicKey})
	}
	return answer, nil
}

// UnbanAll lets all banned peers in again, whoever banned them.
func (n *Node) UnbanAll(context.Context) (UnbannedAll, error) {
	lifted, err := n.Peers.UnbanAll()
	for _, id := range lifted {
		n.emit(Event{Kind: EventUnbanned, Peer: keyText(id)})
	}
	return UnbannedAll{Lifted: len(lifted)}, err
}

// ListBans lists the bans that hold, in the order of the public keys.
func (n *Node) ListBans(context.Context) (BanList, error) {
	list := BanList{Bans: []Banned{}}
	bans := n.Peers.Bans()
	slices.SortFunc(bans, func(x, y peerbook.Record) int { return bytes.Compare(x.Key.Bytes(), y.Key.Bytes()) })
	for _, r := range bans {
		if b := n.banned(r.Key); b.Banned != nil { // it may have run out meanwhile
			list.Bans = append(list.Bans, b)
		}
	}
	return list, nil
}

func (n *Node) banned(key tarikey.PublicKey) Banned {
	b := Banned{PublicKey: key.String(), NodeID: key.NodeID().String()}
	if ban, holds := n.Peers.Banned(key.PeerID()); holds {
		b.Banned = &BanInfo{Until: ban.Until, Reason: ban.Reason}
	}
	return b
}

// hangUp ends the connections to a peer and says how many there were.
func (n *Node) hangUp(key tarikey.PublicKey) int {
	if n.Host == nil {
		return 0
	}
	id := key.PeerID()
	count := len(n.Host.Network().ConnsToPeer(id))
	_ = n.Host.Network().ClosePeer(id) // an error here is of a connection that has ended already
	return count
}
