package tari

import (
	"fmt"
	"slices"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// Of ten thousand strangers that come and go the peerstore has the last 512, and of those before nothing but what our user put there.
func TestStrangersThatLeftAreForgotten(t *testing.T) {
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	const many = 10_000
	here := addrs("/ip4/1.1.0.1/tcp/1")
	d := newDeparted(store)
	visit := func(i int) peer.ID {
		p := peer.ID(fmt.Sprint("stranger ", i))
		d.cameBack(p)
		store.AddAddrs(p, here, peerstore.RecentlyConnectedAddrTTL)
		store.AddAddrs(p, here, peerstore.ConnectedAddrTTL)
		if err := store.SetProtocols(p, echo); err != nil {
			t.Fatal(err)
		}
		if err := store.Put(p, "AgentVersion", "stranger/1"); err != nil {
			t.Fatal(err)
		}
		d.left(p)
		return p
	}
	ours := visit(0)
	store.AddAddrs(ours, addrs("/ip4/2.2.0.1/tcp/1"), peerstore.PermanentAddrTTL)
	var all []peer.ID
	for i := range many {
		all = append(all, visit(i+1))
		if i%100 == 0 {
			visit(1) // comes again and again
		}
	}
	if got := store.Addrs(ours); len(got) != 1 || !got[0].Equal(addrs("/ip4/2.2.0.1/tcp/1")[0]) {
		t.Errorf("of what our user added there is %v", got)
	}
	if n := len(store.PeersWithAddrs()); n != maxDeparted+1 {
		t.Errorf("addresses of %d peers", n)
	}
	known := 0
	for i, p := range all {
		ids, err := store.GetProtocols(p)
		if err != nil {
			t.Fatal(err)
		}
		agent, _ := store.Get(p, "AgentVersion")
		if remembered := len(store.Addrs(p)) == 1; remembered != (len(ids) == 1) || remembered != (agent == "stranger/1") {
			t.Fatalf("of stranger %d there are %v, %v, %v", i, store.Addrs(p), ids, agent)
		} else if remembered {
			known++
		} else if i == 0 || i > many-maxDeparted {
			t.Errorf("stranger %d is forgotten", i)
		}
	}
	if known != maxDeparted || d.order.Len() != maxDeparted || len(d.place) != maxDeparted {
		t.Errorf("%d are known, %d in order, %d in place", known, d.order.Len(), len(d.place))
	}
}

// Whoever left is on the list and can be dialed again without an address; whoever came back is not, nor is who still has a connection.
// A stranger whom our gater refuses when its claim was heard has left too, although the swarm never had it.
func TestWhoLeft(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		a, b := startHost(t, Config{Network: n}), startHost(t, Config{Network: n})
		h := startHost(t, Config{Network: n, Gater: &gate{peer: b.ID(), upgrad: true}})
		isOut := func(p peer.ID) bool {
			h.left.mu.Lock()
			defer h.left.mu.Unlock()
			return h.left.place[p] != nil
		}
		connect(t, a, h)
		eventually(t, "it is there", func() bool { return h.Network().Connectedness(a.ID()) == network.Connected })
		_ = b.Connect(testContext(t), infoOf(h)) // which may hear of the refusal later
		eventually(t, "the refused one has left", func() bool { return isOut(b.ID()) })
		if isOut(a.ID()) {
			t.Error("one that is connected has left")
		}
		if err := h.Network().ClosePeer(a.ID()); err != nil {
			t.Fatal(err)
		}
		eventually(t, "the other one has left", func() bool { return isOut(a.ID()) })
		if got := h.Peerstore().Addrs(a.ID()); !slices.EqualFunc(got, a.Addrs(), ma.Multiaddr.Equal) {
			t.Errorf("its addresses are %v, not %v", got, a.Addrs())
		}
		say(t, h, a.ID(), "are you there") // dials it
		if isOut(a.ID()) {
			t.Error("one that came back is still out")
		}
	})
}
