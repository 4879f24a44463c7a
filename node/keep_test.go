package node

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestKeepsConnected: a configured peer and one that is only in the book are dialed, the peer that goes and comes back is dialed again,
// and status and events say how it is.
func TestKeepsConnected(t *testing.T) {
	dir := t.TempDir()
	configured := listeningNode(t, Config{DataDir: dir})
	known := listeningNode(t, Config{})
	events := make(chan Event, 1000)
	quick := connectivity.Config{Backoff: connectivity.Backoff{First: 100 * time.Millisecond, Offline: 200 * time.Millisecond}}
	us, err := Start(t.Context(), Config{Peers: []tari.Address{dialAt(t, configured)}, Connectivity: quick, OnEvent: func(e Event) { events <- e }})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	if _, err := us.AddPeer(t.Context(), dialAt(t, known).String()); err != nil {
		t.Fatal(err)
	}
	connected, online := map[string]bool{}, false
	waitUntil(t, events, func(e Event) bool {
		switch e.Kind {
		case EventConnected:
			connected[e.Peer] = true
		case EventStateChanged:
			online = e.State == "online"
		}
		return connected[configured.Identity.String()] && connected[known.Identity.String()] && online
	})
	if err := us.Connectivity.WaitOnline(testContext(t)); err != nil {
		t.Error(err)
	}
	s, err := us.Status()
	if err != nil || s.Connectivity == nil || s.Connectivity.State != "online" || s.Connectivity.Nodes < 1 || s.Connectivity.Nodes > 2 {
		t.Fatalf("status %+v, %v", s.Connectivity, err)
	}
	for _, c := range us.links.Connections() {
		if err := us.links.Ping(t.Context(), c); err != nil {
			t.Errorf("ping: %v", err)
		}
	}

	again := dialAt(t, configured)
	if err := known.Close(); err != nil {
		t.Error(err)
	}
	if err := configured.Close(); err != nil {
		t.Error(err)
	}
	waitUntil(t, events, func(e Event) bool { return e.Kind == EventStateChanged && e.State == "offline" && *e.Nodes == 0 })
	over, cancel := context.WithCancel(t.Context())
	cancel()
	if err := us.Connectivity.WaitOnline(over); !errors.Is(err, context.Canceled) || !strings.Contains(err.Error(), "offline") {
		t.Errorf("offline, and no time: %v", err)
	}
	waitUntil(t, events, func(e Event) bool {
		return e.Kind == EventDialFailed && e.Peer == configured.Identity.String() && e.Error != ""
	})
	listeningNode(t, Config{DataDir: dir, Listen: again.Addrs})
	if err := us.Connectivity.WaitOnline(testContext(t)); err != nil {
		t.Error(err)
	}
	waitUntil(t, events, func(e Event) bool { return e.Kind == EventStateChanged && e.State == "online" })
}

// TestFailedDialsAreKept: why a peer could not be reached is in the book, whoever wanted to reach it, unless the dial was given up.
func TestFailedDialsAreKept(t *testing.T) {
	known, gone := listeningNode(t, Config{}), listeningNode(t, Config{})
	absent := dialAt(t, gone)
	if err := gone.Close(); err != nil {
		t.Error(err)
	}
	us := startNode(t, Config{Peers: []tari.Address{dialAt(t, known)}, Connectivity: connectivity.Config{Pool: 1}}) // full: it dials nobody else
	eventually(t, "we are connected", func() bool { return us.Connectivity.Status().Outbound == 1 })
	if us.Connectivity.Status().NoLink {
		t.Skip("this machine has no network, so that no failure counts")
	}
	if _, err := us.AddPeer(t.Context(), absent.String()); err != nil {
		t.Fatal(err)
	}
	check := func(when string, failures uint32) {
		t.Helper()
		r, ok := us.Peers.Get(absent.Key.PeerID())
		if !ok || len(r.Addresses) != 1 || r.Addresses[0].Failures != failures || (r.Addresses[0].Failure == "") != (failures == 0) {
			t.Errorf("%s: %+v", when, r.Addresses)
		}
	}
	given, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := us.Dial(given, absent.Key.String())
	check("given up", 0)
	_, errDial := us.Dial(t.Context(), absent.Key.String())
	check("dialed", 1)
	_, errSend := us.Send(t.Context(), absent.Key.String(), []byte("hello"))
	check("sent to", 2)
	_, errCall := testDouble.Call(t.Context(), us.RPC.Peer(absent.Key.PeerID(), testService), nil)
	check("called", 3)
	if err == nil || errDial == nil || errSend == nil || FailureOf(errCall).Kind != FailUnreachable {
		t.Errorf("%v, %v, %v, %v", err, errDial, errSend, errCall)
	}
}

