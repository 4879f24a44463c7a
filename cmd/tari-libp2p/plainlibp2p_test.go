package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
)

// TestRunLibp2p: with --libp2p a peer of plain libp2p finds the node at the address that run prints, under the same id after a restart,
// and hears by identify who is there; a Tari peer comes to the same port. Without the option the first byte of such a peer is refused.
func TestRunLibp2p(t *testing.T) {
	dir := t.TempDir()
	var ready struct {
		Peer      string
		Addresses []string
	}
	for range 2 {
		last := ready.Peer
		n := startRun(t, dir, "--json", "--libp2p")
		if err := json.Unmarshal([]byte(n.line(`"event":"libp2p"`)), &ready); err != nil || len(ready.Addresses) == 0 {
			t.Fatal(err, ready)
		}
		if last != "" && ready.Peer != last {
			t.Errorf("was %s, is %s", last, ready.Peer)
		}
		info, err := peer.AddrInfoFromString(ready.Addresses[0])
		if err != nil || info.ID.String() != ready.Peer {
			t.Fatal(info, err)
		}
		plain, us := plainPeer(t)
		if err := us.Connect(t.Context(), *info); err != nil {
			t.Fatal(err)
		}
		if line := n.line(`"event":"connected"`); !strings.Contains(line, plain.ID().String()) || !strings.Contains(line, `"dialect":"libp2p"`) {
			t.Error(line)
		}
		if r := command(t, "ping", n.peer, "--json"); r.code != exitOK {
			t.Errorf("a Tari peer at the same port: %+v", r)
		}
		if code := n.stop(); code != exitOK {
			t.Errorf("exit code %d: %s", code, n.errs)
		}
	}
	if s, err := os.Stat(filepath.Join(dir, plainKeyName)); err != nil || s.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", s.Mode(), err)
	}

	n := startRun(t, dir)
	_, us := plainPeer(t)
	_, addr, _ := strings.Cut(n.peer, "::")
	id, err := peer.Decode(ready.Peer)
	if err != nil {
		t.Fatal(err)
	}
	if err := us.Connect(t.Context(), peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(addr)}}); err == nil {
		t.Error("a peer of plain libp2p came in without the option")
	}
}

// plainPeer is a host that dials peers of plain libp2p as one of them.
func plainPeer(t *testing.T) (*plainlibp2p.Upgrader, *tari.Host) {
	t.Helper()
	plain, err := plainlibp2p.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	h, err := tari.New(tari.Config{AllowTestAddresses: true, Limits: tari.Limits{Libp2p: plain}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = h.Close() })
	return plain, h
}

// TestPlainKey: a file that is no key, or open to others, is not replaced; the error says the cure.
func TestPlainKey(t *testing.T) {
	for text, mode := range map[string]os.FileMode{"nonsense": 0o600, "secret": 0o644} {
		dir := t.TempDir()
		path := filepath.Join(dir, plainKeyName)
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		r := command(t, "run", "--libp2p", "--no-dns-seeds", "--listen", "", "--data-dir", dir)
		if r.code == exitOK || !strings.Contains(r.err, "move it away") && !strings.Contains(r.err, "chmod") {
			t.Errorf("%s: %+v", text, r)
		}
		if got, err := os.ReadFile(path); err != nil || string(got) != text {
			t.Errorf("%s: is %q now, %v", text, got, err)
		}
	}
}
