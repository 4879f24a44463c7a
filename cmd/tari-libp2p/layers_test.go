package main

import (
	"bufio"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestEveryOption walks the tree of commands: each option has a variable and a key, and takes its example from both.
func TestEveryOption(t *testing.T) {
	options, byKey, variables := fileOptions(), map[string]option{}, map[string]string{}
	for _, o := range options {
		byKey[o.Key] = o
		if other, twice := variables[o.Variable]; twice {
			t.Errorf("%s and %s have the variable %s", other, o.Key, o.Variable)
		}
		variables[o.Variable] = o.Key
	}
	types := []string{"bool", "number", "uint16", "uint64", "string", "texts", "stringSlice", "stringArray", "time", "HOST:PORT", "[HOST:]PORT", "HEIGHT:HASH", "levels", "format"}
	seen := 0
	check := func(f *pflag.Flag) {
		if f.Name == "help" || f.Name == configOption {
			return
		}
		seen++
		o, ok := byKey[f.Name]
		if !ok || o.Help == "" || o.Variable != "TARI_LIBP2P_"+strings.ToUpper(strings.ReplaceAll(f.Name, "-", "_")) {
			t.Errorf("--%s: %+v", f.Name, o)
		}
		if !slices.Contains(types, f.Value.Type()) || o.Kind != kindOf(f) {
			t.Errorf("--%s is a %s, %s in the file", f.Name, f.Value.Type(), o.Kind)
		}
		if err := setText(f, plainText(o.example)); err != nil && plainText(o.example) != "" {
			t.Errorf("%s=%s: %v", o.Variable, plainText(o.example), err)
		}
		if err := setValue(f, fileValue(o.example)); err != nil {
			t.Errorf("%s = %v: %v", o.Key, o.example, err)
		}
	}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(check)
		c.PersistentFlags().VisitAll(check)
		if has := c.Flags().Lookup(configOption) != nil; !has && readsConfig(c) {
			t.Errorf("%s has no --config", c.CommandPath())
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(discarding().rootCommand())
	if seen < 100 || len(options) < 50 {
		t.Errorf("saw %d options, of %d names", seen, len(options))
	}
}

// plainText is a value as its variable has it.
func plainText(value any) string {
	if items, ok := value.([]string); ok {
		return strings.Join(items, ",")
	}
	return strings.Trim(literal(value), `"`)
}

// fileValue is a value as the parser gives it.
func fileValue(value any) any {
	items, ok := value.([]string)
	if !ok {
		return value
	}
	out := []any{}
	for _, item := range items {
		out = append(out, item)
	}
	return out
}

// TestLayers: the command line goes before the environment, which goes before the file, which goes before the default.
func TestLayers(t *testing.T) {
	dir := t.TempDir()
	file := configOf(t, `network = "esmeralda"`, `json = true`, `data-dir = "`+dir+`"`)
	status := func(args ...string) any {
		t.Helper()
		return command(t, append([]string{"status", "--data-dir", dir, "--json"}, args...)...).object(t)["network"]
	}
	if n := status(); n != "mainnet" {
		t.Error(n)
	}
	if n := status("--config", file); n != "esmeralda" {
		t.Error(n)
	}
	if o := command(t, "status", "--config", file).object(t); o["data_dir"] != dir { // JSON too
		t.Error(o)
	}
	t.Setenv("TARI_LIBP2P_CONFIG", file)
	if n := status(); n != "esmeralda" {
		t.Error(n)
	}
	if n := status("--config", ""); n != "mainnet" {
		t.Error(n)
	}
	t.Setenv("TARI_LIBP2P_NETWORK", "nextnet")
	if n := status(); n != "nextnet" {
		t.Error(n)
	}
	if n := status("--network", "igor"); n != "igor" {
		t.Error(n)
	}
	t.Setenv("TARI_LIBP2P_NETWORK", "") // as if it were not there
	if n := status(); n != "esmeralda" {
		t.Error(n)
	}
	t.Setenv("TARI_LIBP2P_CONFIG", "/dev/null")
	if n := status(); n != "mainnet" {
		t.Error(n)
	}
	t.Setenv("TARI_LIBP2P_JSON", "1")
	if r := command(t, "fly"); r.object(t)["failure"] != "usage" {
		t.Errorf("%+v", r)
	}
	if r := command(t, "version", "--json=false"); strings.HasPrefix(r.out, "{") {
		t.Errorf("%+v", r)
	}
}

// TestDefaultConfig: the file in the usual place is read without a word, and told of when it cannot be.
func TestDefaultConfig(t *testing.T) {
	home, data := t.TempDir(), t.TempDir()
	t.Setenv("XDG_CONFIG_HOME", home)
	name := filepath.Join(home, "tari-libp2p", "config.toml")
	if r := command(t, "config", "check"); r.code != exitOK || !strings.Contains(r.out, "none at "+name) {
		t.Errorf("%+v", r)
	}
	if r := command(t, "config", "init", name); r.code != exitOK { // makes the folder
		t.Fatalf("%+v", r)
	}
	if err := os.WriteFile(name, []byte(`network = "igor"`), 0o600); err != nil {
		t.Fatal(err)
	}
	if n := command(t, "status", "--json", "--data-dir", data).object(t)["network"]; n != "igor" {
		t.Error(n)
	}
	if r := command(t, "config", "check"); r.code != exitOK || !strings.Contains(r.out, name+": 1 key, nothing wrong") {
		t.Errorf("%+v", r)
	}
	if err := os.WriteFile(name, []byte("network = 5"), 0o600); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "version"); r.code != exitOK {
		t.Errorf("version has no use for the file: %+v", r)
	}
	if err := os.Remove(name); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(name, 0o700); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "status", "--data-dir", data); r.code != exitUsage || !strings.Contains(r.err, `--config "" reads no file`) {
		t.Errorf("%+v", r)
	}
	if r := command(t, "status", "--data-dir", data, "--config", ""); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	t.Setenv("XDG_CONFIG_HOME", "relative")
	t.Setenv("HOME", home)
	if got := defaultConfigName(); got != filepath.Join(home, ".config", "tari-libp2p", "config.toml") {
		t.Error(got)
	}
	t.Setenv("HOME", "/dev/null") // as some users of services have it
	if r := command(t, "status", "--data-dir", data); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	t.Setenv("HOME", "")
	if r := command(t, "status", "--data-dir", data); r.code != exitOK {
		t.Errorf("%+v", r)
	}
}

