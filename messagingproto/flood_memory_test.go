//go:build !race

package messagingproto_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

const floodMemory = 64 << 20 // what a flood may cost

// flood writes frames of 8 MiB to a peer as fast as it takes them, all from one
// buffer, until stop is called.
func flood(t *testing.T, from *node, to peer.AddrInfo) (written *atomic.Int64, stop func()) {
	t.Helper()
	from.Peerstore().AddAddrs(to.ID, to.Addrs, time.Hour)
	s, err := from.NewStream(t.Context(), to.ID, tariproto.Messaging)
	if err != nil {
		t.Fatal(err)
	}
	frame := append(binary.BigEndian.AppendUint32(nil, messagingproto.MaxMessage), make([]byte, messagingproto.MaxMessage)...)
	written = new(atomic.Int64)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for ; ; written.Add(1) {
			if _, err := s.Write(frame); err != nil {
				return
			}
		}
	}()
	return written, func() {
		s.Reset()
		<-ended
	}
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestFloodMemory: one peer floods a handler that is slow. The heap stays within
// bounds, the peer has to wait, and another peer's messages get through while it
// does.
func TestFloodMemory(t *testing.T) {
	const frames = 10
	arrived, next := make(chan struct{}), make(chan struct{})
	got := make(chan []byte, 1)
	var flooder peer.ID
	b := startNode(t, dialect.Localnet, tari.Hooks{}, func(ctx context.Context, from peer.ID, m []byte) {
		if from != flooder {
			got <- bytes.Clone(m)
			return
		}
		select {
		case arrived <- struct{}{}:
			<-next
		case <-ctx.Done():
		}
	})
	a, c := startNode(t, dialect.Localnet, tari.Hooks{}, ignore), startNode(t, dialect.Localnet, tari.Hooks{}, ignore)
	flooder = a.ID()
	c.knows(b)

	base := heap()
	written, stop := flood(t, a, peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()})
	var most int64
	for i := range frames {
		await(t, arrived, "a frame of the flood")
		// The handler is busy with it. What is under way meanwhile is what the
		// windows and the buffers of both ends hold.
		if err := c.messages.Send(t.Context(), b.ID(), fmt.Append(nil, i)); err != nil {
			t.Fatal(err)
		}
		select {
		case m := <-got:
			if string(m) != fmt.Sprint(i) {
				t.Errorf("the other peer's message is %q", m)
			}
		case <-time.After(patience):
			t.Fatal("the other peer's message did not arrive")
		}
		most = max(most, heap()-base)
		if w := written.Load(); w > int64(i)+4 {
			t.Errorf("%d frames are written, the handler is at %d", w, i)
		}
		next <- struct{}{}
	}
	stop()
	if most > floodMemory {
		t.Errorf("the heap grew by %d bytes", most)
	}
	t.Logf("the heap grew by %.1f MiB", float64(most)/(1<<20))
}

// TestFloodLong is the same for half a minute with a clock, twenty other peers
// and figures. It runs with TARI_LIBP2P_LONG=1 and prints rows of docs/reliability.md.
func TestFloodLong(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") == "" {
		t.Skip("a minute: set TARI_LIBP2P_LONG=1")
	}
	const took = 100 * time.Millisecond
	var flooder string
	var handled, arrived atomic.Int64
	b := startNode(t, dialect.Localnet, tari.Hooks{}, func(_ context.Context, from peer.ID, _ []byte) {
		if from.String() != flooder {
			arrived.Add(1)
			return
		}
		time.Sleep(took)
		handled.Add(1)
	})
	a := startFlooder(t, b)
	flooder = a.id
	var peers [20]*node
	for i := range peers {
		peers[i] = startNode(t, dialect.Localnet, tari.Hooks{}, ignore)
		peers[i].knows(b)
	}
	// Each of the others sends 50 messages of 1 KiB a second.
	chat := func(d time.Duration) (perSecond float64) {
		before := arrived.Load()
		ctx, cancel := context.WithTimeout(t.Context(), d)
		defer cancel()
		var wait sync.WaitGroup
		for _, p := range peers {
			wait.Go(func() {
				pace := time.NewTicker(20 * time.Millisecond)
				defer pace.Stop()
				for {
					select {
					case <-ctx.Done():
						return
					case <-pace.C:
						if err := p.messages.Send(t.Context(), b.ID(), make([]byte, 1024)); err != nil {
							t.Error(err)
						}
					}
				}
			})
		}
		wait.Wait()
		return float64(arrived.Load()-before) / d.Seconds()
	}
	quiet := chat(10 * time.Second)

	base, baseRSS := heap(), residentMemory(t)
	a.begin(t)
	var most, mostRSS int64
	ended, watched := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(watched)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ended:
				return
			case <-tick.C:
				mostRSS = max(mostRSS, residentMemory(t)-baseRSS)
				most = max(most, heap()-base)
			}
		}
	}()
	start := time.Now()
	busy := chat(30 * time.Second)
	seconds := time.Since(start).Seconds()
	h, w := handled.Load(), a.end(t)
	close(ended)
	<-watched

	row := func(figure, target, measured string) {
		t.Logf("row: %s | %s | %s", figure, target, measured)
	}
	row("memory under a flood of 8 MiB frames", "≤ base + 64 MiB", fmt.Sprintf("heap %+.1f MiB, resident %+.1f MiB", float64(most)/(1<<20), float64(mostRSS)/(1<<20)))
	row("frames/s the flood gets through, handler at 10/s", "≈ 10", fmt.Sprintf("%.1f written, %.1f handled", float64(w)/seconds, float64(h)/seconds))
	row("20 other peers' rate under the flood", "≥ 90 %", fmt.Sprintf("%.0f %% of %.0f messages/s", 100*busy/quiet, quiet))
	row("256 B messages, Go to Go", "≥ 100,000/s", fmt.Sprintf("%.0f/s", rate(t, 256, 300_000)))
	row("8 MiB messages, Go to Go", "≥ 150 MiB/s", fmt.Sprintf("%.0f MiB/s", 8*rate(t, messagingproto.MaxMessage, 100)))
	if most > floodMemory {
		t.Errorf("the heap grew by %d bytes", most)
	}
	if w > h+4 {
		t.Errorf("%d frames written, %d handled", w, h)
	}
}

