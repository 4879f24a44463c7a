//go:build interop

package interop

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// patience bounds every wait for the other process. Nothing should take so
// long; a loaded machine may.
const patience = 60 * time.Second

// era names one of the two Rust programs.
type era struct {
	name   string
	env    string // names the binary
	script string // builds it
}

var (
	modern = era{"modern", "TARI_LIBP2P_RUST_MODERN", "scripts/rust-modern.sh"}
	seed   = era{"seed", "TARI_LIBP2P_RUST_SEED", "scripts/rust-seed.sh"}
)

// binary finds the Rust program. Where it is missing the test is skipped with
// one line, in CI it fails.
func (e era) binary(t testing.TB) string {
	t.Helper()
	path := os.Getenv(e.env)
	if path == "" {
		if os.Getenv("CI") == "true" {
			t.Fatalf("%s is not set: in CI the %s peer must run", e.env, e.name)
		}
		t.Skipf("no %s Rust peer: run %s and set %s to the path it prints", e.name, e.script, e.env)
	}
	return path
}

// event is one JSON line of a Rust peer.
type event struct {
	Event     string `json:"event"`
	ID        int    `json:"id"`
	OK        bool   `json:"ok"`
	Error     string `json:"error"`
	Debug     string `json:"debug"`
	PublicKey string `json:"public_key"`
	NodeID    string `json:"node_id"`
	Address   string `json:"address"`
	WireByte  byte   `json:"wire_byte"`
	UserAgent string `json:"user_agent"`
	Direction string `json:"direction"`
	Protocol  string `json:"protocol"`
	Number    int    `json:"number"`
	Size      int    `json:"size"`
	SHA256    string `json:"sha256"`
	Received  int    `json:"received"`
	Sent      int    `json:"sent"`
	Failed    []struct {
		Index  int    `json:"index"`
		Reason string `json:"reason"`
	} `json:"failed"`
	Connections []connection      `json:"connections"`
	Answers     []json.RawMessage `json:"answers"`
	storedPeer

	line string // as it came
}

type connection struct {
	NodeID    string `json:"node_id"`
	Direction string `json:"direction"`
	Address   string `json:"address"`
}

// storedPeer is what the Rust node's peer book says about a peer.
type storedPeer struct {
	Found          bool     `json:"found"`
	Addresses      []string `json:"addresses"`
	Features       uint64   `json:"features"`
	Protocols      []string `json:"protocols"`
	Banned         bool     `json:"banned"`
	BannedForSecs  int64    `json:"banned_for_secs"`
	BanReason      string   `json:"ban_reason"`
	Claimed        bool     `json:"claimed"`
	SignatureValid bool     `json:"signature_valid"`
	ClaimAddresses []string `json:"claim_addresses"`
	ClaimFeatures  uint64   `json:"claim_features"`
}

// rustPeer is a running Rust node, on behalf of one test.
type rustPeer struct {
	t testing.TB
	*rustProcess
}

// in is the same peer, on behalf of a subtest.
func (p *rustPeer) in(t testing.TB) *rustPeer { return &rustPeer{t, p.rustProcess} }

type rustProcess struct {
	era      era
	ready    event
	args     []string
	patience time.Duration // of each wait

	stdinMu sync.Mutex
	stdin   io.WriteCloser
	cmd     *exec.Cmd
	exited  chan struct{} // closed when the process is gone and its output read

	mu     sync.Mutex
	events []*event      // everything it said, in order; nil where forgotten
	keep   int           // how many of the last to keep; 0: all
	bans   int           // how many it told of
	more   chan struct{} // closed and replaced at every event
	nextID int
}

// startRust starts a peer and waits until it listens. It ends with the test.
func startRust(t testing.TB, e era, args ...string) *rustPeer {
	t.Helper()
	bin := e.binary(t)
	if e == seed && !hasFlag(args, "--data-dir") {
		args = append(args, "--data-dir", t.TempDir())
	}
	cmd := exec.Command(bin, args...)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	stderr := &tail{max: 8 << 10}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}

	p := &rustPeer{t, &rustProcess{
		era: e, args: args, patience: patience, stdin: stdin, cmd: cmd, exited: make(chan struct{}), more: make(chan struct{}),
	}}
	go func() {
		defer close(p.exited)
		p.read(stdout)
		_ = cmd.Wait()
	}()
	t.Cleanup(func() {
		p.stop()
		if t.Failed() {
			t.Logf("%s peer %s: last events:\n%s\nstderr:\n%s", e.name, filepath.Base(bin), p.lastEvents(8), stderr)
		}
	})

	p.ready = p.wait("ready", func(ev event) bool {
		return ev.Event == "ready" || ev.Event == "fatal"
	})
	if p.ready.Event == "fatal" {
		t.Fatalf("%s peer did not start: %s", e.name, p.ready.Error)
	}
	return p
}

func hasFlag(args []string, name string) bool {
	for _, a := range args {
		if a == name {
			return true
		}
	}
	return false
}