// TestBadLayers: a bad value says where it stands, and the command does not start.
func TestBadLayers(t *testing.T) {
	data := t.TempDir()
	for _, c := range []struct {
		line, says string
	}{
		{`max-inbound = 0`, `:2: max-inbound = 0: a number above 0; it means: at most N connections`},
		{`max-inbound = "many"`, `:2: max-inbound = "many": a whole number belongs here`},
		{`max-inbound = 1.5`, `:2: max-inbound: a number with a fraction; a whole number belongs here`},
		{`max-inbound = 99999999999999999999`, `:2: max-inbound: a number out of range`},
		{`onion-port = 65536`, `:2: onion-port = 65536: a whole number from 0 to 65535`},
		{`tor = "yes"`, `:2: tor = "yes": true or false belongs here`},
		{`log = 3`, `:2: log = 3: a text in quotes belongs here`},
		{`log = "loud"`, `:2: log = "loud": no level "loud": one of debug,`},
		{`public-address = "/ip4/127.0.0.1/tcp/1"`, `:2: public-address = "/ip4/127.0.0.1/tcp/1": a list of texts belongs here`},
		{`public-address = ["/ip4/127.0.0.1/tcp/1", "x"]`, `"x": not a multiaddr`},
		{`refuse = ["1.2.3.4"]`, `:2: refuse = ["1.2.3.4"]: "1.2.3.4": not a network`},
		{`peer = ["x"]`, "64 hexadecimal characters"},
		{`network = 1979-05-27`, `:2: network: a date or time; a text in quotes`},
		{`max_inbound = 5`, `:2: max_inbound: no option has this name; did you mean max-inbound?`},
		{`secret = "` + strings.Repeat("5a", 32) + `"`, ``},
		{`tor-password = "hunter2"`, `:2: tor-password: no option has this name`},
		{`config = "other.toml"`, `:2: config: no option has this name`},
		{`help = true`, `:2: help: no option has this name`},
		{`run.tor = true`, `:2: run.tor: no option has this name`},
		{`[run]`, `:2: the table [run], where options have none`},
		{"log = \"off\"\nlog = \"off\"", `:3: log: it stands in line 2 already`},
		{`tor-only = true`, `--tor-only and --tor-direct need --tor or --socks; --tor-only is from `},
	} {
		file := configOf(t, "# comment", c.line)
		r := command(t, "run", "--config", file, "--data-dir", data, "--no-dns-seeds", "--listen", "/ip4/203.0.113.7/tcp/1")
		if c.says == "" { // of another command
			if r.code != exitOther {
				t.Errorf("%s: %+v", c.line, r)
			}
			continue
		}
		if r.code != exitUsage || !strings.Contains(r.err, c.says) || !strings.Contains(r.err, file) && !strings.Contains(c.says, "64") {
			t.Errorf("%s: %+v", c.line, r)
		}
		if strings.Contains(r.err, "hunter2") {
			t.Errorf("the value of a key that nobody knows is shown: %s", r.err)
		}
	}
	many := configOf(t, strings.Repeat("x.y = 1\n", 1)+"a1 = 1\na2 = 1\na3 = 1\na4 = 1\na5 = 1\na6 = 1")
	if r := command(t, "status", "--config", many, "--data-dir", data); r.code != exitUsage || !strings.Contains(r.err, "and 2 faults more") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct{ option, text, says string }{
		{"max-inbound", "many", `TARI_LIBP2P_MAX_INBOUND="many": a number above 0`},
		{"onion-port", "x", `TARI_LIBP2P_ONION_PORT="x": a whole number from 0 to 65535`},
		{"tor", "maybe", `TARI_LIBP2P_TOR="maybe": true or false`},
		{"listen", "/ip4/127.0.0.1/tcp/0,x", `TARI_LIBP2P_LISTEN="/ip4/127.0.0.1/tcp/0,x": "x": not a multiaddr`},
		{"listen", `"x`, `texts with commas between them`},
		{"config", "/nonexistent.toml", `there is no file "/nonexistent.toml"`},
	} {
		t.Run(c.option, func(t *testing.T) {
			t.Setenv(variable(c.option), c.text)
			r := command(t, "run", "--data-dir", data)
			if code := r.code; code != exitUsage && c.option != "config" || code == exitOK || !strings.Contains(r.err, c.says) {
				t.Errorf("%+v", r)
			}
			if o := command(t, "run", "--data-dir", data, "--json").object(t); !strings.Contains(o["error"].(string), c.says) {
				t.Errorf("%v", o)
			}
		})
	}
}

