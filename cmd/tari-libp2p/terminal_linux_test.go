package main

import (
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/terminaltest"
)

// TestBarOnATerminal: a crawl shows a bar where standard error is a terminal, and there alone, and leaves nothing of it.
func TestBarOnATerminal(t *testing.T) {
	t.Setenv("TERM", "xterm")
	m := terminaltest.New(t, 100, 5)
	them := startRun(t, t.TempDir())
	var out strings.Builder
	if code := run(t.Context(), []string{"crawl", them.peer}, strings.NewReader(""), &out, m.File); code != exitOK {
		t.Errorf("%d: %s", code, &out)
	}
	m.Wait("the bar, erased", func(p terminaltest.Picture) bool {
		return strings.Contains(p.Written, "] 1 of 1 peer") && strings.TrimSpace(p.Text) == ""
	})
	if strings.Contains(out.String(), "\x1b") {
		t.Errorf("%q", &out)
	}
}

// TestNoBarBetweenLines: objects that go to a terminal do not get mixed up with a bar.
func TestNoBarBetweenLines(t *testing.T) {
	t.Setenv("TERM", "xterm")
	m := terminaltest.New(t, 200, 50)
	them := startRun(t, t.TempDir())
	if code := run(t.Context(), []string{"crawl", them.peer, "--json"}, strings.NewReader(""), m.File, m.File); code != exitOK {
		t.Error(code)
	}
	m.WaitFor(`"event":"summary"`)
	if strings.Contains(m.Raw(), "\x1b") {
		t.Errorf("%q", m.Raw())
	}
}

// TestBarOfChain: blocks that go to a file show how far they are, and a book that is read too.
func TestBarOfChain(t *testing.T) {
	t.Setenv("TERM", "xterm")
	chain, _ := startChain(t, 5)
	dir := t.TempDir()
	m := terminaltest.New(t, 100, 5)
	for want, args := range map[string][]string{
		"1 block, at height 1 of 5":  {"blocks", chain, "--network", "localnet", "--file", dir + "/blocks"},
		"1 header, at height 2 of 5": {"headers", chain, "--network", "localnet", "--file", dir + "/headers", "--from", "2", "--count", "3"},
		"##############] 0 kB read":  {"peers", "import", dir + "/book", "--data-dir", dir + "/other"},
	} {
		if args[0] == "peers" {
			says(t, exitOK, "", "peers", "add", friend, "--data-dir", dir+"/data")
			says(t, exitOK, "", "peers", "export", dir+"/book", "--data-dir", dir+"/data")
		}
		var out strings.Builder
		if code := run(t.Context(), args, strings.NewReader(""), &out, m.File); code != exitOK {
			t.Errorf("%d: %s%s", code, &out, m.Raw())
		}
		m.Wait(want+", erased", func(p terminaltest.Picture) bool {
			return strings.Contains(p.Written, want) && strings.TrimSpace(p.Text) == ""
		})
	}
}
