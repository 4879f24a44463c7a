package node

import (
	"context"
	"errors"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func (n *Node) emit(e Event) {
	e.Time = time.Now().UTC()
	n.recent.note(e)
	n.stages.note(e)
	n.watchers.tell(e)
	n.config.OnEvent(e)
}

// onConnected tells of a connection before any of its streams is served.
func (n *Node) onConnected(_ network.Network, c network.Conn) {
	e := connEvent(EventConnected, c)
	e.Dialect = "libp2p" // plain, unless there is a session
	if s, ok := sessionOf(c); ok {
		e.Dialect, e.UserAgent, e.Features = s.Dialect.String(), s.Claim.UserAgent, s.Claim.Features.String()
		e.Stages = stagesOf(s.Stages)
	}
	n.emit(e)
}

func (n *Node) onDisconnected(_ network.Network, c network.Conn) {
	n.emit(connEvent(EventDisconnected, c))
}

func connEvent(kind EventKind, c network.Conn) Event {
	return Event{Kind: kind, Peer: keyText(c.RemotePeer()), Address: c.RemoteMultiaddr().String(), Direction: directionText(c.Stat().Direction)}
}

func (n *Node) onMessage(_ context.Context, from peer.ID, message []byte) {
	size := len(message)
	n.emit(Event{Kind: EventMessage, Peer: keyText(from), Message: message, Size: &size})
}

// onFailed tells of a connection that did not get through the handshake.
func (n *Node) onFailed(id peer.ID, dir network.Direction, addr ma.Multiaddr, cause error) {
	e := Event{Kind: EventRefused, Peer: keyText(id), Address: addr.String(), Direction: directionText(dir), Error: cause.Error()}
	var failed *tari.UpgradeError
	if errors.As(cause, &failed) && !errors.Is(cause, tari.ErrLiveness) { // a check of liveness was never to become a connection
		e.Stages = stagesOf(failed.Stages)
	}
	n.emit(e)
}

// stagesOf are the stages of a handshake as an Event has them.
func stagesOf(times []dialect.StageTime) (out []Stage) {
	for _, t := range times {
		s := Stage{Name: t.Stage, TookUS: t.Took.Microseconds()}
		if t.Err != nil {
			s.Error = plain(t.Err)
		}
		out = append(out, s)
	}
	return out
}

// onRefused tells of a connection that was not even listened to.
func (n *Node) onRefused(addr ma.Multiaddr, reason tari.Refusal) {
	n.emit(Event{Kind: EventRefused, Address: addr.String(), Direction: "inbound", Error: string(reason)})
}

// onRefusals sums up a minute in which connections were refused.
func (n *Node) onRefusals(counts tari.Refusals) {
	n.emit(Event{Kind: EventRefusals, Direction: "inbound", Refused: counts})
}

// onOffence keeps the ban in the book, which refuses the peer's next connections; the host ends those it has. Who is on the allow
// list may come back at once.
func (n *Node) onOffence(id peer.ID, d time.Duration, cause error) {
	e := Event{Kind: EventBanned, Peer: keyText(id), Seconds: int64(d / time.Second), Error: cause.Error()}
	switch err := n.Peers.Ban(id, d, cause.Error()); {
	case errors.Is(err, peerbook.ErrAllowed):
		e.Kind, e.Seconds = EventSpared, 0
	case err != nil:
		e.Error += "; not kept: " + err.Error()
	}
	n.emit(e)
}

// keyText is a peer's key, or the peer id of a peer of plain libp2p; "" for nobody.
func keyText(id peer.ID) string {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return id.String()
	}
	return key.String()
}

func directionText(d network.Direction) string {
	if d == network.DirInbound {
		return "inbound"
	}
	return "outbound"
}
