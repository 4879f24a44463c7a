//go:build interop && linux

package netns

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// rustBinary is the program of the modern era, or "" where it is not at hand. In CI it must be.
func rustBinary(t *testing.T) string {
	t.Helper()
	const env = "TARI_LIBP2P_RUST_MODERN"
	bin := os.Getenv(env)
	if bin == "" && os.Getenv("CI") == "true" {
		t.Fatalf("%s is not set: in CI the modern peer must run", env)
	}
	return bin
}

// driven is a process that takes commands as JSON lines, as the Rust peers do.
type driven struct {
	cmd    *exec.Cmd
	said   func(line) // called with each event that is no answer, one after the other
	exited chan struct{}

	mu      sync.Mutex
	stdin   io.WriteCloser
	nextID  int
	answers map[int]chan line
}

// rust is a Rust peer.
type rust struct {
	*driven
	line // what it said when it was ready
}

// line is what such a process says, as far as these tests ask for it.
type line struct {
	Event     string `json:"event"`
	ID        int    `json:"id,omitempty"`
	OK        bool   `json:"ok,omitempty"`
	Error     string `json:"error,omitempty"`
	PublicKey string `json:"public_key,omitempty"`
	NodeID    string `json:"node_id,omitempty"`
	Address   string `json:"address,omitempty"`
	SHA256    string `json:"sha256,omitempty"`
	Failed    []struct {
		Index  int    `json:"index"`
		Reason string `json:"reason"`
	} `json:"failed,omitempty"`
	Connections []line   `json:"connections,omitempty"`
	Trail       []string `json:"trail,omitempty"`
	Host        int      `json:"host,omitempty"`  // of a crowd, which of them
	Hosts       []line   `json:"hosts,omitempty"` // of a crowd that is ready
}

var errGone = errors.New("the process has ended")

// startRust starts a peer in the namespace of this thread and waits until it listens. The caller ends it.
func startRust(cmd *exec.Cmd, said func(line)) (*rust, error) {
	d, ready, err := drive(cmd, said)
	if err != nil {
		return nil, fmt.Errorf("the Rust peer: %w", err)
	}
	return &rust{d, ready}, nil
}

// connected is whether the peer has a connection to another.
func (r *rust) connected(to tarikey.PublicKey) bool {
	l, err := r.do("connections", nil)
	return err == nil && slices.ContainsFunc(l.Connections, func(c line) bool { return c.NodeID == to.NodeID().String() })
}

// drive starts a process and waits until it is ready.
func drive(cmd *exec.Cmd, said func(line)) (*driven, line, error) {
	d := &driven{cmd: cmd, said: said, exited: make(chan struct{}), answers: map[int]chan line{}}
	var err error
	if d.stdin, err = cmd.StdinPipe(); err != nil {
		return nil, line{}, err
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, line{}, err
	}
	if err := cmd.Start(); err != nil {
		return nil, line{}, err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	var ready line
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), &ready) != nil || ready.Event != "ready" {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		return nil, line{}, fmt.Errorf("did not start: %s", lines.Text())
	}
	go d.read(lines)
	return d, ready, nil
}

func (d *driven) read(lines *bufio.Scanner) {
	defer close(d.exited)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		if l.Event != "reply" {
			d.said(l)
			continue
		}
		d.mu.Lock()
		answer := d.answers[l.ID]
		delete(d.answers, l.ID)
		d.mu.Unlock()
		if answer != nil {
			answer <- l
		}
	}
	_ = d.cmd.Wait()
}

// do has the process do something and waits for its answer.
func (d *driven) do(cmd string, fields map[string]any) (line, error) {
	answer := make(chan line, 1)
	d.mu.Lock()
	d.nextID++
	d.answers[d.nextID] = answer
	command := map[string]any{"cmd": cmd, "id": d.nextID}
	for k, v := range fields {
		command[k] = v
	}
	raw, err := json.Marshal(command)
	if err == nil {
		_, err = d.stdin.Write(append(raw, '\n'))
	}
	d.mu.Unlock()
	if err != nil {
		return line{}, err
	}
	select {
	case l := <-answer:
		if !l.OK {
			return l, fmt.Errorf("%s: %s %+v", cmd, l.Error, l.Failed)
		}
		return l, nil
	case <-d.exited:
		return line{}, errGone
	}
}

// quit ends the process, by its process id if it does not end by itself.
func (d *driven) quit() {
	d.mu.Lock()
	_, _ = io.WriteString(d.stdin, "{\"cmd\":\"quit\"}\n")
	d.mu.Unlock()
	select {
	case <-d.exited:
	case <-time.After(15 * time.Second):
		d.kill()
	}
}

// kill ends the process at once, as a crash would.
func (d *driven) kill() {
	_ = d.cmd.Process.Kill()
	<-d.exited
}

// list grows while others read it.
type list struct {
	mu    sync.Mutex
	items []string
}

func (l *list) add(item string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.items = append(l.items, item)
}

func (l *list) all() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.items)
}
