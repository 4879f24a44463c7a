//go:build interop

package interop

import (
	"fmt"
	"os"
	"strconv"
	"testing"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// closingRuns is how often each way of closing is tried.
func closingRuns(t *testing.T) int {
	t.Helper()
	if s := os.Getenv("TARI_LIBP2P_CLOSING_RUNS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	return 10
}

// TestRustDisconnects: what the Rust peer wrote before it disconnected arrives,
// all of it and in order.
//
// The crate of 2020 calls a message sent when it has taken it, before it writes
// it, and drops what it has not written when it disconnects. There, what
// arrives must be the first so many, without a gap; how many is in the log.
func TestRustDisconnects(t *testing.T) {
	const size = 20_000
	for _, c := range []struct {
		e     era
		cfg   tari.Config
		count int
		whole bool
	}{
		{modern, tari.Config{}, 300, true},
		{seed, seedNet(), 300, false},
	} {
		t.Run(c.e.name, func(t *testing.T) {
			rust := startRust(t, c.e)
			arrived := []int{}
			for run := range closingRuns(t) {
				us := startOurs(t, c.cfg)
				connect(t, us, rust, run%2 == 0)
				series := uint64(1000 + run)
				rust.do("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": c.count, "seed": series})
				rust.do("disconnect", map[string]any{"node_id": us.nodeID()})

				want := c.count
				if !c.whole {
					waitUntil(t, "the end of the connection", func() bool {
						_, connected := us.host.Claim(peerID(t, rust))
						return !connected
					})
					us.close() // waits for the handler
					want = us.inbox.len()
				}
				got := us.inbox.waitFor(t, fmt.Sprintf("all messages of run %d", run), 0, want)
				for i, m := range got {
					if m.sha256 != sha256Hex(patternMessage(series, i, size)) {
						t.Fatalf("run %d: message %d of %d is not the one that was sent", run, i, len(got))
					}
				}
				arrived = append(arrived, len(got))
			}
			t.Logf("arrived of %d: %v", c.count, arrived)
		})
	}
}

// TestWeClose: every message that Send took arrives, though we close at once.
// Fewer go to the crate of 2020: it takes ten in a tenth of a second, and we
// do not wait longer than two seconds.
func TestWeClose(t *testing.T) {
	const size = 20_000
	for _, c := range []struct {
		e     era
		cfg   tari.Config
		count int
	}{
		{modern, tari.Config{}, 200},
		{seed, seedNet(), 60},
	} {
		t.Run(c.e.name, func(t *testing.T) {
			rust := startRust(t, c.e)
			for run := range closingRuns(t) {
				us := startOurs(t, c.cfg)
				connect(t, us, rust, run%2 == 0)
				series := uint64(2000 + run)
				at := rust.at()
				for i := range c.count {
					if err := us.msgs.Send(patient(t), peerID(t, rust), patternMessage(series, i, size)); err != nil {
						t.Fatalf("run %d: message %d: %v", run, i, err)
					}
				}
				us.close()
				for i := range c.count {
					var got event
					got, at = rust.next(at, fmt.Sprintf("run %d: message %d of %d", run, i, c.count), isMessage)
					if got.SHA256 != sha256Hex(patternMessage(series, i, size)) {
						t.Fatalf("run %d: message %d is not the one that was sent: %s", run, i, got.line)
					}
				}
			}
		})
	}
}

// TestSimultaneousDials: both sides dial and send at the same moment. Of ours
// nothing is lost; what the Rust side calls sent and does not arrive is
// counted, for it may have died with a connection that lost the tie.
func TestSimultaneousDials(t *testing.T) {
	const count, size = 20, 2000
	for _, c := range []struct {
		e   era
		cfg tari.Config
	}{{modern, tari.Config{}}, {seed, seedNet()}} {
		t.Run(c.e.name, func(t *testing.T) {
			sentByRust, arrivedHere := 0, 0
			for run := range closingRuns(t) {
				rust, us := startRust(t, c.e), startOurs(t, c.cfg)
				rust.do("add_peer", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}})
				us.host.Peerstore().AddAddrs(peerID(t, rust), addrInfo(t, rust).Addrs, 10*patience)
				ours, theirs := uint64(3000+run), uint64(4000+run)

				reply := rust.start("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": count, "seed": theirs})
				for i := range count {
					if err := us.msgs.Send(patient(t), peerID(t, rust), patternMessage(ours, i, size)); err != nil {
						t.Fatalf("run %d: message %d: %v", run, i, err)
					}
				}
				sentByRust += reply().Sent

				missing := map[string]int{}
				for i := range count {
					missing[sha256Hex(patternMessage(ours, i, size))] = i
				}
				for at := 0; len(missing) > 0; {
					var got event
					got, at = rust.next(at, fmt.Sprintf("run %d: %d of our messages: %v", run, len(missing), missing), isMessage)
					delete(missing, got.SHA256)
				}
				us.close()
				rust.stop()
				arrivedHere += us.inbox.len()
			}
			t.Logf("ours: none lost; Rust's: %d arrived of %d that it calls sent", arrivedHere, sentByRust)
		})
	}
}
