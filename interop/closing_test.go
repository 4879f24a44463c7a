//go:build interop

package interop

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

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

// TestRustDisconnects: what the Rust peer handed to its socket before it
// disconnected arrives, all of it and in order.
//
// That is not always all that it calls sent: 6.3.0-pre.2 calls a message sent
// when its muxer has it, 0.8.1 when its queue has it, and both sometimes drop
// the last of these when they disconnect. So the bytes that leave it are
// counted on their way, and what is lost is in the log.
func TestRustDisconnects(t *testing.T) {
	const (
		count, size = 300, 20_000
		wireSize    = size + 100 // a message with all headers around it, at most
		handshake   = 2000       // what is said before the first message, at most
	)
	for _, c := range []struct {
		e   era
		cfg tari.Config
	}{{modern, tari.Config{}}, {seed, seedNet()}} {
		t.Run(c.e.name, func(t *testing.T) {
			rust := startRust(t, c.e)
			rust.patience = 5 * patience // each of these waits is for several megabytes
			arrived := []int{}
			for run := range closingRuns(t) {
				us := startOurs(t, c.cfg)
				from := rust.at()
				weDial := run%2 == 0
				var r *relay
				handed := func() int64 { return r.fromOther.Load() }
				if weDial {
					r = startRelay(t, tcpOf(t, rust.ready.Address))
					via := addrInfo(t, rust)
					via.Addrs = []ma.Multiaddr{ma.StringCast(r.address)}
					if err := us.host.Connect(patient(t), via); err != nil {
						t.Fatal(err)
					}
				} else {
					r = startRelay(t, tcpOf(t, us.address()))
					handed = func() int64 { return r.fromDialer.Load() }
					rust.do("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{r.address}})
				}
				rust.waitFrom(from, "the connection", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == us.nodeID() })

				series := uint64(1000 + run)
				rust.do("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": count, "seed": series})
				rust.do("disconnect", map[string]any{"node_id": us.nodeID()})
				select {
				case <-r.done:
				case <-time.After(rust.patience):
					t.Fatalf("run %d: the connection did not end", run)
				}
				want := int((handed() - handshake) / wireSize)
				if !us.inbox.reach(want) {
					t.Fatalf("run %d: Rust handed %d bytes to its socket, at least %d messages; %d arrived", run, handed(), want, us.inbox.len())
				}
				us.close() // waits for the handler
				got := us.inbox.all()
				if missing := missingOf(got, series, len(got), size); len(missing) > 0 {
					t.Fatalf("run %d: of %d messages these are out of place: %v", run, len(got), missing)
				}
				arrived = append(arrived, len(got))
			}
			t.Logf("arrived of the %d that Rust calls sent: %v", count, arrived)
			t.Logf("row: the %s Rust peer sends %d messages and disconnects | all that it gave to its socket arrive | %d runs, none lost", c.e.name, count, len(arrived))
		})
	}
}

// missingOf lists the places of a series at which something else arrived, or
// nothing.
func missingOf(got []message, series uint64, n, size int) (missing []int) {
	for i := range n {
		if i >= len(got) || got[i].sha256 != sha256Hex(patternMessage(series, i, size)) {
			missing = append(missing, i)
		}
	}
	return missing
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
			t.Logf("row: we send %d messages to the %s Rust peer and close | all arrive | %d runs, none lost", c.count, c.e.name, closingRuns(t))
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
			t.Logf("row: we and the %s Rust peer dial and send at the same moment | none of ours lost | %d rounds, none lost; of %d that Rust calls sent %d arrived",
				c.e.name, closingRuns(t), sentByRust, arrivedHere)
		})
	}
}
