//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

const (
	// churners is how many lives of ours there are at once. Each has at most one
	// dial in flight and one connection: as many dials as tari_comms allows one
	// source, and far fewer connections.
	churners = 4
	// churnPace is how often each of them begins another life, at most.
	churnPace = 200 * time.Millisecond
)

// ending is how a visit ends.
type ending int

const (
	weClose  ending = iota // the connection; the host lives on
	weEnd                  // the whole host
	rustEnds               // the Rust peer disconnects
	killed                 // the TCP connection is reset under both
	endings
)

func (e ending) String() string {
	return [...]string{"we close", "we end", "it disconnects", "killed"}[e]
}

// churn is what happens around one Rust peer whose visitors come and go.
type churn struct {
	rust *rustPeer
	cfg  tari.Config

	lives, visits atomic.Int64
	ours, theirs  atomic.Int64 // messages that had to arrive and did
	late          atomic.Int64 // messages of Rust's that it had for us and we did not see, or not soon
	redials       atomic.Int64 // answers of Rust's to "dial" that were no connection, or an old one
	failed        atomic.Int64 // dials of ours
}

func churnLength(t *testing.T) time.Duration {
	t.Helper()
	s := os.Getenv("TARI_LIBP2P_CHURN")
	if s == "" {
		return time.Minute
	}
	d, err := time.ParseDuration(s)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// TestChurn: hosts of ours come and go for a minute, or as long as
// TARI_LIBP2P_CHURN says: dialed from either side, with messages both ways,
// ended in every way, some in the middle of traffic, some to come back with the
// same key. The Rust peer bans none of them, no dial of ours fails, and what we
// send arrives.
//
// What the Rust peer sends is not held to that. Both crates now and then hand
// a message to a connection that has just ended, 0.8.1 for seconds after a
// reset; it is sent again and counted.
func TestChurn(t *testing.T) {
	t.Parallel()
	length := churnLength(t)
	bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
		t.Parallel()
		c := &churn{rust: startRust(t, e), cfg: cfg}
		c.rust.keepLast(100_000)
		var next atomic.Int64
		var all sync.WaitGroup
		end := time.Now().Add(length)
		for range churners {
			all.Go(func() {
				pace := time.NewTicker(churnPace)
				defer pace.Stop()
				for time.Now().Before(end) && !t.Failed() {
					n := int(next.Add(1))
					t.Run(strconv.Itoa(n), func(t *testing.T) { c.life(t, n) })
					<-pace.C
				}
			})
		}
		all.Wait()
		bans := c.rust.bansTold()
		if bans > 0 || c.failed.Load() > 0 {
			t.Errorf("%d bans, %d failed dials", bans, c.failed.Load())
		}
		t.Logf("row: hosts of ours come and go around the %s Rust peer for %v | no ban, no failed dial of ours, our messages arrive | "+
			"%d bans, %d failed dials; %d lives with %d connections, %d messages to Rust and %d from it all arrived; %d of its own came late or never, %d of its dials were made again",
			e.name, length, bans, c.failed.Load(), c.lives.Load(), c.visits.Load(), c.ours.Load(), c.theirs.Load(), c.late.Load(), c.redials.Load())
	})
}

// life is one host of ours from its start to its end. Its number says what
// happens; any sixteen in a row have each combination once.
func (c *churn) life(t *testing.T, n int) {
	us := startOurs(t, c.cfg)
	rust := c.rust.in(t)
	weDial, end, busy := n%2 == 0, ending(n/2%int(endings)), n/8%2 == 0
	t.Logf("we dial: %v, busy: %v, end: %v", weDial, busy, end)

	r := c.come(t, us, rust, weDial, end == killed)
	c.talk(t, us, rust, uint64(n)<<8)
	if busy {
		c.leaveBusy(t, us, rust, r, end, uint64(n)<<8)
	} else {
		old := us.host.Network().ConnsToPeer(peerID(t, rust))
		c.leave(t, us, rust, r, end)
		if end == weEnd {
			us.start()
		}
		// Either side may dial again by itself, with messages that may not have
		// arrived.
		waitUntil(t, "we have seen the end", func() bool {
			return !slices.ContainsFunc(old, func(conn network.Conn) bool { return !conn.IsClosed() })
		})
		waitUntil(t, "Rust has seen the end", func() bool { return connected(us, rust) || !listed(us, rust) })
		c.comeAgain(t, us, rust, !weDial)
		c.talk(t, us, rust, uint64(n)<<8+100)
	}
	for _, f := range us.failed.all() {
		if f.dir == network.DirOutbound && !errors.Is(f.err, context.Canceled) { // by the end of our host
			c.failed.Add(1)
			t.Errorf("a dial of ours failed: %v", f.err)
		}
	}
	for _, o := range us.offences.all() {
		t.Errorf("we took offence: %v", o.err)
	}
	notBanned(t, us, rust)
	c.lives.Add(1)
}

