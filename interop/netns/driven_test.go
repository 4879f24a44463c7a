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

// rust is a Rust peer that is driven by JSON lines.
type rust struct {
	PublicKey string `json:"public_key"`
	NodeID    string `json:"node_id"`
	Address   string `json:"address"`

	cmd    *exec.Cmd
	said   func(line) // called with each event that is no answer, one after the other
	exited chan struct{}

	mu      sync.Mutex
	stdin   io.WriteCloser
	nextID  int
	answers map[int]chan line
}

// line is what a Rust peer says, as far as these tests ask for it.
type line struct {
	Event  string `json:"event"`
	ID     int    `json:"id"`
	OK     bool   `json:"ok"`
	Error  string `json:"error"`
	NodeID string `json:"node_id"`
	SHA256 string `json:"sha256"`
	Sent   int    `json:"sent"`
	Failed []struct {
		Index  int    `json:"index"`
		Reason string `json:"reason"`
	} `json:"failed"`
	Connections []line `json:"connections"`
}

var errRustGone = errors.New("the Rust peer has ended")

// startRust starts a peer in the namespace of this thread and waits until it listens. The caller ends it.
func startRust(bin string, said func(line), args ...string) (*rust, error) {
	r := &rust{cmd: exec.Command(bin, args...), said: said, exited: make(chan struct{}), answers: map[int]chan line{}}
	var err error
	if r.stdin, err = r.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	stdout, err := r.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := r.cmd.Start(); err != nil {
		return nil, err
	}
	lines := bufio.NewScanner(stdout)
	lines.Buffer(nil, 1<<20)
	if !lines.Scan() || json.Unmarshal(lines.Bytes(), r) != nil || r.PublicKey == "" {
		_ = r.cmd.Process.Kill()
		_ = r.cmd.Wait()
		return nil, fmt.Errorf("the Rust peer did not start: %s", lines.Text())
	}
	go r.read(lines)
	return r, nil
}

func (r *rust) read(lines *bufio.Scanner) {
	defer close(r.exited)
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		if l.Event != "reply" {
			r.said(l)
			continue
		}
		r.mu.Lock()
		answer := r.answers[l.ID]
		delete(r.answers, l.ID)
		r.mu.Unlock()
		if answer != nil {
			answer <- l
		}
	}
	_ = r.cmd.Wait()
}

// do has the peer do something and waits for its answer.
func (r *rust) do(cmd string, fields map[string]any) (line, error) {
	answer := make(chan line, 1)
	r.mu.Lock()
	r.nextID++
	r.answers[r.nextID] = answer
	command := map[string]any{"cmd": cmd, "id": r.nextID}
	for k, v := range fields {
		command[k] = v
	}
	raw, err := json.Marshal(command)
	if err == nil {
		_, err = r.stdin.Write(append(raw, '\n'))
	}
	r.mu.Unlock()
	if err != nil {
		return line{}, err
	}
	select {
	case l := <-answer:
		if !l.OK {
			return l, fmt.Errorf("%s: %s %+v", cmd, l.Error, l.Failed)
		}
		return l, nil
	case <-r.exited:
		return line{}, errRustGone
	}
}

// quit ends the peer, by its process id if it does not end by itself.
func (r *rust) quit() {
	r.mu.Lock()
	_, _ = io.WriteString(r.stdin, "{\"cmd\":\"quit\"}\n")
	r.mu.Unlock()
	select {
	case <-r.exited:
	case <-time.After(15 * time.Second):
		r.kill()
	}
}

// kill ends the peer at once, as a crash would.
func (r *rust) kill() {
	_ = r.cmd.Process.Kill()
	<-r.exited
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
