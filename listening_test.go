package tari

import (
	"errors"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestUnstarted: a host that does not listen yet has no address, can dial, and is found by its handlers once it listens.
func TestUnstarted(t *testing.T) {
	there := startHost(t, Config{})
	cfg := Config{Listen: []ma.Multiaddr{ma.StringCast("/memory/0")}, AllowTestAddresses: true}
	h, err := NewUnstarted(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if got := h.Network().ListenAddresses(); len(got) != 0 {
		t.Fatalf("it listens at %v", got)
	}
	h.SetStreamHandler("/greet/1", func(s network.Stream) { _ = s.Close() })
	if err := h.Connect(t.Context(), peer.AddrInfo{ID: there.ID(), Addrs: there.Addrs()}); err != nil {
		t.Fatal(err)
	}
	if err := h.Network().ClosePeer(there.ID()); err != nil {
		t.Fatal(err)
	}

	if err := h.Listen(); err != nil {
		t.Fatal(err)
	}
	if err := h.Listen(); !errors.Is(err, ErrListening) {
		t.Errorf("a second Listen: %v", err)
	}
	if err := there.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
		t.Fatal(err)
	}
	s, err := there.NewStream(t.Context(), h.ID(), "/greet/1")
	if err != nil {
		t.Fatal(err)
	}
	_ = s.Close()
}

// TestUnstartedCloses: Close ends a host that never listened, and Listen does not wake it.
func TestUnstartedCloses(t *testing.T) {
	h, err := NewUnstarted(Config{Listen: []ma.Multiaddr{ma.StringCast("/memory/0")}, AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Error(err)
	}
	if err := h.Listen(); !errors.Is(err, ErrClosed) {
		t.Errorf("Listen after Close: %v", err)
	}
}
