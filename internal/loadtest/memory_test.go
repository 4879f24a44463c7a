//go:build linux

package loadtest

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// deaf are protocols whose handler never reads. There are several because the resource manager bounds the streams of each.
func deaf(i int) protocol.ID { return protocol.ID(fmt.Sprint("/test/deaf/", i%16)) }

// The windows of a peer: what it can make us keep on a connection.
const (
	window  = 256 * kib
	streams = 128 // a connection
)

// startDeaf starts a host whose handlers of deaf wait for the end of the test.
func startDeaf(t *testing.T, cfg tari.Config) *tari.Host {
	t.Helper()
	h := start(t, cfg)
	quit := make(chan struct{})
	t.Cleanup(func() { close(quit) })
	for i := range 16 {
		h.SetStreamHandler(deaf(i), func(s network.Stream) {
			<-quit
			_ = s.Reset()
		})
	}
	return h
}

// reserved is the memory for windows that the host has given out.
func reserved(t *testing.T, h *tari.Host) int64 {
	t.Helper()
	return h.Network().ResourceManager().(rcmgr.ResourceManagerState).Stat().System.Memory
}

// fill opens as many streams as the host lets it, and sends so many bytes on each. It returns how many there were.
func fill(s *dialect.Session, size int) (full int) {
	var whole atomic.Int64
	inParallel(streams+8, 16, func(i int) {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		st, err := s.OpenStream(ctx)
		if err != nil {
			return
		}
		_ = st.SetDeadline(time.Now().Add(patience))
		if _, err := tariproto.Select(st, deaf(i)); err != nil {
			_ = st.Reset()
			return
		}
		if _, err := st.Write(make([]byte, size)); err == nil {
			whole.Add(1)
		}
	})
	return int(whole.Load())
}

// Peers that open every stream they may, and are not read from, make the host keep no more than it accounts for; others do not notice, and
// all of it is given back.
func TestPinnedMemory(t *testing.T) {
	const peers = 3
	h := startDeaf(t, tari.Config{Listen: loopback})
	w := &worker{job: job{Net: 1, Sources: peers, Count: peers}, network: networks[0], host: hostPort(h.Addrs()[0])}
	sessions, failures := w.meetAll()
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	inParallel(peers, peers, func(i int) {
		if full := fill(sessions[i], kib); full == 0 || full > streams {
			t.Errorf("peer %d has %d full streams", i, full)
		}
	})
	for _, c := range h.Network().Conns() {
		if n := c.Stat().NumStreams; n > streams {
			t.Errorf("%d streams on a connection", n)
		}
	}
	if n := reserved(t, h); n < window || n > peers*streams*window {
		t.Errorf("%s are reserved", inMiB(n))
	}
	if err := w.dialOnce(1000); err != nil {
		t.Errorf("an honest peer: %v", err)
	}
	w.part(sessions)
	eventually(t, "all memory is given back", func() bool { return reserved(t, h) == 0 })
}

// A few peers that open all the streams they may, and say for none which protocol it is to be, take nothing from others.
func TestStreamsWithoutAProtocol(t *testing.T) {
	const peers = 10
	h := start(t, tari.Config{Listen: loopback})
	w := &worker{job: job{Net: 1, Sources: peers, Count: peers}, network: networks[0], host: hostPort(h.Addrs()[0])}
	sessions, failures := w.meetAll()
	if len(failures) > 0 {
		t.Fatal(failures)
	}
	defer w.part(sessions)
	inParallel(peers, peers, func(i int) {
		for {
			st, err := sessions[i].OpenStream(testContext(t))
			if err != nil {
				return // all that may be
			}
			_, _ = st.Write([]byte{1}) // the length of a negotiation that does not come
		}
	})
	for i := range 5 {
		if err := w.dialOnce(1000 + i); err != nil {
			t.Errorf("an honest peer: %v", err)
		}
	}
}

// pin is fill on Count connections.
func pin(w *worker) error {
	sessions, failures := w.meetAll()
	var full atomic.Int64
	inParallel(len(sessions), 8, func(i int) {
		if sessions[i] != nil {
			full.Add(int64(fill(sessions[i], window-kib))) // the rest is for the negotiation
		}
	})
	w.say("pinned", "failed", len(failures), "full", full.Load(), "alive", alive(sessions))
	for w.hear() != "end" {
	}
	w.part(sessions)
	return nil
}

// TestPinnedMemoryLong is one such peer, and a hundred at once.
func TestPinnedMemoryLong(t *testing.T) {
	if !long {
		t.Skip("a minute: set TARI_LIBP2P_LONG=1")
	}
	limit := rcmgr.DefaultLimits.AutoScale().ToPartialLimitConfig().System.Memory
	for _, peers := range []int{1, 100} {
		t.Run(fmt.Sprint(peers), func(t *testing.T) {
			h := startDeaf(t, tari.Config{Listen: loopback})
			before := settled(t)
			most := peak(t)
			hostile := spawn(t, h, job{Role: "pin", Net: 1, Sources: 50, Count: peers})
			pinned := hostile.expect("pinned")
			kept, highest, accounted := settled(t)-before, most()-before, reserved(t, h)
			name := fmt.Sprintf("%d peers fill the windows of all streams: ", peers)
			if peers == 1 {
				row("one peer fills the windows of all streams: memory", "≤ 32 MiB", fmt.Sprintf("%s kept, %s at most, %s accounted, %.0f streams",
					inMiB(kept), inMiB(highest), inMiB(accounted), pinned["full"]))
			} else {
				row(name+"memory", fmt.Sprintf("≤ %.0f MiB, the limit of the resource manager, + 15 %%", float64(limit)/mib),
					fmt.Sprintf("%s kept, %s at most, %s accounted, %.0f streams", inMiB(kept), inMiB(highest), inMiB(accounted), pinned["full"]))
				others := &worker{job: job{Net: 2, Sources: 250}, network: networks[0], host: hostPort(h.Addrs()[0])}
				good := 0
				for i := range 20 {
					if others.dialOnce(1000+i) == nil {
						good++
					}
				}
				row(name+"honest dials meanwhile", "all", fmt.Sprintf("%d of 20", good))
			}
			hostile.end()
			eventually(t, "all memory is given back", func() bool { return reserved(t, h) == 0 })
			if peers > 1 {
				row(name+"left when they are gone", "–", inMiB(settled(t)-before))
			}
		})
	}
}

// TestUnauthenticatedMemoryLong is what a peer can make us keep before we know who it is.
func TestUnauthenticatedMemoryLong(t *testing.T) {
	if !long {
		t.Skip("a minute: set TARI_LIBP2P_LONG=1")
	}
	const many = 1000
	h := start(t, tari.Config{Listen: loopback, Limits: counted(tari.Limits{Inbound: many, Handshakes: many, HandshakesPerSource: many})})
	before, others := settled(t), descriptors(t)
	strangers := spawn(t, h, job{Role: "stall", Kind: "stuffed", Net: 1, Sources: 250, Count: many})
	strangers.expect("stalled")
	var most int64 // of each, while most of them are there
	for range 20 { // until their time is over
		time.Sleep(time.Second / 2)
		held := int64(descriptors(t) - others)
		if kept := settled(t) - before; held >= many/2 {
			most = max(most, kept/held)
		}
	}
	strangers.expect("closed")
	if most < 48<<10 {
		t.Errorf("%d bytes of each: less than the frame that it sent, so that few got that far; is the machine busy?", most)
	}
	row("a peer that proved a key and sends the longest frame but its last byte: memory", "≤ 64 KiB", inKiB(most))
}
