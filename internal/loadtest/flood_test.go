//go:build linux

package loadtest

import (
	"context"
	"fmt"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// A flood of valid first messages from many sources, each of which tries more than it may: nobody else is shut out, and what is refused
// is refused for these reasons and no other.
func TestHandshakeFlood(t *testing.T) {
	h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{Handshakes: 20})})
	at := hostPort(h.Addrs()[0])
	strangers := &worker{job: job{Kind: "hold", Net: 1, Sources: 8, Count: 5, Pause: 20}, network: networks[0], host: at}
	ctx, cancel := context.WithCancel(context.Background())
	flood, err := strangers.storm(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer flood.Wait()
	defer cancel()
	eventually(t, "the house is full", func() bool { return h.Refusals()[tari.RefusedHandshakes] > 0 })
	others := &worker{job: job{Net: 2, Sources: 250}, network: networks[0], host: at}
	for i := range 10 {
		if err := others.dialOnce(1000 + i); err != nil {
			t.Errorf("honest dial %d: %v", i, err)
		}
	}
	cancel()
	flood.Wait()
	for reason, n := range h.Refusals() {
		switch reason {
		case tari.RefusedHandshakes, tari.RefusedHandshakesPerSource, tari.RefusedDisplaced:
		default:
			t.Errorf("%d are refused for %q", n, reason)
		}
	}
	if err := others.dialOnce(2000); err != nil {
		t.Errorf("after the flood: %v", err)
	}
}

// TestHandshakeFloodLong is five minutes of it, then garbage, then good handshakes from everywhere.
func TestHandshakeFloodLong(t *testing.T) {
	if !long {
		t.Skip("six minutes: set TARI_LIBP2P_LONG=1")
	}
	for _, c := range []struct {
		kind string
		runs time.Duration
	}{{"mixed", 300 * time.Second}, {"garbage", 20 * time.Second}, {"full", 20 * time.Second}} {
		t.Run(c.kind, func(t *testing.T) {
			h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{})})
			dialing := spawn(t, h, job{Role: "honest", Net: 2, Sources: 250, Pause: 200})
			dialing.expect("dialing")
			before := settled(t)
			most := peak(t)
			storm := spawn(t, h, job{Role: "flood", Kind: c.kind, Net: 1, Sources: 64, Count: 4})
			storm.expect("flooding")
			began, used := time.Now(), cpu()
			first := storm.ask("so far", "flooded")
			time.Sleep(c.runs)
			last := storm.ask("so far", "flooded")
			took, used := time.Since(began), cpu()-used
			grown := most() - before
			others := dialing.ask("end", "dialed")
			dialing.end()
			storm.ask("end", "flooded")
			storm.end()
			rate := func(what string) float64 { return (last[what] - first[what]) / took.Seconds() }
			name := "64 sources at full speed, " + map[string]string{
				"mixed": "valid first messages", "garbage": "garbage", "full": "good handshakes",
			}[c.kind]
			row(name+": honest dials", "≥ 99 %", fmt.Sprintf("%.1f %% of %.0f, half within %.0f ms, 99 %% within %.0f ms, the slowest %.0f ms",
				100*others["good"]/others["dials"], others["dials"], 1000*others["p50"], 1000*others["p99"], 1000*others["max"]))
			row(name+": processor of the host", "≤ 1 core", fmt.Sprintf("%.2f cores", used.Seconds()/took.Seconds()))
			row(name+": memory", "≤ 64 MiB more", inMiB(grown))
			switch c.kind {
			case "mixed":
				row(name+": a second", "–", fmt.Sprintf("%.0f connections, %.0f answered", rate("tried"), rate("answered")))
			case "garbage":
				row(name+": refused a second", "≥ 5,000", fmt.Sprintf("%.0f, of the host's processor %.0f µs each", rate("tried"),
					1e6*used.Seconds()/took.Seconds()/rate("tried")))
			case "full":
				row(name+": a second", "≥ 250, ≥ 500 for one side alone", fmt.Sprintf("%.0f, of the host's processor %.2f ms each, all that were refused included",
					rate("answered"), 1e3*used.Seconds()/took.Seconds()/rate("answered")))
			}
			t.Logf("refused: %v", h.Refusals())
		})
	}
}
