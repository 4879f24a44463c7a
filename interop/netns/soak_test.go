//go:build interop && linux

package netns

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// How many peers there are in the soak; each Rust peer is a process of its own.
const soakPeers, soakRust = 200, 50

// settle is how long the last acknowledgements may take before it is measured what the node holds.
const settle = 2 * time.Second

// TestSoak: peers come, talk, go, restart and are killed for half an hour, over links with delay and loss. Every message arrives, no connection
// ends but by the script, and the node holds no more in the end than in the middle.
func TestSoak(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") != "1" {
		t.Skip("half an hour; TARI_LIBP2P_LONG=1 runs it")
	}
	runtime.MemProfileRate = 32 << 10 // finer than usual, for what grows
	length := 30 * time.Minute
	if text := os.Getenv("TARI_LIBP2P_SOAK"); text != "" {
		var err error
		if length, err = time.ParseDuration(text); err != nil {
			t.Fatal(err)
		}
	}
	inside(t, func(t *testing.T) {
		s := newSoak(t)
		began := time.Now()
		var samples []sample
		var middle, last map[string]int64 // who holds the heap, from half way on and now
		for time.Since(began) < length {
			round := min(length/24, 30*time.Second)
			ctx, cancel := context.WithTimeout(t.Context(), round)
			var all sync.WaitGroup
			for _, p := range s.peers {
				all.Go(func() { p.live(ctx) })
			}
			all.Wait()
			cancel()
			// Now all are connected, nobody says anything, and nothing of the script runs.
			time.Sleep(settle)
			samples = append(samples, takeSample(began))
			before := last
			if last = sites(); middle == nil && time.Since(began) > length/2 {
				middle = last
			}
			t.Logf("%v; %v; Rust peers hold %d MiB\n%s", samples[len(samples)-1], s, s.rustMiB(), growth(before, last))
		}
		for _, p := range s.peers {
			p.ending.Store(true) // the node ends now
		}
		s.report(t, length, samples, growth(middle, last))
	})
}

// soak is a node and all its peers.
type soak struct {
	t     *testing.T
	node  *node.Node
	peers []*soakPeer
	byKey map[string]*soakPeer

	connections, messages, restarts, kills, ties atomic.Int64
	again, unexplained, lost                     atomic.Int64
}

func (s *soak) String() string {
	return fmt.Sprintf("%d connections, %d messages, %d of them twice, %d restarts, %d kills, %d ties, %d disconnects unexplained, %d messages lost",
		s.connections.Load(), s.messages.Load(), s.again.Load(), s.restarts.Load(), s.kills.Load(), s.ties.Load(), s.unexplained.Load(), s.lost.Load())
}

// soakPort is where the node listens in every lane.
const soakPort = 18189

func newSoak(t *testing.T) *soak {
	t.Helper()
	var lanes []lane
	for i := range 10 {
		lanes = append(lanes, lane{
			delay: time.Duration(10+21*i) * time.Millisecond, loss: float64(1+i%5) / 100, reorder: 0.01, rate: 100_000_000,
		})
	}
	s := &soak{t: t, byKey: map[string]*soakPeer{}}
	few := soakRust
	bin := rustBinary(t)
	if bin == "" {
		few = 0
	}
	var others *driven
	layWire(t, lanes, func() error {
		self, err := os.Executable()
		if err != nil {
			return err
		}
		cmd := exec.Command(self, "-test.run", "^TestCrowd$", "-test.timeout", "0")
		cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%d/%d", crowdEnv, soakPeers-few, len(lanes)))
		cmd.Stderr = os.Stderr
		var ready line
		if others, ready, err = drive(cmd, func(l line) {
			if l.Event == "message" {
				s.peers[l.Host].arrived(s.peers[l.Host].inbox, l.SHA256)
			}
		}); err != nil {
			return err
		}
		t.Cleanup(others.quit)
		for i, h := range ready.Hosts {
			s.add(h, &crowdPeer{others, i}, i%len(lanes))
		}
		return nil
	})
	var err error
	s.node, err = node.Start(t.Context(), node.Config{
		DataDir:            t.TempDir(),
		Listen:             []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", soakPort))},
		Public:             []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", nearIP(0), soakPort))},
		AllowTestAddresses: true,
		OnEvent:            s.onEvent,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.node.Close() })
	follow(s.node.Host.Network(), func(id peer.ID) *trail {
		if key, err := tarikey.PublicKeyFromPeerID(id); err == nil && s.byKey[key.String()] != nil {
			return &s.byKey[key.String()].trail
		}
		return nil
	})
	for i := range few {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		r := &rustPeer{args: []string{
			"-t", fmt.Sprint(others.cmd.Process.Pid), "-n", bin,
			"--secret-key", fmt.Sprintf("%x", key.Bytes()), "--listen",
		}, listen: "/ip4/" + farIP(i%len(lanes)) + "/tcp/0"}
		p := s.add(line{PublicKey: key.Public().String()}, r, i%len(lanes))
		r.said = func(l line) {
			if l.Event == "message" {
				p.arrived(p.inbox, l.SHA256)
			}
		}
		if err := r.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { r.driven.quit() })
		p.address = r.listen
	}
	return s
}

