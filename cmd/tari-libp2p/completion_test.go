package main

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// offered is what the shell is told for the last of args: the values without their descriptions, and cobra's directive.
func offered(t *testing.T, args ...string) (values []string, directive string) {
	t.Helper()
	r := command(t, append([]string{"__complete"}, args...)...)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	for _, line := range lines[:len(lines)-1] {
		value, _, _ := strings.Cut(line, "\t")
		values = append(values, value)
	}
	return values, lines[len(lines)-1]
}

const (
	noFiles        = ":4"
	noFilesNoSpace = ":6"
	files          = ":0"
	folders        = ":16"
)

// bookFolder is a data folder with friend and other in its book.
func bookFolder(t *testing.T) string {
	t.Helper()
	dir := t.TempDir()
	for _, peer := range []string{friend, other} {
		if r := command(t, "peers", "add", peer, "--data-dir", dir); r.code != exitOK {
			t.Fatalf("%+v", r)
		}
	}
	return dir
}

const other = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76::/ip4/203.0.113.8/tcp/18189"

func TestCompletion(t *testing.T) {
	dir := bookFolder(t)
	at := "--data-dir=" + dir
	friendsNode := nodeID(t, friend)
	networks := networkNames()
	both := []string{key(friend), key(other)}
	var parts []string
	for _, part := range logParts {
		parts = append(parts, "info,"+string(part)+"=")
	}
	for _, c := range []struct {
		args      []string
		want      []string
		directive string
	}{
		{[]string{"peers", "get", at, ""}, both, noFiles},
		{[]string{"peers", "rm", at, friend[:3]}, both[:1], noFiles},
		{[]string{"ban", at, friendsNode[:6]}, []string{friendsNode}, noFiles},
		{[]string{"unban", at, ""}, both, noFiles},
		{[]string{"peers", "allow", at, key(friend), "e2"}, both[1:], noFiles},
		{[]string{"dial", at, key(friend) + ":"}, []string{friend}, noFiles},
		{[]string{"send", at, ""}, both, noFiles},
		{[]string{"send", at, key(friend), ""}, nil, noFiles},
		{[]string{"peers", "get", at, key(friend), ""}, nil, noFiles},
		{[]string{"peers", "get", at, "not hexadecimal"}, nil, noFiles},
		{[]string{"run", at, "--peer", ""}, []string{friend, other}, noFiles},
		{[]string{"run", at, "--seed", key(other) + "::/ip4"}, []string{other}, noFiles},
		{[]string{"peers", "add", at, "7"}, []string{friend}, noFiles},
		{[]string{"run", "--network", ""}, networks, noFiles},
		{[]string{"run", "--log", ""}, []string{"debug", "info", "warn", "error", "off"}, noFiles},
		{[]string{"run", "--log", "info,libp2p=o"}, []string{"info,libp2p=debug", "info,libp2p=info", "info,libp2p=warn", "info,libp2p=error", "info,libp2p=off"}, noFiles},
		{[]string{"run", "--log", "info,s"}, parts, noFilesNoSpace},
		{[]string{"run", "--log-format", ""}, []string{"text", "json"}, noFiles},
		{[]string{"run", "--config", ""}, nil, files},
		{[]string{"config", "check", ""}, nil, files},
		{[]string{"config", "show", "peers", "al"}, []string{"add", "allow", "allowed", "banned", "disallow", "export", "get", "import", "list", "rm"}, noFiles},
		{[]string{"log", ""}, []string{"debug", "info", "warn", "error", "off"}, noFiles},
		{[]string{"run", "--never-dial", ""}, nil, noFiles},
		{[]string{"run", "--refuse", ""}, nil, noFiles},
		{[]string{"run", "--tor-password-file", ""}, nil, files},
		{[]string{"run", "--data-dir", ""}, nil, folders},
		{[]string{"peers", "import", ""}, nil, files},
		{[]string{"peers", "export", ""}, nil, files},
		{[]string{"identity", "import", ""}, nil, files},
		{[]string{"seeds", "--seed-file", ""}, nil, files},
		{[]string{"headers", "--file", ""}, nil, files},
		{[]string{"completion", ""}, []string{"bash", "fish", "powershell", "zsh"}, noFiles},
	} {
		got, directive := offered(t, c.args...)
		if !slices.Equal(got, c.want) || directive != c.directive {
			t.Errorf("%q: %q, %s; want %q, %s", c.args, got, directive, c.want, c.directive)
		}
	}
	if got, _ := offered(t, "explain", ""); !slices.Contains(got, "refused") || !slices.Contains(got, "noise.ErrNoAnswer") || slices.Contains(got, "queue full") {
		t.Errorf("explain: %q", got)
	}
	if got, _ := offered(t, "run", "--accept", "nextnet,m"); !slices.Contains(got, "nextnet,mainnet") {
		t.Errorf("--accept nextnet,m: %q", got)
	}
}

