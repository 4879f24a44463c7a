//go:build interop

package interop

import (
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// bothEras runs a test against each of the two crates.
func bothEras(t *testing.T, f func(t *testing.T, e era, cfg tari.Config)) {
	t.Helper()
	for _, c := range []struct {
		e   era
		cfg tari.Config
	}{{modern, tari.Config{}}, {seed, seedNet()}} {
		t.Run(c.e.name, func(t *testing.T) { f(t, c.e, c.cfg) })
	}
}

// TestManyToStoppedPeer: 1,001 messages to a peer that has ended; every one
// comes back with its reason.
func TestManyToStoppedPeer(t *testing.T) {
	bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
		rust := startRust(t, e)
		us := startOurs(t, cfg)
		connect(t, us, rust, true)
		toRust(t, us, rust, 100, 1)
		rust.stop()
		waitUntil(t, "we notice", func() bool { return us.host.Network().Connectedness(peerID(t, rust)) != network.Connected })

		messages := make([][]byte, 1001)
		for i := range messages {
			messages[i] = patternMessage(5, i, 256)
		}
		count := map[messagingproto.Reason]int{}
		for i, r := range us.msgs.SendMany(patient(t), peerID(t, rust), messages) {
			if r.Err == nil {
				t.Errorf("message %d counts as sent", i)
			}
			count[messagingproto.ReasonOf(r.Err)]++
		}
		if count[messagingproto.DialFailed] < 500 || count[messagingproto.DialFailed]+count[messagingproto.QueueFull] != 1001 {
			t.Errorf("the reasons: %v", count)
		}
		t.Logf("the reasons: %v", count)
		if st := us.msgs.Stats(); st.Queued != 0 || st.QueuedBytes != 0 {
			t.Errorf("left in the queue: %+v", st)
		}
	})
}

// flow sends numbered messages one after the other, each again until it counts
// as sent.
type flow struct {
	series uint64
	size   int
	stop   chan struct{}
	ended  chan struct{}
	gate   sync.Mutex // held while a message is sent, and to hold the flow up

	mu      sync.Mutex
	sent    int                           // messages that counted as sent
	refused map[messagingproto.Reason]int // what its tries before that were told
}

// easy is a pace that either era takes: the crate of 2020 takes ten messages in
// 100 ms and leaves the rest in the stream.
const easy = 12 * time.Millisecond

func startFlow(us *ourNode, to peer.ID, series uint64, each time.Duration) *flow {
	f := &flow{
		series: series, size: 2000, stop: make(chan struct{}), ended: make(chan struct{}),
		refused: map[messagingproto.Reason]int{},
	}
	go func() {
		defer close(f.ended)
		pace := time.NewTicker(each)
		defer pace.Stop()
		for i := 0; ; {
			select {
			case <-f.stop:
				return
			case <-pace.C:
			}
			f.gate.Lock()
			err := us.msgs.Send(us.t.Context(), to, patternMessage(series, i, f.size))
			f.mu.Lock()
			if err != nil {
				f.refused[messagingproto.ReasonOf(err)]++
			} else {
				f.sent++
				i++
			}
			f.mu.Unlock()
			f.gate.Unlock()
		}
	}()
	return f
}

func (f *flow) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.sent
}

func (f *flow) failures() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return sum(f.refused)
}

// arrived says how often each message of the flow came to any of the peers.
func (f *flow) arrived(peers ...*rustPeer) []int {
	place := map[string]int{}
	for i := range f.count() {
		place[sha256Hex(patternMessage(f.series, i, f.size))] = i
	}
	got := make([]int, len(place))
	for _, p := range peers {
		p.mu.Lock()
		for _, ev := range p.events {
			if i, ours := place[ev.SHA256]; ours && isMessage(*ev) {
				got[i]++
			}
		}
		p.mu.Unlock()
	}
	return got
}

