package main

import (
	"bytes"
	"cmp"
	"encoding/json"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

// fields adds the names of all fields in v to names.
func fields(v any, names map[string]bool) {
	switch v := v.(type) {
	case map[string]any:
		for name, inner := range v {
			names[name] = true
			fields(inner, names)
		}
	case []any:
		for _, inner := range v {
			fields(inner, names)
		}
	}
}

// printed is a line that a command printed, and its name in docs/schema.json.
type printed struct {
	name string
	line string
}

// output runs every command with --json, some so that they fail, and a node through what it has events of.
func output(t *testing.T) (all []printed) {
	t.Helper()
	dir, out := t.TempDir(), t.TempDir()
	them := startRun(t, t.TempDir(), "--json", "--allow-test-addresses", "--libp2p", "--metrics-addr", "0", "--web=0")
	us := startRun(t, dir, "--json", "--allow-test-addresses", "--peer", them.peer, "--public-address", "/ip4/127.0.0.1/tcp/1")
	connected := them.line(`"event":"connected"`)
	_, address, _ := strings.Cut(them.peer, "::")
	service := startService(t, dialect.Mainnet)
	chain, forked := startChain(t, 3)
	other, _ := startChain(t, 3)
	forked.Set(4, 0, 1, 10)
	book, seedFile := filepath.Join(out, "book"), filepath.Join(out, "seeds")
	if err := os.WriteFile(seedFile, []byte(friend+"\nnobody\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	with := func(args ...string) []string { return append(args, "--data-dir", dir) }
	for _, c := range [][]string{
		{"version"},
		{"explain", "refused"},
		with("identity", "show"), with("identity", "export"), with("identity", "export", filepath.Join(out, "id")),
		{"identity", "new", "--data-dir", filepath.Join(out, "new")},
		{"identity", "new", "--force", "--data-dir", filepath.Join(out, "new")},
		{"identity", "import", "../../node/testdata/base_node_id.json", "--data-dir", filepath.Join(out, "import")},
		with("peers", "add", friend), with("ban", key(friend)), with("peers", "list"), with("peers", "banned"), with("unban", key(friend)),
		with("peers", "allow", key(friend)), with("peers", "allowed"), with("peers", "disallow", key(friend)), with("unban", "--all"),
		with("peers", "get", key(them.peer)), with("peers", "export", book), with("peers", "import", book), with("peers", "import", seedFile),
		with("peers", "rm", key(friend)),
		with("send", key(them.peer), "x"), with("dial", key(them.peer)), with("connections"), with("status"), with("ban", key(friend)),
		with("top", "--once"), with("doctor"), with("log"),
		{"ping", them.peer},
		{"ping", friend[:64] + "::" + address},
		{"ping", them.peer, "--network", "nextnet"},
		{"liveness", address},
		{"seeds", "--seed-file", book},
		{"seeds", "--seed-file", seedFile},
		{"seeds", "--dns-server", nameServer(t, friend, "nobody"), "--dns-seed", "seeds.example.test"},
		{"crawl", them.peer, friend[:64] + "::/ip4/127.0.0.1/tcp/1", "--allow-test-addresses"},
		{"demo"},
		{"rpc", "call", service, "t/test/1", "2", "0801"},
		{"rpc", "call", service, "t/test/1", "3"},
		{"tip", chain, nobody(), "--network", "localnet"},
		{"fork-check", chain, other, nobody(), "--tolerate", "0", "--network", "localnet"},
		{"headers", chain, "--network", "localnet"},
		{"blocks", chain, "--network", "localnet"},
		{"conformance", key(friend) + "::/ip4/127.0.0.1/tcp/1"},
		{"config", "init"},
		{"config", "init", filepath.Join(out, "config.toml")},
		{"config", "check", configOf(t, "max-inbound = 0")},
		{"config", "show", "--config", configOf(t, "max-inbound = 7")},
		{"tor", "status", "--tor-control", "127.0.0.1:1", "--data-dir", out},
		{"send", key(friend), "x", "--data-dir", out},
		{"status", "--data-dir", filepath.Join(out, "empty")},
		{"top", "--count", "2", "--every", "10ms", "--data-dir", filepath.Join(out, "empty")},
	} {
		for line := range strings.Lines(command(t, append(c, "--json")...).out) {
			all = append(all, printed{schemaName(t, c, line), line})
		}
	}
	events := []string{connected, them.line(`"event":"message"`)}
	them.stop()
	us.stop()
	for _, n := range []*running{them, us} {
		events = append(events, n.all...)
	}
	for _, line := range append(events, unusualEvents(t)...) {
		all = append(all, printed{schemaName(t, []string{"run"}, line), line})
	}
	return all
}

// unusualEvents are printed as run and watch print them, but nothing has happened.
func unusualEvents(t *testing.T) (lines []string) {
	t.Helper()
	var out bytes.Buffer
	a := newApp(nil, &out, io.Discard)
	a.json = true
	size := 0
	onion := "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141"
	for _, e := range []node.Event{
		{Kind: node.EventMessage, Peer: key(friend), Size: &size},
		{Kind: node.EventBanned, Peer: key(friend), Error: "by hand"},
		{Kind: node.EventSpared, Peer: key(friend), Error: "a frame of 9 MiB"},
		{Kind: node.EventDialFailed, Peer: key(friend), Error: "nobody is there"},
		{Kind: node.EventRefused, Address: "/ip4/203.0.113.7/tcp/1", Direction: "inbound", Error: "noise: it was", Stages: []node.Stage{{Name: "noise", Error: "it was"}}},
		{Kind: node.EventRefusals, Refused: tari.Refusals{tari.RefusedInbound: 7}},
		{Kind: node.EventBookFailed, Peer: key(friend), Error: "the disk is full"},
		{Kind: node.EventTor, Address: onion, Error: "Tor has gone"},
		{Kind: node.EventIdentityBackup, Path: "/data/base_node_id.json.1.bak"},
		{Kind: node.EventMissed, Missed: 3},
	} {
		e.Time = time.Now()
		a.watched(e)
	}
	a.tellSeeds(new(seeds.Report), 0, 0, slog.New(slog.DiscardHandler))
	if err := a.out.json(chainEvent{Event: eventRollback}); err != nil {
		t.Fatal(err)
	}
	return slices.Collect(strings.Lines(out.String()))
}

// schemaName is the name in docs/schema.json of a line that a command printed.
func schemaName(t *testing.T, args []string, line string) string {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(line), &o); err != nil {
		t.Fatalf("%q: %v in %s", args, err, line)
	}
	has := func(field string) bool { _, has := o[field]; return has }
	if event, ok := o["event"].(string); ok {
		names := map[string]string{"header": "headers", "block": "blocks", "rollback": "rollback", "visited": "crawl-visited", "summary": "crawl-summary"}
		return cmp.Or(names[event], "event-"+event)
	}
	cmd, _, err := commandTree().Find(args)
	name := strings.ReplaceAll(strings.TrimPrefix(cmd.CommandPath(), "tari-libp2p "), " ", "-")
	switch {
	case err != nil:
		t.Fatal(err)
	case has("failure") && len(o) <= 4 && !has("ok"):
		return "failed"
	case name == "top" && has("failure"):
		return "top-absent"
	case name == "identity-import":
		return "identity-new"
	case name == "identity-export" && has("file"):
		return "identity-export-file"
	case name == "peers-disallow":
		return "peers-allow"
	case name == "config-init" && has("file"):
		return "config-init-file"
	case has("lifted"):
		return "unban-all"
	case has("answers"):
		return "rpc-call-end"
	case has("check"):
		return "conformance-check"
	}
	return name
}

// TestJSON: docs/cli.md names every field of every object that the commands print, and docs/schema.json describes it.
func TestJSON(t *testing.T) {
	all := output(t)
	t.Run("named", func(t *testing.T) { testNamed(t, all) })
	t.Run("schema", func(t *testing.T) { testSchema(t, all) })
}

func testNamed(t *testing.T, all []printed) {
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	names := map[string]bool{}
	for _, p := range all {
		var o map[string]any
		if err := json.Unmarshal([]byte(p.line), &o); err != nil || o["schema"] != float64(schema) {
			t.Errorf("%s: %v in %s", p.name, err, p.line)
		}
		for _, counts := range []string{"refused", "classes", "invalid", "dropped"} { // their names are values
			delete(o, counts)
		}
		fields(o, names)
	}
	for name := range names {
		if !strings.Contains(string(raw), "`"+name+"`") && name != "schema" {
			t.Errorf("docs/cli.md does not name the field %q", name)
		}
	}
	if len(names) < 100 {
		t.Errorf("only %d fields were seen", len(names))
	}
}
