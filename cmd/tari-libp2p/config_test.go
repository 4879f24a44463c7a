package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestConfigInit: what it writes holds nothing, and with every key made to count, all defaults.
func TestConfigInit(t *testing.T) {
	r := command(t, "config", "init")
	if r.code != exitOK || strings.Contains(r.out, `\u`) {
		t.Fatalf("%+v", r)
	}
	name := filepath.Join(t.TempDir(), "config.toml")
	if w := command(t, "config", "init", name); w.code != exitOK || w.out != "written to "+name+"\n" {
		t.Fatalf("%+v", w)
	}
	text, err := os.ReadFile(name)
	if err != nil || string(text) != r.out {
		t.Errorf("the file is not what is printed: %v", err)
	}
	if st, err := os.Stat(name); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}
	if c := command(t, "config", "check", name, "--json").object(t); c["ok"] != true || c["keys"] != 0.0 {
		t.Errorf("as it is: %v", c)
	}
	options := fileOptions()
	if c := command(t, "config", "check", configOf(t, uncommented(r.out)), "--json").object(t); c["ok"] != true || c["keys"] != float64(len(options)) {
		t.Errorf("all keys: %v", c)
	}
	for _, o := range options {
		if strings.Count(r.out, "\n#"+o.Key+" = ") != 1 || !strings.Contains(r.out, o.Variable) || !strings.Contains(r.out, o.Help) {
			t.Errorf("not there: %s", o.Key)
		}
	}
	for _, line := range []string{"\n#max-inbound = 500\n", "\n#tor = false\n", "\n#network = \"mainnet\"\n", "\n#peer = []\n", "\n# of conformance: give up after this time; default: \"5m0s\"\n"} {
		if !strings.Contains(r.out, line) {
			t.Errorf("no line %q", line)
		}
	}

	if err := os.WriteFile(name, []byte("log = \"off\""), 0o644); err != nil {
		t.Fatal(err)
	}
	if w := command(t, "config", "init", name); w.code != exitUsage || !strings.Contains(w.err, "not overwritten") {
		t.Errorf("%+v", w)
	}
	if text, _ := os.ReadFile(name); string(text) != "log = \"off\"" {
		t.Errorf("now it holds %q", text)
	}
	if w := command(t, "config", "init", name, "--force", "--json"); w.object(t)["file"] != name {
		t.Errorf("%+v", w)
	}
	if text, _ := os.ReadFile(name); string(text) != r.out {
		t.Errorf("now it holds %q", text)
	}
	if w := command(t, "config", "init", filepath.Join(name+".d", "x")); w.code != exitNotFound {
		t.Errorf("no such folder: %+v", w)
	}
	if list := command(t, "config", "init", "--json").object(t)["options"].([]any); len(list) != len(options) {
		t.Errorf("%d options as JSON", len(list))
	}
}

// TestConfigCheck: all faults are told of at once, in the order of their lines, each with its cure.
func TestConfigCheck(t *testing.T) {
	file := configOf(t,
		"max_inbound = 5",
		`network = "moon"`,
		"onion-port = 70000 # too much",
		`peer = ["x", "y"]`,
		`secret-key = "`+strings.Repeat("ab", 32)+`"`,
		"count = 0", // headers would take it
		"tor = true",
		"tor = false",
		`timeout = 5`,
		"log = off")
	faults := command(t, "config", "check", file, "--json").object(t)["faults"].([]any)
	want := []struct {
		key, says string
		line      float64
	}{
		{"max_inbound", "no option", 1},
		{"network", "mainnet", 2},
		{"onion-port", "65535", 3},
		{"peer", `"y"`, 4},
		{"secret-key", "no option", 5},
		{"count", "above 0", 6},
		{"tor", "line 7", 8},
		{"timeout", "a text in quotes", 9},
		{"", "not TOML", 10},
	}
	if len(faults) != len(want) {
		t.Fatalf("%d faults: %v", len(faults), faults)
	}
	for i, w := range want {
		f := faults[i].(map[string]any)
		key, _ := f["key"].(string)
		if key != w.key || f["line"] != w.line || !strings.Contains(f["error"].(string), w.says) || f["cure"] == "" {
			t.Errorf("%v is not about %q in line %v", f, w.key, w.line)
		}
	}
	r := command(t, "config", "check", file)
	if r.code != exitUsage || strings.Count(r.out, "\n") != len(want) || strings.Count(r.out, file+":") != len(want) || !strings.Contains(r.err, "9 faults") {
		t.Errorf("%+v", r)
	}
	if strings.Contains(r.out+r.err, "abab") {
		t.Errorf("the value of a key that nobody knows is shown: %s", r.out)
	}
	if o := command(t, "config", "check", file, "--json"); o.code != exitUsage || o.object(t)["failure"] != "usage" || o.object(t)["file"] != file || o.object(t)["ok"] != false {
		t.Errorf("%+v", o)
	}
	if r := command(t, "config", "check", configOf(t, `"\u001b[2J" = 1`, `log = "\u001b[2J"`)); r.code != exitUsage || strings.Contains(r.out, "\x1b") {
		t.Errorf("%+v", r)
	}
}