// restarted runs a flow to a Rust peer that ends, in the way that is given, and
// comes back. It returns the places of the messages that never arrived, and how
// many had been sent when we saw the end of the connection.
func restarted(t *testing.T, e era, cfg tari.Config, pace time.Duration, end func(*rustPeer, *flow)) (missing []int, before int) {
	t.Helper()
	const each = 100 // messages before and after
	args := []string{"--data-dir", t.TempDir(), "--secret-key", fmt.Sprintf("%x", newKey(t).Bytes())}
	first := startRust(t, e, args...)
	us := startOurs(t, cfg)
	connect(t, us, first, true)
	to := peerID(t, first)
	us.host.Peerstore().AddAddrs(to, addrInfo(t, first).Addrs, time.Hour)

	f := startFlow(us, to, 11, pace)
	defer func() {
		select {
		case <-f.ended:
		default:
			close(f.stop)
			<-f.ended
		}
	}()
	waitUntil(t, "the flow", func() bool { return f.count() >= each })
	end(first, f)
	waitUntil(t, "we notice", func() bool { return f.failures() > 0 || us.host.Network().Connectedness(to) != network.Connected })
	before = f.count()
	second := startRust(t, e, append(args, "--listen", first.ready.Address)...)
	waitUntil(t, "the flow after the restart", func() bool { return f.count() >= before+each })
	close(f.stop)
	<-f.ended
	last := sha256Hex(patternMessage(f.series, f.count()-1, f.size))
	second.waitFrom(0, "the last message", func(ev event) bool { return isMessage(ev) && ev.SHA256 == last })

	twice := 0
	for i, n := range f.arrived(first, second) {
		switch {
		case n == 0:
			missing = append(missing, i)
		case n > 1:
			twice++
		}
	}
	t.Logf("%d sent, %d of them before the end was seen; %d tries refused meanwhile: %v; %d arrived twice; never arrived: %v",
		f.count(), before, sum(f.refused), f.refused, twice, missing)
	return missing, before
}

func sum(m map[messagingproto.Reason]int) (n int) {
	for _, v := range m {
		n += v
	}
	return n
}

// TestGracefulRestart: the Rust peer has what was sent so far; it ends as it
// should and comes back while messages flow: all arrive.
func TestGracefulRestart(t *testing.T) {
	bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
		missing, _ := restarted(t, e, cfg, easy, func(p *rustPeer, f *flow) {
			f.gate.Lock()
			defer f.gate.Unlock()
			last := sha256Hex(patternMessage(f.series, f.count()-1, f.size))
			p.wait("the last message before the end", func(ev event) bool { return isMessage(ev) && ev.SHA256 == last })
			p.stop()
		})
		if len(missing) > 0 {
			t.Errorf("never arrived: %v", missing)
		}
	})
}

// TestEndUnderLoad: the Rust peer ends in the middle of a flow, killed or as it
// should, and comes back. What it had not handed to its application is lost; the
// protocol has no acknowledgements. So only the last messages that counted as
// sent before we saw its end may be missing; they are in the log.
func TestEndUnderLoad(t *testing.T) {
	for name, end := range map[string]func(*rustPeer, *flow){
		"killed":   func(p *rustPeer, _ *flow) { p.kill() },
		"graceful": func(p *rustPeer, _ *flow) { p.stop() },
	} {
		t.Run(name, func(t *testing.T) {
			bothEras(t, func(t *testing.T, e era, cfg tari.Config) {
				pace := easy
				if e == modern {
					pace = 200 * time.Microsecond // more than it has read when it dies
				}
				missing, before := restarted(t, e, cfg, pace, end)
				for i, m := range missing {
					if m != before-len(missing)+i {
						t.Errorf("message %d is missing, but later ones of the same connection arrived", m)
					}
				}
				t.Logf("%d of the %d that counted as sent ended with the peer", len(missing), before)
			})
		})
	}
}

// TestRateToRust: how many small messages a second the modern crate takes from
// us. The Rust program hashes each and prints a line for it, so the figure is a
// lower bound. It runs with TARI_LIBP2P_LONG=1 and prints a row of a table.
func TestRateToRust(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") == "" {
		t.Skip("only for its figure: set TARI_LIBP2P_LONG=1")
	}
	const series, count, size = 12, 50_000, 256
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)
	toRust(t, us, rust, size, 1) // now there is a stream
	slots := make(chan struct{}, 400)
	start := time.Now()
	for i := range count {
		slots <- struct{}{}
		err := us.msgs.SendAsync(peerID(t, rust), patternMessage(series, i, size), func(r messagingproto.Result) {
			if r.Err != nil {
				t.Errorf("message %d: %v", i, r.Err)
			}
			<-slots
		})
		if err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	last := sha256Hex(patternMessage(series, count-1, size))
	rust.wait("the last message", func(ev event) bool { return isMessage(ev) && ev.SHA256 == last })
	t.Logf("row: 256 B messages, Go to Rust 6.3.0-pre.2 | ≥ 20,000/s | %.0f/s", count/time.Since(start).Seconds())
}