func (s *soak) add(l line, how process, lane int) *soakPeer {
	key, err := tarikey.PublicKeyFromHex(l.PublicKey)
	if err != nil {
		s.t.Error(err)
	}
	p := &soakPeer{
		soak: s, how: how, key: key, address: l.Address, lane: lane,
		inbox: make(chan string, 64), ours: make(chan string, 64), chance: rand.New(rand.NewPCG(uint64(len(s.peers)), 29)),
	}
	s.byKey[key.String()] = p
	s.peers = append(s.peers, p)
	return p
}

// onEvent is told what the node sees.
func (s *soak) onEvent(e node.Event) {
	p := s.byKey[e.Peer]
	switch {
	case e.Kind == node.EventBanned:
		s.t.Errorf("%s is banned: %s", e.Peer, e.Error)
	case p == nil:
	case e.Kind == node.EventMessage:
		p.arrived(p.ours, sum(e.Message))
	case e.Kind == node.EventConnected:
		s.connections.Add(1)
	case e.Kind == node.EventDisconnected:
		switch {
		case p.ending.Load():
		case p.connected():
			s.ties.Add(1) // of two connections one is closed
		default:
			s.unexplained.Add(1)
			go func() { // the peer is asked, and events do not wait
				s.t.Errorf("disconnected from %s at %s, %s, which nobody asked for\n\t%s", p, e.Address, e.Direction, p.story())
			}()
		}
		p.gone.Add(1)
	}
}

// report compares what was measured with the figures.
func (s *soak) report(t *testing.T, length time.Duration, samples []sample, grown string) {
	later := samples[len(samples)/2:]
	heap := slope(later, func(s sample) float64 { return s.heapMiB })
	goroutines := slope(later, func(s sample) float64 { return float64(s.goroutines) })
	fds := slope(later, func(s sample) float64 { return float64(s.fds - s.tables) })
	last := later[len(later)-1]
	t.Logf("row: %d peers, %d of them Rust, come, talk, go, restart and are killed; links of 20 to 400 ms, 1 to 5 %% loss, 1 %% reordered | heap ≤ 1 MiB/h, goroutines and descriptors 0/h over the second half; no disconnect that the script did not make | "+
		"%v: heap %v MiB/h (%.1f MiB in the end), goroutines %v/h (%d), descriptors but those of the book's tables %v/h (%d), tables %d to %d; %v",
		len(s.peers), len(s.rusts()), length, heap, last.heapMiB, goroutines, last.goroutines, fds, last.fds-last.tables, fewest(later), most(later), s)
	if len(later) < 10 {
		return // a trial is too short for slopes
	}
	// A leak at each of so many connections would be hundreds.
	if first := later[0]; heap.surely(1) || last.goroutines > first.goroutines+5 || last.fds-last.tables > first.fds-first.tables || last.tables > tablesMost {
		t.Errorf("it grows: %v\n%s", later, grown)
	}
}

func fewest(samples []sample) int { return slices.MinFunc(samples, byTables).tables }
func most(samples []sample) int   { return slices.MaxFunc(samples, byTables).tables }

func byTables(a, b sample) int { return cmp.Compare(a.tables, b.tables) }

func (s *soak) rusts() (found []*rustPeer) {
	for _, p := range s.peers {
		if r, ok := p.how.(*rustPeer); ok {
			found = append(found, r)
		}
	}
	return found
}

// rustMiB is the resident memory of all Rust peers.
func (s *soak) rustMiB() (total int) {
	for _, r := range s.rusts() {
		text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", r.driven.cmd.Process.Pid))
		_, rss, _ := strings.Cut(string(text), "VmRSS:")
		var kib int
		_, _ = fmt.Sscan(rss, &kib)
		total += kib
	}
	return total / 1024
}

// sample is what this process holds at a moment.
type sample struct {
	at              time.Duration
	heapMiB         float64
	goroutines, fds int
	tables          int // descriptors of the peer book's tables
}