// TestConfigTogether: values that are good one by one, and that run does not take together.
func TestConfigTogether(t *testing.T) {
	for _, c := range []struct {
		says  string
		lines []string
	}{
		{"exclude each other", []string{"tor = true", "tor-only = true", "tor-direct = true"}},
		{"need --tor or --socks", []string{"tor-only = true"}},
		{"exclude each other", []string{`dns-seed = ["seeds.example"]`, "no-dns-seeds = true"}},
		{"needs --dns-server", []string{"dnssec = true"}},
		{"same wire byte", []string{`network = "stibbons"`, `accept = ["ridcully"]`}},
		{"there is no file", []string{`tor-password-file = "/nonexistent"`}},
		{"", []string{"tor = true", "tor-only = true", `socks = "127.0.0.1:9050"`}},
	} {
		t.Setenv("TARI_LIBP2P_TOR_ONLY", "true") // the file is checked by itself
		r := command(t, "config", "check", configOf(t, c.lines...))
		if c.says == "" && r.code != exitOK || c.says != "" && (r.code != exitUsage || !strings.Contains(r.out, c.says)) {
			t.Errorf("%q: %+v", c.lines, r)
		}
	}
}

// TestConfigShow: each value, and where it comes from.
func TestConfigShow(t *testing.T) {
	file := configOf(t, "# mine", "max-inbound = 7", `peer = ["`+friend+`"]`, "network = \"nextnet\"")
	t.Setenv("TARI_LIBP2P_NETWORK", "igor")
	t.Setenv("TARI_LIBP2P_LISTEN", "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/tcp/1")
	byKey := map[string]map[string]any{}
	shown := command(t, "config", "show", "--config", file, "--json").object(t)
	for _, o := range shown["options"].([]any) {
		o := o.(map[string]any)
		byKey[o["key"].(string)] = o
	}
	for key, want := range map[string]struct {
		value  any
		source string
		line   any
	}{
		"max-inbound": {7.0, "file", 2.0},
		"network":     {"igor", "environment", nil},
		"tor-control": {"127.0.0.1:9051", "default", nil},
		"tor":         {false, "default", nil},
	} {
		if o := byKey[key]; o["value"] != want.value || o["source"] != want.source || o["line"] != want.line || o["variable"] != variable(key) {
			t.Errorf("%s: %v", key, o)
		}
	}
	if list := byKey["listen"]["value"].([]any); len(list) != 2 || shown["command"] != "run" || shown["file"] != file {
		t.Errorf("%v", shown)
	}
	r := command(t, "config", "show", "--config", file)
	for _, line := range []string{"max-inbound = 7 ", "# " + file + ":2\n", "# TARI_LIBP2P_NETWORK\n", "# default\n"} {
		if !strings.Contains(r.out, line) {
			t.Errorf("no %q in %s", line, r.out)
		}
	}
	if c := command(t, "config", "check", configOf(t, r.out)); c.code != exitOK { // what is shown is TOML
		t.Errorf("%+v", c)
	}
	if r := command(t, "config", "show", "peers", "list", "--config", file); r.code != exitOK || strings.Contains(r.out, "max-inbound") || !strings.Contains(r.out, "data-dir") {
		t.Errorf("%+v", r)
	}
	for _, args := range [][]string{{"fly"}, {"peers"}, {"run", "fast"}, {"--config", configOf(t, "x = 1")}, {"--config", configOf(t, "max-inbound = 0")}} {
		if r := command(t, append([]string{"config", "show"}, args...)...); r.code != exitUsage {
			t.Errorf("%q: %+v", args, r)
		}
	}
}
