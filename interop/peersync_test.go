//go:build interop

package interop

import (
	"encoding/json"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/crawl"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// startNode starts a node of ours with a peer book, in memory, that dials nobody but these, once.
func startNode(t testing.TB, cfg node.Config, to ...tari.Address) *node.Node {
	t.Helper()
	cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	n, err := node.Errand(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	for _, a := range to {
		if _, err := n.AddPeer(t.Context(), a.String()); err != nil {
			t.Fatal(err)
		}
		if err := n.Host.Connect(patient(t), a.AddrInfo()); err != nil {
			t.Fatal(err)
		}
		met(t, n, a.Key)
	}
	return n
}

// where a node of ours, and a Rust one, is dialed.
func ourAddress(n *node.Node) tari.Address {
	return tari.Address{Key: n.Host.PublicKey(), Addrs: n.Host.Network().ListenAddresses()}
}

func rustAddress(t testing.TB, p *rustPeer) tari.Address {
	t.Helper()
	a, err := tari.ParseAddress(p.ready.PublicKey + "::" + p.ready.Address)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// told is what the Rust client makes of a record.
type told struct {
	PublicKey string   `json:"public_key"`
	Addresses []string `json:"addresses"`
	Error     string   `json:"error"`
}

// rustAsks has a Rust peer ask a node of ours, and hold what it is told against its rules.
func rustAsks(t testing.TB, rust *rustPeer, n *node.Node, fields map[string]any) (records []told) {
	t.Helper()
	fields["node_id"] = n.Host.PublicKey().NodeID().String()
	for _, raw := range rust.do("get_peers", fields).Answers {
		var r told
		if err := json.Unmarshal(raw, &r); err != nil {
			t.Fatal(err)
		}
		records = append(records, r)
	}
	return records
}

// met waits until a node's book has a claim of each of the peers.
func met(t testing.TB, n *node.Node, peers ...tarikey.PublicKey) {
	t.Helper()
	for _, key := range peers {
		waitUntil(t, "the node has met "+key.String(), func() bool {
			r, ok := n.Peers.Get(key.PeerID())
			return ok && r.Claim != nil
		})
	}
}

// rustReaches has a node come to a Rust peer by come, leave by leave, and be
// dialed at the address that it claimed. Only then does Rust tell of it: not of
// who only came, and not at addresses that were configured.
func rustReaches(rust *rustPeer, who tarikey.PublicKey, come, leave func()) {
	rust.t.Helper()
	id, at := who.NodeID().String(), rust.at()
	come()
	rust.waitFrom(at, "it came", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == id })
	leave()
	rust.waitFrom(at, "it left", func(ev event) bool { return ev.Event == "disconnected" && ev.NodeID == id })
	rust.do("get_peers", map[string]any{"node_id": id})
}

// reaches is rustReaches for a node of ours.
func reaches(t testing.TB, rust *rustPeer, n *node.Node) {
	t.Helper()
	rustReaches(rust, n.Host.PublicKey(), func() {
		if err := n.Host.Connect(patient(t), rustAddress(t, rust).AddrInfo()); err != nil {
			t.Fatal(err)
		}
	}, func() { _ = n.Host.Network().ClosePeer(peerID(t, rust)) })
}

// TestPeerSync: tari_comms_dht's own service tells us of our nodes, and its
// client asks ours; each takes every claim of the other.
func TestPeerSync(t *testing.T) {
	rust := startRust(t, modern, "--dht", "true")
	allow := node.Config{AllowTestAddresses: true}
	ours := []*node.Node{startNode(t, allow), startNode(t, allow)}
	hub := startNode(t, allow, ourAddress(ours[0]), ourAddress(ours[1]))
	for _, n := range ours {
		reaches(t, rust, n)
	}
	client := startOurs(t, tari.Config{})
	connect(t, client, rust, true)
	var answer peersync.Answer
	waitUntil(t, "the Rust peer tells of both", func() bool {
		session, err := peersync.Connect(patient(t), client.host, peerID(t, rust))
		if err != nil {
			t.Fatal(err)
		}
		defer session.Close()
		if answer, err = peersync.Ask(patient(t), session, peersync.Query{AllowTestAddresses: true}); err != nil {
			t.Fatal(err)
		}
		return len(answer.Peers) >= 2
	})
	want := []string{ours[0].Host.PublicKey().String(), ours[1].Host.PublicKey().String()}
	var got []string
	for _, p := range answer.Peers {
		got = append(got, p.Claim.Key.String())
		if p.Claim.VerifySignature(time.Now()) != nil || p.Claim.Features != identityproto.FeatureNode || len(p.Addrs) == 0 {
			t.Errorf("told of %+v", p)
		}
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) || answer.Invalid != nil {
		t.Errorf("told of %v, want %v; %v", got, want, answer.Invalid)
	}
	t.Logf("Rust told of %d peers; none was refused", len(answer.Peers))

	reaches(t, rust, hub)
	got = nil
	for _, r := range rustAsks(t, rust, hub, map[string]any{}) {
		got = append(got, r.PublicKey)
		if r.Error != "" || len(r.Addresses) != 1 {
			t.Errorf("Rust does not take %+v", r)
		}
	}
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("told Rust of %v, want %v", got, want)
	}
	if records := rustAsks(t, rust, hub, map[string]any{"n": 1}); len(records) != 1 {
		t.Errorf("told Rust of %d peers, 1 was asked for", len(records))
	}
}

// TestPeerSyncInPublic: where internal addresses are not allowed, Rust takes what
// we tell by the rules of mainnet, and we tell of no peer with an internal one.
func TestPeerSyncInPublic(t *testing.T) {
	rust, inside := startRust(t, modern), startRust(t, modern)
	public := startNode(t, node.Config{Public: []ma.Multiaddr{ma.StringCast("/ip4/5.6.7.8/tcp/18189"), ma.StringCast("/dns4/node.example.com/tcp/1")}})
	hub := startNode(t, node.Config{}, rustAddress(t, rust), rustAddress(t, inside), ourAddress(public))
	records := rustAsks(t, rust, hub, map[string]any{"public": true, "clients": true})
	if len(records) != 1 || records[0].PublicKey != public.Host.PublicKey().String() || records[0].Error != "" || len(records[0].Addresses) != 2 {
		t.Errorf("%+v", records)
	}
}

// TestCrawlWithRust: a crawl finds all of a network of ours and of Rust nodes
// that know of each other by turns, and takes every claim.
func TestCrawlWithRust(t *testing.T) {
	const each = 6
	var rusts []*rustPeer
	var ours []*node.Node
	for range 3 {
		rust := startRust(t, modern, "--dht", "true")
		if len(rusts) > 0 { // of which the one before tells
			last, id := rusts[len(rusts)-1], rustAddress(t, rust).Key
			rustReaches(last, id, func() {
				rust.do("dial", map[string]any{"public_key": last.ready.PublicKey, "addresses": []string{last.ready.Address}})
			}, func() { rust.try("disconnect", map[string]any{"node_id": last.ready.NodeID}) })
		}
		rusts = append(rusts, rust)
		for range each {
			n := startNode(t, node.Config{AllowTestAddresses: true})
			reaches(t, rust, n)
			ours = append(ours, n)
		}
	}
	h, err := tari.New(tari.Config{AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.SetFeatures(identityproto.FeatureClient)
	result, err := crawl.Run(patient(t), h, crawl.Config{Start: []tari.Address{ourAddress(ours[0])}, AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	found := map[peer.ID]crawl.Peer{}
	for _, p := range result.Peers {
		found[p.Key.PeerID()] = p
	}
	var all []peer.ID
	for _, n := range ours {
		all = append(all, n.Host.ID())
	}
	for _, rust := range rusts {
		all = append(all, peerID(t, rust))
		if got := rust.bansTold(); got != 0 {
			t.Errorf("a Rust peer banned %d times", got)
		}
	}
	for _, id := range all {
		p, ok := found[id]
		if !ok || p.Visit == nil || p.Visit.Class != crawl.Answered || p.Visit.Invalid != nil || p.Claim.VerifySignature(time.Now()) != nil {
			t.Errorf("%s: %+v, %+v", id, p, p.Visit)
		}
	}
	if len(found) != len(all) {
		t.Errorf("%d peers of %d", len(found), len(all))
	}
	t.Logf("%+v", result.Summary())
}
