//go:build interop

package interop

import (
	"testing"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/conformance"
)

// TestConformance: what the command conformance checks is what the crate does.
func TestConformance(t *testing.T) {
	rust := startRust(t, modern)
	at, err := tari.ParseAddress(rust.ready.PublicKey + "::" + rust.ready.Address)
	if err != nil {
		t.Fatal(err)
	}
	passed := 0
	err = conformance.Run(t.Context(), conformance.Target{Peer: at, Network: dialect.Mainnet, Hostile: true, Service: rpcService}, func(r conformance.Result) {
		t.Logf("%-12s %-66s %-8s %s", r.Area, r.Check, r.Verdict, r.Detail)
		switch r.Verdict {
		case conformance.OK:
			passed++
		case conformance.Failed:
			t.Errorf("%s: %s", r.Check, r.Detail)
		}
	})
	if err != nil || passed < 20 {
		t.Errorf("%d checks passed, %v", passed, err)
	}
}
