package main

import (
	"bytes"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

func TestLogLevels(t *testing.T) {
	for text, want := range map[string]string{
		"debug":                       "debug,libp2p=error",
		"INFO":                        "info,libp2p=error",
		"off,libp2p=off":              "off,libp2p=off",
		"libp2p=debug":                "warn,libp2p=debug",
		"error, seeds=debug,node=off": "error,node=off,seeds=debug,libp2p=error",
	} {
		var l logLevels
		if err := l.Set(text); err != nil || l.String() != want {
			t.Errorf("%q: %v, %v, want %s", text, &l, err, want)
		}
		var again logLevels
		if err := again.Set(l.String()); err != nil || again.String() != want {
			t.Errorf("%q read back: %v, %v", want, &again, err)
		}
	}
	for text, say := range map[string]string{
		"":                  `no level "": one of debug, info, warn, error, off`,
		"loud":              `no level "loud"`,
		"info+1":            `no level "info+1"`,
		"warn,debug":        "one level for all, first",
		"node=":             `no level ""`,
		"kad=debug":         `no part "kad": one of node, seeds, metrics, web, service, libp2p`,
		"node=off,node=off": "the part node twice",
		"\x1b[2J":           `no level "\x1b[2j"`,
	} {
		var l logLevels
		if err := l.Set("error"); err != nil {
			t.Fatal(err)
		}
		if err := l.Set(text); err == nil || !strings.Contains(err.Error(), say) {
			t.Errorf("%q: %v, want %s", text, err, say)
		}
		if l.String() != "error,libp2p=error" {
			t.Errorf("%q changed something: %v", text, &l)
		}
	}
}

// Each part has its level and its format, also those of a logger made before somebody changed them.
func TestLogs(t *testing.T) {
	var to bytes.Buffer
	l := newLogs(&to)
	node, swarm := l.of(logNode), slog.New(l.handler(logLibp2p)).With("logger", "swarm2").WithGroup("g")
	node.Info("no")
	swarm.Warn("no")
	if err := l.levels.Set("info,libp2p=warn"); err != nil {
		t.Fatal(err)
	}
	node.Info("one")
	swarm.Info("no")
	swarm.Warn("two", "k", "v")
	l.format.follow(true)
	node.Info("three")
	if err := l.format.Set("text"); err != nil {
		t.Fatal(err)
	}
	l.format.follow(true)
	node.Info("four")
	want := []string{
		`level=INFO msg=one part=node`,
		`level=WARN msg=two part=libp2p logger=swarm2 g.k=v`,
		`"level":"INFO","msg":"three","part":"node"}`,
		`level=INFO msg=four part=node`,
	}
	lines := strings.Split(strings.TrimSpace(to.String()), "\n")
	if len(lines) != len(want) {
		t.Fatalf("%q", lines)
	}
	for i, line := range lines {
		if !strings.HasSuffix(line, want[i]) {
			t.Errorf("%q, want …%q", line, want[i])
		}
	}
}

// The levels of a running node are told and changed from outside.
func TestLogCommand(t *testing.T) {
	dir := t.TempDir()
	if r := command(t, "log", "debug", "--data-dir", dir); r.code != exitUnreachable || !strings.Contains(r.err, "no node runs") {
		t.Errorf("without a node: %+v", r)
	}
	n := startRun(t, dir, "--json", "--log-format", "text")
	if r := command(t, "log", "--data-dir", dir, "--json"); r.object(t)["levels"] != "warn,libp2p=error" {
		t.Errorf("at first: %+v", r)
	}
	strangerAt(t, n)
	if got := n.errs.String(); got != "" {
		t.Errorf("a stranger is news: %s", got)
	}
	if r := command(t, "log", "loud", "--data-dir", dir); r.code != exitUsage || !strings.Contains(r.err, `no level "loud"`) {
		t.Errorf("a level that is none: %+v", r)
	}
	if r := command(t, "log", "warn,node=info", "--data-dir", dir); r.code != exitOK || r.out != "warn,node=info,libp2p=error\n" {
		t.Errorf("change: %+v", r)
	}
	strangerAt(t, n)
	if !eventually(func() bool {
		return strings.Contains(n.errs.String(), "level=INFO msg=\"connection refused\" part=node")
	}) {
		t.Errorf("the log has %q", n.errs.String())
	}
}

// strangerAt says something that is no handshake to a node, and waits until that has been noticed.
func strangerAt(t *testing.T, n *running) {
	t.Helper()
	_, address, _ := strings.Cut(n.peer, "::")
	at, err := manet.ToNetAddr(ma.StringCast(address))
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Write([]byte("\x00" + strings.Repeat("garbage", 100))); err != nil {
		t.Fatal(err)
	}
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 100); err == nil; { // what comes is of no interest, its end is
		_, err = c.Read(b)
	}
}

func eventually(is func() bool) bool {
	for limit := time.Now().Add(patience); !is(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(limit) {
			return false
		}
	}
	return true
}
