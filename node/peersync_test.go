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

// TestTellsPeers: a node tells of peers that it has met lately in its network, of no banned one, and not whoever asks.
func TestTellsPeers(t *testing.T) {
	n := listeningNode(t, Config{AllowTestAddresses: true})
	met, asks := listeningNode(t, Config{AllowTestAddresses: true}), listeningNode(t, Config{AllowTestAddresses: true})
	for _, other := range []*Node{met, asks} {
		if err := other.Host.Connect(t.Context(), dialAt(t, n).AddrInfo()); err != nil {
			t.Fatal(err)
		}
	}
	meet := func(seen time.Duration, network string) tarikey.PublicKey {
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
		if err := n.Peers.Put(peerbook.Record{Key: claim.Key, Claim: claim, Features: claim.Features, Network: network, LastSeen: time.Now().Add(-seen)}); err != nil {
			t.Fatal(err)
		}
		return claim.Key
	}
	lately := meet(59*time.Hour, "mainnet")
	meet(61*time.Hour, "mainnet")
	meet(time.Hour, "nextnet")
	banned := meet(time.Hour, "mainnet")
	if err := n.Peers.Ban(banned.PeerID(), time.Hour, "test"); err != nil {
		t.Fatal(err)
	}
	session, err := peersync.Connect(t.Context(), asks.Host, n.Host.ID())
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	want := []string{lately.String(), met.Host.PublicKey().String()}
	slices.Sort(want)
	eventually(t, "the node has met the other one", func() bool { r, ok := n.Peers.Get(met.Host.ID()); return ok && r.Claim != nil })
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