// TestKeysOfOthers: what a command has no option for does not hold for it, nor is it looked at.
func TestKeysOfOthers(t *testing.T) {
	file := configOf(t, "max-inbound = 0", "hostile = true", "secret = 5")
	if r := command(t, "status", "--config", file, "--data-dir", t.TempDir()); r.code != exitOK || r.err != "" {
		t.Errorf("%+v", r)
	}
	t.Setenv("TARI_LIBP2P_MAX_INBOUND", "0")
	if r := command(t, "status", "--data-dir", t.TempDir()); r.code != exitOK || r.err != "" {
		t.Errorf("%+v", r)
	}
}

// TestRunFromFile runs a node that has all of its options from the file and the environment, lists too.
func TestRunFromFile(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TARI_LIBP2P_ACCEPT", "stibbons,nextnet")
	file := configOf(t, `listen = ["/ip4/127.0.0.1/tcp/0"]`, `allow-test-addresses = true`, `data-dir = "`+dir+`"`, `accept = ["igor"]`)
	n := startPlain(t, dir, "--config", file)
	for network, code := range map[string]int{"mainnet": exitOK, "stibbons": exitOK, "nextnet": exitOK, "igor": exitRefused} {
		t.Setenv("TARI_LIBP2P_NETWORK", network)
		if r := command(t, "ping", n.peer); r.code != code {
			t.Errorf("%s: %+v", network, r)
		}
	}
}

// TestListenNowhere: an empty list in the file is --listen "", and not the default.
func TestListenNowhere(t *testing.T) {
	for line, places := range map[string]int{"listen = []": 0, "": 2, `listen = ["/ip4/127.0.0.1/tcp/0"]`: 1} {
		settings, _ := parseConfig([]byte(line))
		a := discarding()
		run, _, err := a.rootCommand().Find([]string{"run"})
		if err == nil {
			err = a.apply(run, configFile{settings: settings}, func(string) string { return "" })
		}
		if err != nil {
			t.Fatal(err)
		}
		if cfg, err := a.options.nodeConfig(run); err != nil || len(cfg.Listen) != places {
			t.Errorf("%s: %v, %v", line, cfg.Listen, err)
		}
	}
}