// TestErrand: a node on an errand dials nobody of its own accord.
func TestErrand(t *testing.T) {
	n, err := Errand(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if s, err := n.Status(); err != nil || s.Connectivity != nil || n.Connectivity != nil {
		t.Errorf("%+v, %v", s.Connectivity, err)
	}
}

// TestAnchors: the connections that were the best at the end are those reached last at the next start.
func TestAnchors(t *testing.T) {
	them := listeningNode(t, Config{})
	us, err := Errand(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	to := dialAt(t, them)
	if _, err := us.AddPeer(t.Context(), to.String()); err != nil {
		t.Fatal(err)
	}
	l := &links{n: us}
	if c := l.Candidates(); len(c) != 1 || !c[0].Reached.IsZero() || len(c[0].Addrs) == 0 {
		t.Fatalf("candidates %+v", c)
	}
	before := time.Now().Add(-time.Second)
	l.KeepAnchors([]connectivity.Connection{{Peer: to.Key.PeerID(), Remote: to.Addrs[0]}})
	if c := l.Candidates(); len(c) != 1 || c[0].Reached.Before(before) {
		t.Errorf("candidates %+v", c)
	}
}

// TestProtected: a connection is kept as long as anybody protects it, in the host by a tag of his own, or in the book. One that only
// carries messages is not.
func TestProtected(t *testing.T) {
	them := listeningNode(t, Config{})
	us, err := Errand(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	l := &links{n: us}
	check := func(when string, want bool) {
		t.Helper()
		if c := l.Connections(); len(c) != 1 || c[0].Protected != want {
			t.Errorf("%s: %+v", when, c)
		}
	}
	to := dialAt(t, them)
	if _, err := us.Send(t.Context(), to.String(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	check("with a message", false)
	if c := l.Connections(); len(c) != 1 || c[0].Streams != 1 || c[0].Ours != 1 {
		t.Errorf("the stream of the message: %+v", c)
	}
	id, manager := to.Key.PeerID(), us.Host.ConnManager()
	manager.Protect(id, "sync")
	manager.Protect(id, "wallet")
	check("held by two", true)
	manager.Unprotect(id, "sync")
	check("held by one", true)
	manager.Unprotect(id, "wallet")
	check("held by none", false)
	for _, protected := range []bool{true, false} {
		if err := us.Peers.Protect(id, protected); err != nil {
			t.Fatal(err)
		}
		check("by the book", protected)
	}
}

// TestCandidates: nodes of our network with an address that we can dial, and peers of whom we know nothing yet; no wallets, no banned
// peers, not ourselves.
func TestCandidates(t *testing.T) {
	us, err := Errand(t.Context(), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	l := &links{n: us}
	add := func(change func(*peerbook.Record)) tarikey.PublicKey {
		t.Helper()
		r := peerbook.Record{Key: newKey(t), Addresses: []peerbook.Address{{Addr: ma.StringCast("/ip4/1.2.3.4/tcp/1")}}}
		change(&r)
		if err := us.Peers.Put(r); err != nil {
			t.Fatal(err)
		}
		return r.Key
	}
	claimed := func(f identityproto.Features) func(*peerbook.Record) {
		return func(r *peerbook.Record) { r.Features, r.LastSeen = f, time.Now() }
	}
	want := map[peer.ID]bool{
		add(func(*peerbook.Record) {}).PeerID():          true,
		add(claimed(identityproto.FeatureNode)).PeerID(): true,
	}
	add(claimed(identityproto.FeatureClient))
	add(func(r *peerbook.Record) { r.Network = "somewhere else" })
	add(func(r *peerbook.Record) { r.Addresses = nil })
	add(func(r *peerbook.Record) {
		r.Addresses[0].Addr = ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1")
	})
	add(func(r *peerbook.Record) { r.Key = us.Identity.Key.Public() })
	if banned := add(func(*peerbook.Record) {}); us.Peers.Ban(banned.PeerID(), time.Hour, "") != nil {
		t.Fatal("no ban")
	}
	found := l.Candidates()
	for _, c := range found {
		if !want[c.ID] {
			t.Errorf("a candidate that is none: %+v", c)
		}
	}
	if len(found) != len(want) {
		t.Errorf("%d candidates, want %d", len(found), len(want))
	}
}

func listeningNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	}
	n, err := Start(t.Context(), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

func dialAt(t *testing.T, n *Node) tari.Address {
	t.Helper()
	listen, err := n.Host.Network().InterfaceListenAddresses()
	if err != nil || len(listen) == 0 {
		t.Fatal(listen, err)
	}
	return tari.Address{Key: n.Host.PublicKey(), Addrs: listen[:1]}
}

func waitUntil(t *testing.T, events chan Event, wanted func(Event) bool) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for {
		select {
		case e := <-events:
			if wanted(e) {
				return
			}
		case <-ctx.Done():
			t.Fatal("never happened")
		}
	}
}