// TestCompletionInDefaultFolder: the folder is that of the network, and commands that touch none complete from it too.
func TestCompletionInDefaultFolder(t *testing.T) {
	home := t.TempDir()
	t.Setenv("XDG_DATA_HOME", home)
	if got, _ := offered(t, "ping", ""); got != nil {
		t.Errorf("offered %q from no folder", got)
	}
	if made, err := os.ReadDir(home); err != nil || len(made) != 0 {
		t.Fatalf("completion made %v, %v", made, err)
	}
	if r := command(t, "peers", "add", friend, "--network", "nextnet"); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	for _, c := range []string{"ping", "tip", "fork-check", "headers", "blocks", "conformance", "crawl"} {
		if got, _ := offered(t, c, "--network", "nextnet", ""); !slices.Equal(got, []string{friend}) {
			t.Errorf("%s: %q", c, got)
		}
	}
	t.Setenv("TARI_LIBP2P_NETWORK", "nextnet")
	if got, _ := offered(t, "ping", ""); !slices.Equal(got, []string{friend}) {
		t.Errorf("with the network in the environment: %q", got)
	}
	if got, _ := offered(t, "rpc", "call", "--network", "nextnet", ""); !slices.Equal(got, []string{friend}) {
		t.Errorf("rpc call: %q", got)
	}
	if got, _ := offered(t, "ping", "--network", "moon", ""); got != nil {
		t.Errorf("another network: %q", got)
	}
}

// TestCompletionOfRunningNode asks the node, and takes nothing from it.
func TestCompletionOfRunningNode(t *testing.T) {
	dir := bookFolder(t)
	startRun(t, dir)
	if r := command(t, "peers", "rm", key(other), "--data-dir", dir); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	if got, _ := offered(t, "peers", "get", "--data-dir", dir, ""); !slices.Equal(got, []string{key(friend)}) {
		t.Errorf("%q: not what the node knows", got)
	}
}

// TestCompletionOfLockedFolder: a folder that another process has open, with no control socket, is read all the same.
func TestCompletionOfLockedFolder(t *testing.T) {
	dir := bookFolder(t)
	n, err := node.Open(node.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	if got, _ := offered(t, "peers", "get", "--data-dir", dir, "7"); !slices.Equal(got, []string{key(friend)}) {
		t.Errorf("%q", got)
	}
}

// TestCompletionIsHarmless: an address that a shell could take for more than text is not offered.
func TestCompletionIsHarmless(t *testing.T) {
	dir := t.TempDir()
	n, err := node.Open(node.Config{DataDir: dir})
	if err != nil {
		t.Fatal(err)
	}
	peer, err := parsePeer(friend)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"$(reboot)", "a;b", "`b`", "a b", "a'b", "a*", "example.com"} {
		peer.Addrs = append(peer.Addrs, ma.StringCast("/dns4/"+name+"/tcp/1"))
	}
	if _, err := n.AddSeeds([]tari.Address{peer}); err != nil {
		t.Fatal(err)
	}
	if err := n.Close(); err != nil {
		t.Fatal(err)
	}
	got, _ := offered(t, "peers", "add", "--data-dir", dir, "")
	slices.Sort(got)
	if want := []string{key(friend) + "::/dns4/example.com/tcp/1", friend}; !slices.Equal(got, want) {
		t.Errorf("offered %q", got)
	}
}

// TestCompletionKnowsNames: every name that a usage line or an option's help uses is one that completes, or is known not to.
func TestCompletionKnowsNames(t *testing.T) {
	nothing := []string{"TEXT", "-", "--all", "ADDRESS", "PROTOCOL", "METHOD", "HEX", "@FILE"}
	root := commandTree()
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		for _, word := range strings.Fields(c.Use)[1:] {
			names, _ := argument(word)
			for name := range strings.SplitSeq(names, "|") {
				if new(app).offerNamed(name) == nil && !slices.Contains(nothing, name) {
					t.Errorf("%s: what is to be offered for %s?", c.CommandPath(), name)
				}
			}
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
}

// shell is a program that these tests need: in CI it must be there.
func shell(t *testing.T, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		missing(t, name)
	}
	return path
}

func missing(t *testing.T, name string) {
	t.Helper()
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is missing: scripts/test.sh prepare installs it", name)
	}
	t.Skipf("%s is missing", name)
}