// TestCommandLineReplacesLists: what the command line says of a list is all of it.
func TestCommandLineReplacesLists(t *testing.T) {
	dir := t.TempDir()
	file := configOf(t, `listen = ["/ip4/203.0.113.7/tcp/1"]`, `dns-seed = ["seeds.example"]`)
	startRun(t, dir, "--config", file, "--dns-seed", "seeds.invalid", "--dns-server", "127.0.0.1:1")
}

// TestErrandsBesideFile: options for nodes that are started do not keep a command from asking the one that runs.
func TestErrandsBesideFile(t *testing.T) {
	dir := t.TempDir()
	them := startRun(t, t.TempDir(), "--allow-test-addresses")
	n := startRun(t, dir, "--allow-test-addresses", "--peer", them.peer)
	n.line("connected")
	for _, lines := range [][]string{{`socks = "127.0.0.1:1"`}, {"tor = true", "tor-only = true"}} {
		file := configOf(t, lines...)
		if r := command(t, "send", key(them.peer), "x", "--config", file, "--data-dir", dir); r.code != exitOK {
			t.Errorf("%q: %+v", lines, r)
		}
	}
	if r := command(t, "dial", key(them.peer), "--socks", "127.0.0.1:1", "--data-dir", dir); r.code != exitUsage {
		t.Errorf("a proxy for a node that runs: %+v", r)
	}
	file := configOf(t, "tor = true", "tor-only = true")
	r := command(t, "send", them.peer, "x", "--config", file, "--data-dir", t.TempDir())
	if r.code != exitUsage || !strings.Contains(r.err, "need --tor or --socks") || !strings.Contains(r.err, "--tor-only is from "+file+":2") {
		t.Errorf("a node of our own, that may dial onion addresses only and has no proxy: %+v", r)
	}
}

// TestVariables: those that look like an option are told of; others with our prefix are of others.
func TestVariables(t *testing.T) {
	for name, warned := range map[string]bool{
		"TARI_LIBP2P_MAX_INBOND": true, "TARI_LIBP2P_NETWRK": true, "TARI_LIBP2P_MAX_INBOUND": false,
		"TARI_LIBP2P_PORT": false, "TARI_LIBP2P_SERVICE_HOST": false, "TARI_LIBP2P_PORT_18189_TCP_ADDR": false, // Kubernetes
		"TARI_LIBP2P_LONG": false, "NOTIFY_SOCKET": false, "TARI_LIBP2P_": false,
	} {
		t.Run(name, func(t *testing.T) {
			t.Setenv(name, "7")
			for _, args := range [][]string{{"seeds", "--seed-file", "/dev/null"}, {"config", "check"}} {
				if r := command(t, args...); strings.Contains(r.err, name) != warned {
					t.Errorf("%q: %+v", args, r)
				}
			}
		})
	}
	t.Setenv("TARI_LIBP2P_ALL", "true") // also for what is checked beside the arguments
	dir := t.TempDir()
	if r := command(t, "unban", "--data-dir", dir); r.code != exitOK {
		t.Errorf("%+v", r)
	}
	if r := command(t, "unban", key(friend), "--data-dir", dir); r.code != exitUsage || !strings.Contains(r.err, "--all is from TARI_LIBP2P_ALL") {
		t.Errorf("%+v", r)
	}
}

var variableName = regexp.MustCompile(`TARI_LIBP2P_[A-Z0-9_]+`)

// TestVariablesOfTests: no variable of the repository's tests and scripts is that of an option, or looks like one.
func TestVariablesOfTests(t *testing.T) {
	const root = "../.."
	found := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && (name == filepath.Join(root, "cmd") || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if d.IsDir() || !strings.HasSuffix(name, ".go") && !strings.HasSuffix(name, ".sh") {
			return nil
		}
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		for s := bufio.NewScanner(f); s.Scan(); {
			for _, v := range variableName.FindAllString(s.Text(), -1) {
				found[v] = true
			}
		}
		return nil
	})
	if err != nil || len(found) < 5 {
		t.Fatal(found, err)
	}
	known := knownOptions()
	for option := range known {
		if found[variable(option)] {
			t.Errorf("%s is the variable of --%s", variable(option), option)
		}
	}
	for name := range found {
		t.Setenv(name, "1")
	}
	if r := command(t, "config", "check"); r.err != "" {
		t.Errorf("%+v", r)
	}
}