// floodEnv names the peer that a process of this test binary floods.
const floodEnv = "TARI_LIBP2P_FLOOD"

// flooder is that process, so that what it needs is not counted as ours.
type flooder struct {
	id  string
	in  io.WriteCloser
	out *bufio.Scanner
}

// TestFlooder is no test but that process. It says who it is, waits for a line, floods until there are no more, and says how many frames
// it has written.
func TestFlooder(t *testing.T) {
	text := os.Getenv(floodEnv)
	if text == "" {
		t.Skip("only run by TestFloodLong")
	}
	to, err := tari.ParseAddress(text)
	if err != nil {
		t.Fatal(err)
	}
	n := startNode(t, dialect.Localnet, tari.Hooks{}, ignore)
	fmt.Println(n.ID())
	if lines := bufio.NewScanner(os.Stdin); lines.Scan() {
		written, stop := flood(t, n, to.AddrInfo())
		for lines.Scan() {
		}
		stop()
		fmt.Println(written.Load())
	}
}

func startFlooder(t *testing.T, of *node) *flooder {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestFlooder$")
	cmd.Env = append(os.Environ(), fmt.Sprintf("%s=%s::%s", floodEnv, of.PublicKey(), of.Addrs()[0]))
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		in.Close()
		if err := cmd.Wait(); err != nil {
			t.Error(err)
		}
	})
	f := &flooder{in: in, out: bufio.NewScanner(out)}
	f.id = f.line(t)
	return f
}

func (f *flooder) line(t *testing.T) string {
	t.Helper()
	if !f.out.Scan() {
		t.Fatal("the flooder ended: ", f.out.Err())
	}
	return f.out.Text()
}

func (f *flooder) begin(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(f.in, "\n"); err != nil {
		t.Fatal(err)
	}
}

// end ends the flood and returns how many frames were written.
func (f *flooder) end(t *testing.T) (written int64) {
	t.Helper()
	f.in.Close()
	if _, err := fmt.Sscan(f.line(t), &written); err != nil {
		t.Fatal(err)
	}
	return written
}

// residentMemory is how much memory the process has.
func residentMemory(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/statm")
	if err != nil {
		return 0 // only Linux says it in this way
	}
	var size, resident int64
	if _, err := fmt.Sscan(string(data), &size, &resident); err != nil {
		t.Error(err)
	}
	return resident * int64(os.Getpagesize())
}

// rate is how many messages a second arrive at a peer in this process.
func rate(t *testing.T, size, n int) float64 {
	t.Helper()
	var left atomic.Int64
	left.Store(int64(n))
	finished := make(chan struct{})
	from := startNode(t, dialect.Localnet, tari.Hooks{}, ignore)
	to := startNode(t, dialect.Localnet, tari.Hooks{}, func(context.Context, peer.ID, []byte) {
		if left.Add(-1) == 0 {
			close(finished)
		}
	})
	from.knows(to)
	m := make([]byte, size)
	if err := from.messages.Send(t.Context(), to.ID(), m); err != nil { // now there is a stream
		t.Fatal(err)
	}
	slots := make(chan struct{}, min(400, (32<<20)/size))
	done := func(res messagingproto.Result) {
		if res.Err != nil {
			t.Error(res.Err)
		}
		<-slots
	}
	start := time.Now()
	for range n - 1 {
		slots <- struct{}{}
		if err := from.messages.SendAsync(to.ID(), m, done); err != nil {
			t.Fatal(err)
		}
	}
	await(t, finished, "the last message")
	return float64(n) / time.Since(start).Seconds()
}
