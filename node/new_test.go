package node

import (
	"context"
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// TestNew: what New builds has its parts and does not run; what was set up before Start is there for the first peer.
func TestNew(t *testing.T) {
	them := listeningNode(t, Config{AllowTestAddresses: true})
	events := make(chan Event, 100)
	n, err := New(Config{
		DataDir: t.TempDir(), AllowTestAddresses: true,
		Listen:  []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		Peers:   []tari.Address{dialAt(t, them)},
		OnEvent: func(e Event) { events <- e },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got := n.Host.Network().ListenAddresses(); len(got) != 0 || n.Connectivity != nil || n.Peers == nil || n.Messages == nil {
		t.Fatalf("it runs: %v", got)
	}
	if _, ok := n.Peers.Get(them.Host.ID()); !ok {
		t.Error("the configured peer is not in the book")
	}
	messages := make(chan string, 1)
	n.Messages.Handle(func(_ context.Context, _ peer.ID, m []byte) { messages <- string(m) })
	n.Host.SetStreamHandler("/greet/1", func(s network.Stream) { _ = s.Close() })

	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	waitUntil(t, events, func(e Event) bool { return e.Kind == EventReady && len(e.Addresses) > 0 })
	waitUntil(t, events, func(e Event) bool { return e.Kind == EventConnected })
	if err := them.Host.Connect(t.Context(), peer.AddrInfo{ID: n.Host.ID(), Addrs: n.Host.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if err := them.Messages.Send(t.Context(), n.Host.ID(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	if got := <-messages; got != "hello" {
		t.Errorf("%q arrived", got)
	}
	s, err := them.Host.NewStream(t.Context(), n.Host.ID(), "/greet/1")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
	if err := n.Start(t.Context()); !errors.Is(err, tari.ErrListening) {
		t.Errorf("a second Start: %v", err)
	}
}

// TestNewNeverStarted: Close ends a node that never ran, and its folder is free again.
func TestNewNeverStarted(t *testing.T) {
	dir := t.TempDir()
	n, err := New(Config{DataDir: dir, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Error(err)
	}
	if err := n.Start(t.Context()); !errors.Is(err, tari.ErrClosed) {
		t.Errorf("Start after Close: %v", err)
	}
	folder, err := Open(Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer folder.Close()
	if err := folder.Start(t.Context()); err == nil {
		t.Error("an open folder started")
	}
}
