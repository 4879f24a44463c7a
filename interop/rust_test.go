//go:build interop

package interop

import (
	"fmt"
	"testing"
)

// TestRustWithRust checks the harness itself: two peers of an era talk with
// each other through it.
func TestRustWithRust(t *testing.T) {
	for _, e := range []era{modern, seed} {
		t.Run(e.name, func(t *testing.T) {
			a, b := startRust(t, e), startRust(t, e)
			a.do("dial", map[string]any{"public_key": b.ready.PublicKey, "addresses": []string{b.ready.Address}})
			b.wait("connected", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == a.ready.NodeID })

			for i, size := range []int{1, 1024, 65_519, 65_520, 1 << 20} {
				from := b.at()
				a.do("send", map[string]any{"node_id": b.ready.NodeID, "size": size, "seed": i})
				got := b.waitFrom(from, fmt.Sprintf("a message of %d bytes", size), isMessage)
				if want := sha256Hex(patternMessage(uint64(i), 0, size)); got.SHA256 != want || got.Size != size {
					t.Fatalf("got %d bytes %s, want %d bytes %s", got.Size, got.SHA256, size, want)
				}
			}

			const size = 1 << 20
			got := a.do("duplex", map[string]any{"node_id": b.ready.NodeID, "size": size, "seed": 7})
			if want := sha256Hex(patternMessage(8, 0, size)); got.SHA256 != want {
				t.Fatalf("duplex: got %d bytes %s, want %s", got.Received, got.SHA256, want)
			}
			stored := b.do("peer", map[string]any{"public_key": a.ready.PublicKey})
			if !stored.Found || stored.Banned || stored.NodeID != a.ready.NodeID || len(stored.storedPeer.Addresses) == 0 {
				t.Fatalf("stored: %+v", stored.storedPeer)
			}
			if e == modern && !stored.SignatureValid {
				t.Fatal("the stored signature is not valid")
			}
		})
	}
}

func isMessage(ev event) bool { return ev.Event == "message" }
