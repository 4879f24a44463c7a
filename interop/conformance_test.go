//go:build interop

package interop

import (
	"testing"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/conformance"
)

// checksOfConformance is how many there are.
const checksOfConformance = 23

// onLoopback is what cannot be checked here with either crate.
const onLoopback = "has at most 4 handshakes of one address"

// seedFails are the rules that the crate of 2020 does not keep, by the names of their checks, and why.
var seedFails = map[string]string{
	"closes on half a message, within the 15 s of a handshake": "it gives Noise 30 s",
	"gives up on silence, within the 15 s of a handshake":      "its limit is on reading the claim, and leaves the connection as it is",
	"ends the connection on an undefined flag":                 "it drops bits that it does not know",
	"ends the connection on a frame of more than 8 MiB":        "it stops reading that stream, and bans nobody",
	"ends the session on a handshake of more than 1 KiB":       "it has one limit for all frames of RPC, 4 MiB",
	"ends the session on a frame above the limit":              "its server gives up, and the stream's end does not show",
}

// TestConformance: what the command conformance checks is what today's crate does, and that of 2020 but for what came later. A rule that it
// is said not to keep, and keeps, is a fault of this list.
func TestConformance(t *testing.T) {
	for _, c := range []struct {
		era     era
		network dialect.Network
		fails   map[string]string
		skips   map[string]bool
	}{
		{modern, dialect.Mainnet, nil, map[string]bool{onLoopback: true}},
		{seed, dialect.Ridcully, seedFails, map[string]bool{
			onLoopback: true, "refuses the signature of another key": true, "answers a ping": true, "has at most 128 streams": true,
		}},
	} {
		t.Run(c.era.name, func(t *testing.T) {
			t.Parallel()
			to := conformance.Target{Peer: rustAddress(t, startRust(t, c.era)), Network: c.network, Hostile: true, Service: rpcService}
			seen := map[conformance.Verdict]int{}
			err := conformance.Run(t.Context(), to, func(r conformance.Result) {
				t.Logf("%-12s %-66s %-8s %s", r.Area, r.Check, r.Verdict, r.Detail)
				seen[r.Verdict]++
				_, mayFail := c.fails[r.Check]
				want := conformance.OK
				switch {
				case mayFail:
					want = conformance.Failed
				case c.skips[r.Check]:
					want = conformance.Skipped
				}
				if r.Verdict != want {
					t.Errorf("%s: %s: %s %q, want %s", r.Area, r.Check, r.Verdict, r.Detail, want)
				}
			})
			passed := checksOfConformance - len(c.fails) - len(c.skips)
			if err != nil || seen[conformance.OK] != passed || seen[conformance.Failed] != len(c.fails) || seen[conformance.Skipped] != len(c.skips) {
				t.Errorf("%v, %v", seen, err)
			}
		})
	}
}
