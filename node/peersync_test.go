package node

import (
	"slices"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestTellsPeers: a node tells of peers that it has reached lately in its network, of no banned one, of none that only came to it, and not
// whoever asks.
func TestTellsPeers(t *testing.T) {
	n := listeningNode(t, Config{AllowTestAddresses: true})
	reached, came, asks := listeningNode(t, Config{AllowTestAddresses: true}), listeningNode(t, Config{AllowTestAddresses: true}), listeningNode(t, Config{AllowTestAddresses: true})
	for _, err := range []error{
		n.Host.Connect(t.Context(), dialAt(t, reached).AddrInfo()),
		came.Host.Connect(t.Context(), dialAt(t, n).AddrInfo()),
		n.Host.Connect(t.Context(), dialAt(t, asks).AddrInfo()),
	} {
		if err != nil {
			t.Fatal(err)
		}
	}
	meet := func(seen time.Duration, network string, failures uint32) tarikey.PublicKey {
		id, err := NewIdentity()
		if err != nil {
			t.Fatal(err)
		}
		claim := id.claim()
		claim.Addresses, claim.Features = loopback(), identityproto.FeatureNode
		claim.Addresses[0] = dialAt(t, n).Addrs[0]
		if err := claim.Sign(id.Key, time.Now()); err != nil {
			t.Fatal(err)
		}
		address := peerbook.Address{Addr: claim.Addresses[0], Source: peerbook.Claimed, LastSeen: time.Now().Add(-seen), Attempts: 1, Failures: failures}
		if err := n.Peers.Put(peerbook.Record{Key: claim.Key, Claim: claim, Features: claim.Features, Network: network, Addresses: []peerbook.Address{address}}); err != nil {
			t.Fatal(err)
		}
		return claim.Key
	}
	lately := meet(59*time.Hour, "mainnet", 0)
	meet(61*time.Hour, "mainnet", 0)
	meet(time.Hour, "mainnet", 1)
	meet(time.Hour, "nextnet", 0)
	banned := meet(time.Hour, "mainnet", 0)
	if err := n.Peers.Ban(banned.PeerID(), time.Hour, "test"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "who asks is connected", func() bool { return asks.connected(n.Host.ID()) })
	session, err := peersync.Connect(t.Context(), asks.Host, n.Host.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	want := []string{lately.String(), reached.Host.PublicKey().String()}
	slices.Sort(want)
	eventually(t, "the node has met both", func() bool {
		_, one := n.Peers.Get(reached.Host.ID())
		_, other := n.Peers.Get(came.Host.ID())
		return one && other
	})
	answer, err := peersync.Ask(t.Context(), session, peersync.Query{AllowTestAddresses: true})
	var got []string
	for _, p := range answer.Peers {
		got = append(got, p.Claim.Key.String())
	}
	slices.Sort(got)
	if err != nil || !slices.Equal(got, want) || answer.Invalid != nil {
		t.Errorf("told of %v, want %v; %v, %v", got, want, answer.Invalid, err)
	}
}

// TestTellsNobody: where it is told not to, and where peers sign nothing.
func TestTellsNobody(t *testing.T) {
	for name, cfg := range map[string]Config{"told not to": {NoPeerSync: true}, "unsigned": {Network: dialect.Stibbons}} {
		t.Run(name, func(t *testing.T) {
			n := listeningNode(t, cfg)
			if slices.Contains(n.Host.Mux().Protocols(), peersync.Service) {
				t.Error("it serves")
			}
		})
	}
	if !slices.Contains(listeningNode(t, Config{}).Host.Mux().Protocols(), peersync.Service) {
		t.Error("a node does not serve")
	}
}
