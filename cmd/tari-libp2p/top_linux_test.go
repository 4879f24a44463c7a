package main

import (
	"context"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/internal/terminaltest"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// TestTopOnATerminal goes through a node's life on a real terminal: it is waited for, runs, is looked at in little room, goes away and
// comes back; then q gives the terminal back as it was.
func TestTopOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	m := terminaltest.New(t, 120, 40)
	before := m.Modes()
	dir := t.TempDir()
	code := make(chan int, 1)
	go func() {
		code <- run(t.Context(), []string{"top", "--data-dir", dir, "--every", "50ms"}, m.File, m.File, m.File)
	}()
	m.WaitFor("waiting for a node", "no answer since", "no node runs in")
	us := startRun(t, dir, "--allow-test-addresses")
	m.WaitFor(short(us.peer), "CONNECTIONS 0")
	m.Wait("no complaint", func(p terminaltest.Picture) bool {
		return !strings.Contains(p.Text, "no answer") && p.Other && !p.Cursor
	})
	them := t.TempDir()
	says(t, exitOK, "", "send", us.peer, "hello", "--data-dir", them)
	m.WaitFor("in 1 ", "disconnected", "127.0.0.1:")

	m.Resize(50, 12)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	m.WaitFor("CONNECTIONS 0", "q quit")
	m.Type("?")
	m.WaitFor("any key ends it")
	m.Type("\x1b[B")
	m.Wait("no help", func(p terminaltest.Picture) bool { return !strings.Contains(p.Text, "any key ends it") })
	m.Type("s")
	m.WaitFor("by age")

	if us.stop() != exitOK {
		t.Error(us.errs)
	}
	m.WaitFor("no answer since", short(us.peer))
	startRun(t, dir, "--allow-test-addresses")
	m.Wait("the node is back", func(p terminaltest.Picture) bool { return !strings.Contains(p.Text, "no answer") })
	m.Type("q")
	if got := <-code; got != exitOK {
		t.Error(got)
	}
	m.Wait("the screen as it was", func(p terminaltest.Picture) bool { return !p.Other && p.Cursor })
	if m.Modes() != before {
		t.Error("the modes are not as they were")
	}
}

// TestTopHostile: a peer that says sequences of terminals does not get through to one.
func TestTopHostile(t *testing.T) {
	m := terminaltest.New(t, 200, 40)
	screen, err := terminal.Open(m.File, m.File, func(string) string { return "xterm" })
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() {
		ask := func(context.Context) (node.Overview, error) { return topSnapshot(100, 3), nil }
		done <- watchTop(t.Context(), screen, &topModel{every: time.Hour}, ask)
	}()
	m.WaitFor("198.51.100.2:18189", `"\x1b[2J\x1b]0;owned\a\u009b31m\u202e`) // and nothing that our screen does not know
	m.Type("\x03")
	if err := <-done; err != nil {
		t.Error(err)
	}
	if raw := m.Raw(); strings.Contains(raw, "\x1b]") || strings.Count(raw, "\x1b[2J") != 2 || strings.ContainsAny(raw, "\a\u009b\u202e漢") {
		t.Errorf("%q", raw)
	}
}

// TestTopSignals: whatever ends it, the terminal is as it was.
func TestTopSignals(t *testing.T) {
	if dir := os.Getenv("TOP_SIGNALS"); dir != "" {
		os.Args = []string{"tari-libp2p", "top", "--data-dir", dir}
		main()
	}
	dir := t.TempDir()
	for _, sig := range []syscall.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT} {
		t.Run(sig.String(), func(t *testing.T) {
			m := terminaltest.New(t, 80, 24)
			before := m.Modes()
			c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestTopSignals$")
			c.Env = append(os.Environ(), "TOP_SIGNALS="+dir, "TERM=xterm")
			c.Stdin, c.Stdout, c.Stderr = m.File, m.File, m.File
			c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			m.WaitFor("waiting for a node", "no answer")
			m.Resize(40, 10) // which this process is told of
			m.Wait("less room", func(p terminaltest.Picture) bool {
				return strings.Contains(p.Text, "no answer") && strings.Contains(p.Text, "…")
			})
			if err := c.Process.Signal(sig); err != nil {
				t.Fatal(err)
			}
			if err := c.Wait(); err != nil {
				t.Errorf("%v: %q", err, m.Raw())
			}
			m.Wait("the screen as it was", func(p terminaltest.Picture) bool { return !p.Other && p.Cursor })
			if m.Modes() != before {
				t.Error("the modes are not as they were")
			}
		})
	}
}

// TestTopDumb: on a terminal whose cursor does not move there are lines.
func TestTopDumb(t *testing.T) {
	t.Setenv("TERM", "dumb")
	m := terminaltest.New(t, 120, 40)
	ctx, cancel := context.WithCancel(t.Context())
	code := make(chan int, 1)
	dir := t.TempDir()
	go func() { code <- run(ctx, []string{"top", "--data-dir", dir}, m.File, m.File, io.Discard) }()
	m.WaitFor("no answer: no node runs")
	cancel()
	if got := <-code; got != exitOK || strings.Contains(m.Raw(), "\x1b") {
		t.Errorf("%d, %q", got, m.Raw())
	}
}
