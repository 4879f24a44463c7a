//go:build interop

package tornet

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// TestNodesByOnion has two nodes that are only on Tor find and message each
// other by their onion addresses, both ways.
func TestNodesByOnion(t *testing.T) {
	need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	n, err := Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	names := []string{"alice", "bob"}
	var nodes []*node.Node
	inboxes := make([]chan string, len(names))
	for i, name := range names {
		tor, err := n.Client(name)
		if err != nil {
			t.Fatal(err)
		}
		inbox := make(chan string, 8)
		inboxes[i] = inbox
		peer, err := node.Start(ctx, node.Config{
			DataDir: t.TempDir(),
			Tor:     node.Tor{Service: true, Control: tor.Control, Only: true},
			OnEvent: func(e node.Event) {
				switch e.Kind {
				case node.EventMessage:
					inbox <- string(e.Message)
				case node.EventTor:
					t.Logf("%s: tor %s %s", name, e.Address, e.Error)
				}
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		defer peer.Close()
		nodes = append(nodes, peer)
		if err := tor.WaitBootstrapped(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		other := 1 - i
		to := onlyOnion(t, nodes[other])
		text := fmt.Sprintf("hello %s, this is %s", names[other], name)
		for {
			_, err := nodes[i].Send(ctx, to, []byte(text))
			if err == nil {
				break
			}
			t.Logf("%s: %v", name, err) // its descriptor may not be around yet
			select {
			case <-ctx.Done():
				t.Fatal("never sent")
			case <-time.After(time.Second):
			}
		}
		select {
		case got := <-inboxes[other]:
			if got != text {
				t.Errorf("%s got %q", names[other], got)
			}
		case <-ctx.Done():
			t.Fatalf("%s got nothing", names[other])
		}
	}
	for i, peer := range nodes {
		for _, c := range peer.Host.Network().Conns() {
			t.Logf("%s: %v %s", names[i], c.Stat().Direction, c.RemoteMultiaddr())
			if c.Stat().Direction == network.DirOutbound && c.RemoteMultiaddr().Protocols()[0].Name != "onion3" {
				t.Errorf("%s reached its peer at %s", names[i], c.RemoteMultiaddr())
			}
		}
	}
}

// onlyOnion is the one address that a node which is only on Tor has.
func onlyOnion(t *testing.T, n *node.Node) string {
	t.Helper()
	s, err := n.Status()
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Addresses) != 1 {
		t.Fatalf("addresses %v", s.Addresses)
	}
	a, err := tari.ParseAddress(s.Addresses[0])
	if err != nil || len(a.Addrs) != 1 || a.Addrs[0].Protocols()[0].Name != "onion3" {
		t.Fatalf("address %s: %v", s.Addresses[0], err)
	}
	claim, err := n.Host.OwnClaim()
	if err != nil || len(claim.Addresses) != 1 || !claim.Addresses[0].Equal(a.Addrs[0]) {
		t.Errorf("claims %v, %v", claim.Addresses, err)
	}
	return s.Addresses[0]
}
