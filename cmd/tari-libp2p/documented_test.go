package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/dialect"
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

// TestFieldsDocumented: docs/cli.md names every field of every object that the commands print.
func TestFieldsDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	dir, out := t.TempDir(), t.TempDir()
	them := startRun(t, t.TempDir(), "--json", "--allow-test-addresses")
	startRun(t, dir, "--json", "--allow-test-addresses", "--peer", them.peer, "--public-address", "/ip4/127.0.0.1/tcp/1")
	connected := them.line(`"event":"connected"`)
	_, address, _ := strings.Cut(them.peer, "::")
	service := startService(t, dialect.Mainnet)
	chain, forked := startChain(t, 3)
	other, _ := startChain(t, 3)
	forked.Set(4, 0, 1, 10)
	book := filepath.Join(out, "book")
	with := func(args ...string) []string { return append(args, "--data-dir", dir) }
	names := map[string]bool{}
	for _, c := range [][]string{
		{"version"},
		{"explain", "refused"},
		with("identity", "show"), with("identity", "export"), with("identity", "export", filepath.Join(out, "id")),
		{"identity", "new", "--data-dir", filepath.Join(out, "new")},
		{"identity", "new", "--force", "--data-dir", filepath.Join(out, "new")},
		with("peers", "add", friend), with("ban", key(friend)), with("peers", "list"), with("peers", "banned"), with("unban", key(friend)),
		with("peers", "allow", key(friend)), with("peers", "allowed"), with("peers", "disallow", key(friend)), with("unban", "--all"),
		with("peers", "get", key(them.peer)), with("peers", "export", book), with("peers", "import", book), with("peers", "rm", key(friend)),
		with("send", key(them.peer), "x"), with("dial", key(them.peer)), with("connections"), with("status"), with("top", "--once"), with("doctor"), with("log"),
		{"ping", them.peer},
		{"ping", friend[:64] + "::" + address},
		{"liveness", address},
		{"seeds", "--seed-file", book},
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
	} {
		for line := range strings.Lines(command(t, append(c, "--json")...).out) {
			var o map[string]any
			if err := json.Unmarshal([]byte(line), &o); err != nil || o["schema"] != float64(schema) {
				t.Errorf("%q: %v in %s", c, err, line)
			}
			fields(o, names)
		}
	}
	for _, event := range []string{connected, them.line(`"event":"message"`)} {
		var o map[string]any
		if err := json.Unmarshal([]byte(event), &o); err != nil {
			t.Error(err)
		}
		fields(o, names)
	}
	for name := range names {
		if !strings.Contains(string(raw), "`"+name+"`") && name != "schema" {
			t.Errorf("docs/cli.md does not name the field %q", name)
		}
	}
	if len(names) < 60 {
		t.Errorf("only %d fields were seen", len(names))
	}
}