// come makes the first connection of a host, through a relay if it is to be
// killed.
func (c *churn) come(t *testing.T, us *ourNode, rust *rustPeer, weDial, relayed bool) (r *relay) {
	t.Helper()
	info, address := addrInfo(t, rust), us.address()
	if relayed && weDial {
		r = startRelay(t, tcpOf(t, rust.ready.Address))
		info.Addrs = []ma.Multiaddr{ma.StringCast(r.address)}
	} else if relayed {
		r = startRelay(t, tcpOf(t, us.address()))
		address = r.address
	}
	if weDial {
		if err := us.host.Connect(patient(t), info); err != nil {
			t.Fatalf("we dial: %v", err)
		}
	} else {
		rust.do("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{address}})
	}
	waitUntil(t, "both sides are connected", func() bool { return connected(us, rust) && listed(us, rust) })
	c.visits.Add(1)
	return r
}

// comeAgain connects a host that was there before. The Rust peer may answer
// with a connection that has just ended.
func (c *churn) comeAgain(t *testing.T, us *ourNode, rust *rustPeer, weDial bool) {
	t.Helper()
	us.host.Peerstore().ClearAddrs(peerID(t, rust)) // of a relay that is no more
	tries := 0
	waitUntil(t, "both sides are connected again", func() bool {
		if connected(us, rust) {
			return listed(us, rust)
		}
		tries++
		if !weDial {
			rust.try("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}})
		} else if err := us.host.Connect(patient(t), addrInfo(t, rust)); err != nil {
			t.Fatalf("we dial: %v", err)
		}
		return false
	})
	if !weDial {
		c.redials.Add(int64(max(0, tries-1)))
	}
	c.visits.Add(1)
}

// talk exchanges messages both ways: ours arrive, and three of Rust's.
func (c *churn) talk(t *testing.T, us *ourNode, rust *rustPeer, series uint64) {
	t.Helper()
	from := rust.at()
	for i, size := range []int{10, 3000, 70_000} {
		body := patternMessage(series, i, size)
		if err := us.msgs.Send(patient(t), peerID(t, rust), body); err != nil {
			t.Fatalf("send of %d bytes: %v", size, err)
		}
		want := sha256Hex(body)
		rust.waitFrom(from, fmt.Sprintf("our message of %d bytes", size), func(ev event) bool {
			return isMessage(ev) && ev.NodeID == us.nodeID() && ev.SHA256 == want
		})
		c.ours.Add(1)
	}
	heard := 0
	waitUntil(t, "three messages of Rust's", func() bool {
		series++
		want := sha256Hex(patternMessage(series, 0, 2000))
		rust.try("send", map[string]any{"node_id": us.nodeID(), "size": 2000, "seed": series})
		for soon := time.Now().Add(time.Second); time.Now().Before(soon); time.Sleep(time.Millisecond) {
			if slices.ContainsFunc(us.inbox.all(), func(m message) bool { return m.sha256 == want }) {
				heard++
				c.theirs.Add(1)
				return heard == 3
			}
		}
		c.late.Add(1)
		return false
	})
}

// leave ends the connection.
func (c *churn) leave(t *testing.T, us *ourNode, rust *rustPeer, r *relay, end ending) {
	t.Helper()
	switch end {
	case weClose:
		if err := us.host.Network().ClosePeer(peerID(t, rust)); err != nil {
			t.Fatal(err)
		}
	case weEnd:
		us.close()
	case rustEnds:
		waitUntil(t, "the Rust peer disconnects", func() bool {
			return rust.try("disconnect", map[string]any{"node_id": us.nodeID()}).OK || !connected(us, rust)
		})
	case killed:
		r.kill()
	}
}

// leaveBusy ends the connection while both sides send. Unless our host ends with
// it, each message of ours comes to an end too, on another connection if need be.
func (c *churn) leaveBusy(t *testing.T, us *ourNode, rust *rustPeer, r *relay, end ending, series uint64) {
	t.Helper()
	const count, size = 20, 2000
	rust.start("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": count, "seed": series + 200})
	var results record[messagingproto.Result]
	for i := range count {
		if err := us.msgs.SendAsync(peerID(t, rust), patternMessage(series+200, i, size), results.add); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	c.leave(t, us, rust, r, end)
	for i, got := range results.waitFor(t, "what became of our messages", 0, count) {
		if got.Err != nil && end != weEnd {
			t.Errorf("message %d: %v", i, got.Err)
		}
	}
}

// connected is what our side says.
func connected(us *ourNode, rust *rustPeer) bool {
	return us.host.Network().Connectedness(peerID(rust.t, rust)) == network.Connected
}

// listed is what the Rust peer says.
func listed(us *ourNode, rust *rustPeer) bool {
	return slices.ContainsFunc(rust.do("connections", nil).Connections, func(c connection) bool { return c.NodeID == us.nodeID() })
}
