//go:build interop

package interop

import (
	"fmt"
	"strconv"
	"sync"
	"testing"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// each runs f for every node in a subtest of its own, so many at once.
func each(t *testing.T, what string, nodes []*ourNode, atOnce int, f func(t *testing.T, i int, us *ourNode)) {
	t.Helper()
	slots := make(chan struct{}, atOnce)
	var all sync.WaitGroup
	for i, us := range nodes {
		all.Go(func() {
			slots <- struct{}{}
			defer func() { <-slots }()
			t.Run(what+"/"+strconv.Itoa(i), func(t *testing.T) { f(t, i, us) })
		})
	}
	all.Wait()
	if t.Failed() {
		t.FailNow()
	}
}

// TestManyPeers: 32 hosts of ours, as many as tari_comms takes from one source,
// are connected with one Rust peer, dialed from either side; all exchange
// messages with it both ways at once. All arrive in order, and none is banned.
func TestManyPeers(t *testing.T) {
	t.Parallel()
	const peers, count, size = 32, 20, 2000
	bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
		t.Parallel()
		rust := startRust(t, e)
		nodes := make([]*ourNode, peers)
		for i := range nodes {
			nodes[i] = startOurs(t, cfg)
		}
		each(t, "connect", nodes, 4, func(t *testing.T, i int, us *ourNode) {
			rust := rust.in(t)
			connect(t, us, rust, i%2 == 0)
			waitUntil(t, "the Rust peer lists us", func() bool { return listed(us, rust) })
		})
		each(t, "exchange", nodes, peers, func(t *testing.T, i int, us *ourNode) {
			rust := rust.in(t)
			ours, theirs := uint64(5000+i), uint64(6000+i)
			at := rust.at()
			reply := rust.start("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": count, "seed": theirs})
			for n := range count {
				if err := us.msgs.Send(patient(t), peerID(t, rust), patternMessage(ours, n, size)); err != nil {
					t.Fatalf("message %d: %v", n, err)
				}
			}
			for n := range count {
				var got event
				got, at = rust.next(at, fmt.Sprintf("our message %d of %d", n, count), func(ev event) bool {
					return isMessage(ev) && ev.NodeID == us.nodeID()
				})
				if got.SHA256 != sha256Hex(patternMessage(ours, n, size)) {
					t.Fatalf("message %d is another: %s", n, got.line)
				}
			}
			if missing := missingOf(us.inbox.waitFor(t, "Rust's messages", 0, count), theirs, count, size); len(missing) > 0 {
				t.Fatalf("of Rust's messages these are out of place: %v", missing)
			}
			if r := reply(); !r.OK {
				t.Fatalf("Rust's send: %s", r.line)
			}
			if failed := us.failed.all(); len(failed) > 0 {
				t.Fatalf("a connection failed: %v", failed[0].err)
			}
			notBanned(t, us, rust)
		})
		if n := len(rust.do("connections", nil).Connections); n < peers || rust.bansTold() > 0 {
			t.Errorf("%d connections of %d, %d bans", n, peers, rust.bansTold())
		}
	})
}
