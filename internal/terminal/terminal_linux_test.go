package terminal

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/terminaltest"
)

func onTerminal(name string) string { return map[string]string{"TERM": "xterm"}[name] }

func open(t *testing.T, m *terminaltest.Terminal, getenv func(string) string) *Screen {
	t.Helper()
	s, err := Open(m.File, m.File, getenv)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Close)
	return s
}

// TestScreen: what is drawn is there, only changes are written, and the terminal is as it was in the end.
func TestScreen(t *testing.T) {
	m := terminaltest.New(t, 20, 4)
	before := m.Modes()
	s := open(t, m, onTerminal)
	if m.Modes() == before {
		t.Error("keys are shown")
	}
	lines := []Line{Text(Reverse, "title"), {{"a long ", Bold}, {"line, cut at its end", Good}}, Text(Plain, "bad \x1b[2J\x07\u202e\xff"), nil, Text(Plain, "beyond")}
	if err := s.Draw(lines); err != nil {
		t.Fatal(err)
	}
	want := "title\na long line, cut at…\n" + Cut(`bad \u001b[2J\u0007\u202e\xff`, 20) + "\n"
	m.Wait("the lines", func(p terminaltest.Picture) bool { return p.Text == want && p.Other && !p.Cursor })
	written := len(m.Raw())
	lines[0] = Text(Reverse, "other")
	_ = s.Draw(lines)
	m.WaitFor("other")
	if change := m.Raw()[written:]; change != "\x1b[1;1H\x1b[K\x1b[7mother\x1b[m" {
		t.Errorf("written again: %q", change)
	}
	m.Resize(12, 2)
	if err := syscall.Kill(os.Getpid(), syscall.SIGWINCH); err != nil {
		t.Fatal(err)
	}
	<-s.Resized()
	if width, height := s.Size(); width != 12 || height != 2 {
		t.Errorf("%d, %d", width, height)
	}
	_ = s.Draw(lines)
	m.Wait("the lines, in less room", func(p terminaltest.Picture) bool { return p.Text == "other\na long line…" })
	m.Type("q\x1b[A\x1b")
	for _, want := range []Key{"q", Up, Escape} {
		if got := <-s.Keys(); got != want {
			t.Errorf("%q, not %q", got, want)
		}
	}
	m.Type("x") // nobody takes it
	s.Close()
	s.Close()
	m.Wait("the screen as it was", func(p terminaltest.Picture) bool { return !p.Other && p.Cursor })
	if m.Modes() != before {
		t.Errorf("%+v, not %+v", m.Modes(), before)
	}
}

// TestNoColour: NO_COLOR leaves what is no colour.
func TestNoColour(t *testing.T) {
	m := terminaltest.New(t, 40, 4)
	s := open(t, m, func(name string) string { return map[string]string{"TERM": "xterm", "NO_COLOR": "1"}[name] })
	_ = s.Draw([]Line{{{"good", Good}, {" bold", Bold}}})
	m.WaitFor("good bold")
	if !strings.HasSuffix(m.Raw(), "good\x1b[1m bold\x1b[m") {
		t.Errorf("%q", m.Raw())
	}
}

// TestOpenWithoutKeys: a view can be watched where keys come from nowhere.
func TestOpenWithoutKeys(t *testing.T) {
	m := terminaltest.New(t, 40, 4)
	before := m.Modes()
	s, err := Open(new(bytes.Buffer), m.File, onTerminal)
	if err != nil {
		t.Fatal(err)
	}
	s.Close()
	if m.Modes() != before {
		t.Error("changed")
	}
}

func TestOpenNothing(t *testing.T) {
	m := terminaltest.New(t, 40, 4)
	for _, getenv := range []func(string) string{func(string) string { return "" }, func(string) string { return "dumb" }} {
		if _, err := Open(m.File, m.File, getenv); err != ErrNone {
			t.Error(err)
		}
		if NewProgress(m.File, getenv) != nil {
			t.Error("a bar where the cursor does not move")
		}
	}
	if _, err := Open(m.File, new(bytes.Buffer), onTerminal); err != ErrNone || m.Raw() != "" {
		t.Errorf("%v, %q", err, m.Raw())
	}
}

// TestPanic: a panic beside the drawing gives the terminal back before it is printed.
func TestPanic(t *testing.T) {
	if os.Getenv("TERMINAL_PANIC") != "" {
		s, err := Open(os.Stdin, os.Stdout, onTerminal)
		if err != nil {
			t.Fatal(err)
		}
		s.Go(func() { panic("a fault of ours") })
		select {}
	}
	m := terminaltest.New(t, 80, 24)
	before := m.Modes()
	c := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestPanic$")
	c.Env = append(os.Environ(), "TERMINAL_PANIC=1")
	c.Stdin, c.Stdout, c.Stderr = m.File, m.File, m.File
	if err := c.Run(); err == nil {
		t.Error("no panic")
	}
	m.Wait("the panic on the screen as it was", func(p terminaltest.Picture) bool {
		return strings.Contains(p.Text, "a fault of ours") && !p.Other && p.Cursor
	})
	if m.Modes() != before {
		t.Error("the modes are not as they were")
	}
}

// TestProgressOnATerminal: the bar has the width that there is.
func TestProgressOnATerminal(t *testing.T) {
	m := terminaltest.New(t, 30, 4)
	p := NewProgress(m.File, onTerminal)
	p.Show(1, 2, "1 of 2 and much more of text")
	m.WaitFor("[#####.....] 1 of 2 and much…")
	p.End()
	m.Wait("nothing", func(p terminaltest.Picture) bool { return strings.TrimSpace(p.Text) == "" })
}