// script writes a shell's completion into a file.
func script(t *testing.T, shell string) string {
	t.Helper()
	r := command(t, "completion", shell)
	if r.code != exitOK || len(r.out) < 1000 {
		t.Fatalf("%+v", r)
	}
	var want bytes.Buffer
	root := commandTree()
	switch shell {
	case "bash":
		_ = root.GenBashCompletionV2(&want, true)
	case "zsh":
		_ = root.GenZshCompletion(&want)
	case "fish":
		_ = root.GenFishCompletion(&want, true)
	case "powershell":
		_ = root.GenPowerShellCompletionWithDesc(&want)
	}
	if r.out != want.String() {
		t.Errorf("the %s script was changed on its way out", shell)
	}
	file := filepath.Join(t.TempDir(), "completion")
	if err := os.WriteFile(file, []byte(r.out), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}

// installed is a PATH with our command first: this test's program, which TestMain makes behave as such.
func installed(t *testing.T) []string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.Symlink(self, filepath.Join(dir, "tari-libp2p")); err != nil {
		t.Fatal(err)
	}
	return append(os.Environ(), "PATH="+dir+":"+os.Getenv("PATH"), asCommand+"=1")
}

func shellSays(t *testing.T, env []string, name string, args ...string) []string {
	t.Helper()
	c := exec.CommandContext(t.Context(), name, args...)
	c.Env = env
	var errs strings.Builder
	c.Stderr = &errs
	out, err := c.Output()
	if err != nil {
		t.Fatalf("%s: %v, %s", name, err, errs.String())
	}
	return strings.Split(strings.TrimSpace(string(out)), "\n")
}

// TestCompletionInBash presses the tab key.
func TestCompletionInBash(t *testing.T) {
	bash, file := shell(t, "bash"), script(t, "bash")
	shellSays(t, nil, bash, "-n", file)
	helpers := "/usr/share/bash-completion/bash_completion"
	if _, err := os.Stat(helpers); err != nil {
		missing(t, "the package bash-completion")
	}
	dir := bookFolder(t)
	const tab = `
		. "$1"; . "$2"; shift 2
		complete -p tari-libp2p >/dev/null || exit
		COMP_LINE="$*"; COMP_WORDS=(${COMP_LINE//::/ :: }); COMP_CWORD=$((${#COMP_WORDS[@]} - 1)); COMP_POINT=${#COMP_LINE}; COMP_TYPE=9; COMP_KEY=9
		__start_tari-libp2p && printf '%s\n' "${COMPREPLY[@]}"`
	env := installed(t)
	for _, c := range []struct {
		typed []string
		want  string
	}{
		{[]string{"peers", "get", "--data-dir", dir, "70"}, key(friend)},
		{[]string{"run", "--network", "main"}, "mainnet"},
		{[]string{"run", "--data-dir", dir, "--peer", key(other) + "::/ip4"}, "/ip4/203.0.113.8/tcp/18189"}, // ":" parts words
	} {
		args := append([]string{"--norc", "--noprofile", "-c", tab, "bash", helpers, file, "tari-libp2p"}, c.typed...)
		if got := shellSays(t, env, bash, args...); !slices.Equal(got, []string{c.want}) {
			t.Errorf("%q: %q", c.typed, got)
		}
	}
}

// TestCompletionInFish presses the tab key.
func TestCompletionInFish(t *testing.T) {
	fish, file := shell(t, "fish"), script(t, "fish")
	home := t.TempDir() // it makes folders
	env := append(installed(t), "HOME="+home, "XDG_CONFIG_HOME="+home, "XDG_DATA_HOME="+home)
	shellSays(t, env, fish, "--no-execute", file)
	dir := bookFolder(t)
	for typed, want := range map[string]string{
		"peers get --data-dir " + dir + " 70": key(friend),
		"run --network main":                  "mainnet",
	} {
		got := shellSays(t, env, fish, "--no-config", "-c", "source $argv[1]; complete --do-complete $argv[2]", file, "tari-libp2p "+typed)
		if value, _, _ := strings.Cut(got[0], "\t"); len(got) != 1 || value != want {
			t.Errorf("%s: %q", typed, got)
		}
	}
}

func TestCompletionInZsh(t *testing.T) {
	zsh, file := shell(t, "zsh"), script(t, "zsh")
	shellSays(t, nil, zsh, "-n", file)
}

func TestCompletionInPowerShell(t *testing.T) {
	if text, err := os.ReadFile(script(t, "powershell")); err != nil || !bytes.Contains(text, []byte("Register-ArgumentCompleter -CommandName 'tari-libp2p'")) {
		t.Errorf("%v", err)
	}
}

func nodeID(t *testing.T, peer string) string {
	t.Helper()
	a, err := parsePeer(peer)
	if err != nil {
		t.Fatal(err)
	}
	return a.Key.NodeID().String()
}
