//go:build interop && unix

package interop

import (
	"os"
	"runtime"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// TestStoppedPeer: the Rust peer is stopped as by a debugger while messages go
// to it, so that its kernel takes what fits into the windows of TCP and nothing
// more. Each message has its result when a write has had its 30 s, the
// connection ends by keep-alive, nothing of it stays, and messages to somebody
// else arrive all the while.
func TestStoppedPeer(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") != "1" {
		t.Skip("a minute for each peer; TARI_LIBP2P_LONG=1 runs it")
	}
	const (
		count, size  = 300, 200_000
		results      = 31 * time.Second
		disconnected = 120 * time.Second
	)
	bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
		rust := startRust(t, e)
		us, other := startOurs(t, cfg), startOurs(t, cfg)
		if err := us.host.Connect(patient(t), infoOf(other)); err != nil {
			t.Fatal(err)
		}
		before := runtime.NumGoroutine()
		connect(t, us, rust, true)
		toRust(t, us, rust, 1000, 1)

		process := rust.cmd.Process
		if err := process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = process.Signal(syscall.SIGCONT) }) // so that it can be told to quit
		stopped := time.Now()

		reasons := make(chan messagingproto.Reason, count)
		for i := range count {
			err := us.msgs.SendAsync(peerID(t, rust), patternMessage(2, i, size), func(r messagingproto.Result) {
				reasons <- messagingproto.ReasonOf(r.Err)
			})
			if err != nil {
				t.Fatalf("message %d: %v", i, err)
			}
		}
		var ended atomic.Bool
		chatted := make(chan int)
		go func() {
			n := 0
			for ; !ended.Load(); n++ {
				if err := us.msgs.Send(t.Context(), other.host.ID(), patternMessage(3, n, 100)); err != nil {
					t.Errorf("message %d to the other peer: %v", n, err)
				}
				time.Sleep(100 * time.Millisecond)
			}
			chatted <- n
		}()

		tally := map[messagingproto.Reason]int{}
		for range count {
			tally[<-reasons]++
		}
		answered := time.Since(stopped)
		for us.host.Network().Connectedness(peerID(t, rust)) == network.Connected && time.Since(stopped) < disconnected {
			time.Sleep(100 * time.Millisecond)
		}
		gone := time.Since(stopped)
		ended.Store(true)
		n := <-chatted

		if answered > results {
			t.Errorf("the last result came after %v", answered)
		}
		if tally[messagingproto.SendTimeout] == 0 || tally[messagingproto.QueuedBehindTimeout] == 0 {
			t.Errorf("results: %v", tally)
		}
		if gone >= disconnected {
			t.Errorf("still connected after %v", gone)
		}
		if got := other.inbox.waitFor(t, "the messages to the other peer", 0, n); len(missingOf(got, 3, n, 100)) > 0 {
			t.Errorf("messages to the other peer are missing")
		}
		waitUntil(t, "the goroutines of the connection end", func() bool { return runtime.NumGoroutine() <= before })
		t.Logf("results: %v", tally)
		t.Logf("row: the %s Rust peer is stopped while we send it %d messages | a result for each ≤ 30 s, the connection ends ≤ 120 s, others do not notice, no goroutine left | "+
			"results after %s, ended after %s; %d messages to another peer meanwhile, all arrived; nothing left",
			e.name, count, answered.Round(100*time.Millisecond), gone.Round(100*time.Millisecond), n)
	})
}

// infoOf is where a node of ours listens.
func infoOf(n *ourNode) peer.AddrInfo {
	return peer.AddrInfo{ID: n.host.ID(), Addrs: n.host.Network().ListenAddresses()}
}
