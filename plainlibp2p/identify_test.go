package plainlibp2p_test

import (
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// Identify tells plain peers who we are and what we serve, and Tari peers nothing.
func TestIdentify(t *testing.T) {
	type side struct {
		*tari.Host
		id     peer.ID
		events event.Subscription
	}
	newSide := func(agent string) side {
		plain := newUpgrader(t)
		h := start(t, tari.Config{Limits: tari.Limits{Libp2p: plain}})
		service, err := plain.Identify(h, agent)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			if err := service.Close(); err != nil {
				t.Errorf("Close: %v", err)
			}
		})
		events, err := h.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { events.Close() })
		return side{h, plain.ID(), events}
	}
	a, b := newSide("a/1"), newSide("b/1")
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.id, Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		us, them side
		agent    string
	}{{a, b, "b/1"}, {b, a, "a/1"}} {
		e := (<-c.us.events.Out()).(event.EvtPeerIdentificationCompleted)
		if e.Peer != c.them.id || e.AgentVersion != c.agent || !slices.Contains(e.Protocols, whoami) {
			t.Errorf("told of %v, %s, %v", e.Peer, e.AgentVersion, e.Protocols)
		}
		if !slices.EqualFunc(e.ListenAddrs, c.them.Addrs(), ma.Multiaddr.Equal) {
			t.Errorf("told of the addresses %v, want %v", e.ListenAddrs, c.them.Addrs())
		}
		if ids, err := c.us.Peerstore().SupportsProtocols(c.them.id, whoami); err != nil || len(ids) != 1 {
			t.Errorf("peerstore: %v, %v", ids, err)
		}
	}

	tarry := start(t, tari.Config{})
	if err := tarry.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if claim, _ := tarry.Claim(b.ID()); !slices.Equal(claim.Protocols, []protocol.ID{whoami}) {
		t.Errorf("the claim lists %v", claim.Protocols)
	}
	s, err := tarry.NewStream(testContext(t), b.ID(), "/ipfs/id/1.0.0")
	if err == nil {
		_, err = s.Read(make([]byte, 1))
		s.Reset()
	}
	if err == nil {
		t.Error("a Tari peer is told by identify")
	}
}
