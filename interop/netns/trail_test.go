//go:build interop && linux

package netns

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// trail is what happened last between two peers, as one of them sees it, so that what goes wrong explains itself.
type trail struct {
	mu    sync.Mutex
	notes []string
}

// trailLength is how many notes are kept, and those before them are forgotten.
const trailLength = 40

func (t *trail) note(format string, args ...any) {
	said := time.Now().Format("15:04:05.000 ") + fmt.Sprintf(format, args...)
	t.mu.Lock()
	defer t.mu.Unlock()
	t.notes = append(t.notes[max(0, len(t.notes)-trailLength+1):], said)
}

func (t *trail) all() []string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return slices.Clone(t.notes)
}

// name tells the connections of two peers apart, and is the same on both sides but for the order of its ends.
func name(c network.Conn) string {
	return fmt.Sprintf("%v, here %s, there %s", c.Stat().Direction, c.LocalMultiaddr(), c.RemoteMultiaddr())
}

// ends are the two addresses of each connection that there is to a peer, and that takes more, as the side at the far end names them.
func ends(n network.Network, p peer.ID, far bool) (out []string) {
	for _, c := range n.ConnsToPeer(p) {
		first, second := c.LocalMultiaddr(), c.RemoteMultiaddr()
		if far {
			first, second = second, first
		}
		if !c.IsClosed() {
			out = append(out, first.String()+" "+second.String())
		}
	}
	return out
}

// follow notes which connections come and go, and for how they ended. of finds the trail of a peer, or nil.
func follow(n network.Network, of func(peer.ID) *trail) {
	n.Notify(&network.NotifyBundle{
		ConnectedF: func(_ network.Network, c network.Conn) {
			if t := of(c.RemotePeer()); t != nil {
				t.note("up: %s", name(c))
			}
		},
		DisconnectedF: func(_ network.Network, c network.Conn) {
			if t := of(c.RemotePeer()); t != nil {
				_, err := c.NewStream(context.Background()) // a connection that has ended says why
				t.note("down at %v: %s: %v", time.Since(c.Stat().Opened).Round(time.Millisecond), name(c), err)
			}
		},
	})
}

// standing lists the connections that there are to a peer.
func standing(n network.Network, p peer.ID) (out []string) {
	for _, c := range n.ConnsToPeer(p) {
		said := fmt.Sprintf("stands since %s: %s, %d streams", c.Stat().Opened.Format("15:04:05.000"), name(c), len(c.GetStreams()))
		if c.IsClosed() {
			said += ", takes no more"
		}
		out = append(out, said)
	}
	return out
}

// story is all that is known of what happened between the node and a peer.
func (p *soakPeer) story() string {
	said := append(p.trail.all(), standing(p.node.Host.Network(), p.key.PeerID())...)
	if _, ok := p.how.(*crowdPeer); ok {
		theirs, err := p.how.do("trail", p.us())
		said = append(said, "and as the peer sees it:")
		said = append(said, theirs.Trail...)
		if err != nil {
			said = append(said, err.Error())
		}
	}
	return strings.Join(said, "\n\t")
}
