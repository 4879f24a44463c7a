//go:build interop

package interop

import (
	"context"
	"errors"
	"net"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/interop/tornet"
	"github.com/tari-libp2p/tari-libp2p/torctl"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// TestModernThroughTor has our node and the Rust peer reach each other through a
// real Tor, each at the other's onion address and by its own Tor's SOCKS port.
func TestModernThroughTor(t *testing.T) {
	modern.binary(t)
	if err := tornet.Available(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
	defer cancel()
	tor, err := tornet.Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer tor.Stop()
	alice, bob := torClient(t, tor, "alice"), torClient(t, tor, "bob")

	throughAlice := func(u transport.Upgrader, r network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
		d := &torsocks.Dialer{Proxy: alice.SOCKS}
		proxied, err := torsocks.NewTransport(u, r, d, torsocks.NothingElse, tcp)
		return []transport.Transport{proxied}, err
	}
	us := startOurs(t, tari.Config{Transports: throughAlice})
	ours := onionService(t, alice, newOnion(t), us.address())
	us.host.SetPublic([]ma.Multiaddr{ours})

	key := newOnion(t)
	rust := startRust(t, modern, "--socks", socksAddress(t, bob), "--public-address", key.Multiaddr(onionPort).String())
	rust.patience = 4 * time.Minute // of a dial Rust itself gives up after one
	theirs := onionService(t, bob, key, rust.ready.Address)
	for _, node := range []*tornet.Node{alice, bob} {
		if err := node.WaitBootstrapped(ctx); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("we dial", func(t *testing.T) {
		rust, from := rust.in(t), rust.at()
		untilDone(t, ctx, func() error {
			return us.host.Connect(ctx, peer.AddrInfo{ID: peerID(t, rust), Addrs: []ma.Multiaddr{theirs}})
		})
		rust.waitFrom(from, "our connection", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == us.nodeID() })
		for _, c := range us.host.Network().ConnsToPeer(peerID(t, rust)) {
			if !c.RemoteMultiaddr().Equal(theirs) {
				t.Errorf("we are connected to %s, want %s", c.RemoteMultiaddr(), theirs)
			}
		}
		toRust(t, us, rust, 100_000, 1)
		fromRust(t, us, rust, 100_000, 2)
		s := rust.stored(us.key())
		if !s.SignatureValid || !slices.Equal(s.ClaimAddresses, []string{ours.String()}) {
			t.Errorf("of us Rust keeps %+v, want only %s", s, ours)
		}
	})

	from := rust.at()
	if err := us.host.Network().ClosePeer(peerID(t, rust)); err != nil {
		t.Fatal(err)
	}
	rust.waitFrom(from, "the end of our connection", func(ev event) bool { return ev.Event == "disconnected" && ev.NodeID == us.nodeID() })

	t.Run("it dials", func(t *testing.T) {
		rust := rust.in(t)
		untilDone(t, ctx, func() error {
			answer := rust.try("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{ours.String()}})
			if !answer.OK {
				return errors.New(answer.Error)
			}
			if answer.Address != ours.String() {
				t.Errorf("Rust dialed %s, want %s", answer.Address, ours)
			}
			return nil
		})
		waitUntil(t, "our side of the connection", func() bool { _, ok := us.host.Claim(peerID(t, rust)); return ok })
		fromRust(t, us, rust, 100_000, 3)
		toRust(t, us, rust, 100_000, 4)
		claim, ok := us.host.Claim(peerID(t, rust))
		if !ok || len(claim.Addresses) != 1 || !claim.Addresses[0].Equal(theirs) {
			t.Errorf("Rust claims %+v, want %s", claim, theirs)
		}
	})
}

// onionPort is the port in the onion addresses.
const onionPort = 18141

func torClient(t *testing.T, n *tornet.Network, name string) *tornet.Node {
	t.Helper()
	node, err := n.Client(name)
	if err != nil {
		t.Fatal(err)
	}
	return node
}

// socksAddress is the SOCKS port of a Tor as a multiaddr.
func socksAddress(t *testing.T, n *tornet.Node) string {
	t.Helper()
	host, port, err := net.SplitHostPort(n.SOCKS)
	if err != nil {
		t.Fatal(err)
	}
	return "/ip4/" + host + "/tcp/" + port
}

func newOnion(t *testing.T) torctl.Key {
	t.Helper()
	key, err := torctl.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	return key
}

// onionService makes the listener at a multiaddr reachable by the key's onion address, until the test ends.
func onionService(t *testing.T, tor *tornet.Node, key torctl.Key, listener string) ma.Multiaddr {
	t.Helper()
	target, err := manet.ToNetAddr(ma.StringCast(listener))
	if err != nil {
		t.Fatal(err)
	}
	s, err := torctl.Start(torctl.Config{Control: tor.Control, Key: key, Port: onionPort, Target: target.String()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return key.Multiaddr(onionPort)
}

// untilDone tries again and again: the descriptor of a new onion service takes its time to get around.
func untilDone(t *testing.T, ctx context.Context, try func() error) {
	t.Helper()
	for {
		err := try()
		if err == nil {
			return
		}
		t.Log(err)
		select {
		case <-ctx.Done():
			t.Fatal("never: ", err)
		case <-time.After(time.Second):
		}
	}
}