// tablesMost is how many tables a small book may have open: badger merges them when there are ten of the lowest level.
const tablesMost = 12

func (s sample) String() string {
	return fmt.Sprintf("%v: heap %.2f MiB, %d goroutines, %d descriptors, %d of them tables of the book", s.at.Round(time.Second), s.heapMiB, s.goroutines, s.fds, s.tables)
}

func takeSample(began time.Time) sample {
	for range 3 { // what pools keep goes in the second round, what finalizers held in the third
		runtime.GC()
	}
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	fds, tables := descriptors()
	return sample{time.Since(began), float64(m.HeapAlloc) / (1 << 20), runtime.NumGoroutine(), fds, tables}
}

// descriptors counts those of this process, and those of tables of a peer book.
func descriptors() (all, tables int) {
	const dir = "/proc/self/fd/"
	entries, _ := os.ReadDir(dir)
	for _, e := range entries {
		if to, err := os.Readlink(dir + e.Name()); err == nil && strings.HasSuffix(to, ".sst") {
			tables++
		}
	}
	return len(entries), tables
}

// sites are the bytes in use by the functions that asked for them, with their callers.
func sites() map[string]int64 {
	records := make([]runtime.MemProfileRecord, 16384)
	n, _ := runtime.MemProfile(records, false)
	bytes := make(map[string]int64)
	for _, r := range records[:n] {
		var names []string
		frames := runtime.CallersFrames(r.Stack())
		for more := true; more && len(names) < 3; {
			var f runtime.Frame
			f, more = frames.Next()
			if !strings.HasPrefix(f.Function, "runtime.") {
				names = append(names, f.Function)
			}
		}
		bytes[strings.Join(names, " < ")] += r.InUseBytes()
	}
	maps.DeleteFunc(bytes, func(_ string, n int64) bool { return n < 4<<10 })
	return bytes
}

// growth tells which sites hold more than before, the largest first.
func growth(before, after map[string]int64) string {
	names := slices.SortedFunc(maps.Keys(after), func(a, b string) int {
		return cmp.Compare(after[b]-before[b], after[a]-before[a])
	})
	var b strings.Builder
	for _, name := range names[:min(10, len(names))] {
		fmt.Fprintf(&b, "%+8d KiB %s\n", (after[name]-before[name])>>10, name)
	}
	return b.String()
}

// trend is by how much something grows in an hour, and the standard error of that.
type trend struct{ slope, err float64 }

func (t trend) String() string { return fmt.Sprintf("%+.1f ± %.1f", t.slope, t.err) }

// surely is whether it grows by more than limit even if chance has made much of it.
func (t trend) surely(limit float64) bool { return t.slope-2*t.err > limit }

// slope is that of the straight line through the samples, by least squares.
func slope(samples []sample, of func(sample) float64) trend {
	var n, mx, my, sxx, sxy, rest float64
	for _, s := range samples {
		n, mx, my = n+1, mx+s.at.Hours(), my+of(s)
	}
	mx, my = mx/n, my/n
	for _, s := range samples {
		x, y := s.at.Hours()-mx, of(s)-my
		sxx, sxy = sxx+x*x, sxy+x*y
	}
	for _, s := range samples {
		d := of(s) - my - sxy/sxx*(s.at.Hours()-mx)
		rest += d * d
	}
	return trend{sxy / sxx, math.Sqrt(rest / max(n-2, 1) / sxx)}
}

func TestTrend(t *testing.T) {
	var still, grows []sample
	for i := range 20 {
		at := time.Duration(i) * 45 * time.Second
		noise := float64(i*7%5) / 10
		still = append(still, sample{at: at, heapMiB: 20 + noise, goroutines: 700})
		grows = append(grows, sample{at: at, heapMiB: 20 + noise + 5*at.Hours(), goroutines: 700 + i})
	}
	heap := func(s sample) float64 { return s.heapMiB }
	goroutines := func(s sample) float64 { return float64(s.goroutines) }
	if got := slope(still, heap); got.surely(1) {
		t.Errorf("noise is taken for growth: %v", got)
	}
	if got := slope(grows, heap); !got.surely(1) {
		t.Errorf("5 MiB/h are not seen: %v", got)
	}
	if got := slope(still, goroutines); got.slope != 0 || got.surely(0) {
		t.Errorf("a constant has the slope %v", got)
	}
	if got := slope(grows, goroutines); math.Abs(got.slope-80) > 1e-6 || !got.surely(0) { // one in 45 s
		t.Errorf("80/h have the slope %v", got)
	}
}