func (p *rustProcess) read(stdout io.Reader) {
	lines := bufio.NewScanner(stdout)
	lines.Buffer(make([]byte, 1<<20), 64<<20)
	for lines.Scan() {
		ev := new(event)
		if err := json.Unmarshal(lines.Bytes(), ev); err != nil {
			ev = &event{Event: "unreadable", Error: err.Error()}
		}
		ev.line = lines.Text()
		p.mu.Lock()
		p.events = append(p.events, ev)
		if old := len(p.events) - p.keep - 1; p.keep > 0 && old >= 0 {
			p.events[old] = nil
		}
		if ev.Event == "banned" {
			p.bans++
		}
		close(p.more)
		p.more = make(chan struct{})
		p.mu.Unlock()
	}
}

// stop asks the peer to end and kills it, by its process id, if it does not.
func (p *rustProcess) stop() {
	p.stdinMu.Lock()
	_, _ = io.WriteString(p.stdin, "{\"cmd\":\"quit\"}\n")
	_ = p.stdin.Close()
	p.stdinMu.Unlock()
	select {
	case <-p.exited:
	case <-time.After(15 * time.Second):
		p.kill()
	}
}

// kill ends the process at once, as a crash would.
func (p *rustProcess) kill() {
	_ = p.cmd.Process.Kill()
	<-p.exited
}

// at is a place in what the peer has said so far: waits look from there on.
func (p *rustProcess) at() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.events)
}

// keepLast makes it forget all but the last n events, for tests of any length.
func (p *rustProcess) keepLast(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.keep = n
}

// bansTold is how often it said that it banned somebody.
func (p *rustProcess) bansTold() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.bans
}

// wait returns the first event that matches, from the start on.
func (p *rustPeer) wait(what string, match func(event) bool) event {
	p.t.Helper()
	return p.waitFrom(0, what, match)
}

// waitFrom returns the first event at or after from that matches; it fails the
// test after its patience, or when the peer is gone.
func (p *rustPeer) waitFrom(from int, what string, match func(event) bool) event {
	p.t.Helper()
	ev, _ := p.next(from, what, match)
	return ev
}

// next is waitFrom that also says where to go on.
func (p *rustPeer) next(from int, what string, match func(event) bool) (event, int) {
	p.t.Helper()
	deadline := time.NewTimer(p.patience)
	defer deadline.Stop()
	gone := false
	for {
		p.mu.Lock()
		for ; from < len(p.events); from++ {
			if ev := p.events[from]; ev != nil && match(*ev) {
				p.mu.Unlock()
				return *ev, from + 1
			}
		}
		more := p.more
		p.mu.Unlock()
		if gone {
			p.t.Fatalf("the %s peer ended before: %s\n%s", p.era.name, what, p.lastEvents(20))
		}
		select {
		case <-more:
		case <-p.exited:
			gone = true // look once more: its last lines are there now
		case <-deadline.C:
			p.t.Fatalf("the %s peer did not say within %v: %s\n%s", p.era.name, p.patience, what, p.lastEvents(20))
		}
	}
}

func (p *rustProcess) lastEvents(n int) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var b strings.Builder
	for _, ev := range p.events[max(0, len(p.events)-n):] {
		fmt.Fprintf(&b, "  %.400s\n", ev.line)
	}
	return b.String()
}

// start sends a command; the function it returns waits for the answer.
func (p *rustPeer) start(cmd string, fields map[string]any) func() event {
	p.t.Helper()
	p.mu.Lock()
	p.nextID++
	id := p.nextID
	from := len(p.events)
	p.mu.Unlock()

	line := map[string]any{"cmd": cmd, "id": id}
	for k, v := range fields {
		line[k] = v
	}
	raw, err := json.Marshal(line)
	if err != nil {
		p.t.Fatal(err)
	}
	p.stdinMu.Lock()
	_, err = p.stdin.Write(append(raw, '\n'))
	p.stdinMu.Unlock()
	if err != nil {
		p.t.Fatalf("%s peer: %s: %v", p.era.name, cmd, err)
	}
	return func() event {
		p.t.Helper()
		return p.waitFrom(from, "the answer to "+cmd, func(ev event) bool { return ev.Event == "reply" && ev.ID == id })
	}
}

// try sends a command and returns its answer, good or bad.
func (p *rustPeer) try(cmd string, fields map[string]any) event {
	p.t.Helper()
	return p.start(cmd, fields)()
}

// do sends a command that must succeed.
func (p *rustPeer) do(cmd string, fields map[string]any) event {
	p.t.Helper()
	ev := p.try(cmd, fields)
	if !ev.OK {
		p.t.Fatalf("%s peer: %s: %s %+v", p.era.name, cmd, ev.Error, ev.Failed)
	}
	return ev
}

// tail keeps the end of what is written to it.
type tail struct {
	mu  sync.Mutex
	buf []byte
	max int
}

func (w *tail) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.buf = append(w.buf, b...)
	if len(w.buf) > w.max {
		w.buf = append(w.buf[:0], w.buf[len(w.buf)-w.max:]...)
	}
	return len(b), nil
}

func (w *tail) String() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return string(w.buf)
}
