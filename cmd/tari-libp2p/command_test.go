package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// asCommand is the variable that makes this test's program the command itself, for what starts it as a process.
const asCommand = "TARI_LIBP2P_TEST_AS_COMMAND"

func TestMain(m *testing.M) {
	for option := range knownOptions() { // whoever runs the tests may have a node
		os.Unsetenv(variable(option))
	}
	os.Setenv("XDG_CONFIG_HOME", os.DevNull+"/no") // nobody can put a file there
	if os.Getenv(asCommand) != "" {
		main()
	}
	goleak.VerifyTestMain(m)
}

// commandTree is the tree of commands, to look at.
func commandTree() *cobra.Command {
	root := discarding().rootCommand()
	root.InitDefaultCompletionCmd()
	return root
}

// patience is how long a test waits for what must come; it is long because machines can be slow.
const patience = 2 * time.Minute

// result is how a command ended.
type result struct {
	code     int
	out, err string
}

// command runs a command as a person would, and waits for its end.
func command(t *testing.T, args ...string) result {
	t.Helper()
	return commandIn(t, "", args...)
}

func commandIn(t *testing.T, stdin string, args ...string) result {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	var out, errs bytes.Buffer
	code := run(ctx, args, strings.NewReader(stdin), &out, &errs)
	return result{code, out.String(), errs.String()}
}

// object is the JSON object that a command printed.
func (r result) object(t *testing.T) map[string]any {
	t.Helper()
	var o map[string]any
	if err := json.Unmarshal([]byte(r.out), &o); err != nil {
		t.Fatalf("%v in %q (%s)", err, r.out, r.err)
	}
	if o["schema"] != float64(schema) {
		t.Errorf("schema %v", o["schema"])
	}
	return o
}

// running is a "run" under way.
type running struct {
	t      *testing.T
	lines  chan string
	cancel context.CancelFunc
	code   chan int
	errs   *syncBuffer
	peer   string   // PUBKEY::ADDRESS
	all    []string // lines that were waited for, or came before the end
}

type syncBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (s *syncBuffer) Write(p []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.Write(p)
}

func (s *syncBuffer) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.b.String()
}

// startRun starts "run" in a folder, listening on a free loopback port.
func startRun(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	return startPlain(t, dir, append([]string{"--data-dir", dir, "--listen", "/ip4/127.0.0.1/tcp/0"}, args...)...)
}

// startPlain starts "run" with these options, which lead to a folder and a loopback port.
func startPlain(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	r, w := io.Pipe()
	n := &running{t: t, lines: make(chan string, 1000), cancel: cancel, code: make(chan int, 1), errs: new(syncBuffer)}
	if !slices.Contains(args, "--dns-seed") {
		args = append(args, "--no-dns-seeds") // no test asks for the names of a real network
	}
	args = append([]string{"run"}, args...)
	go func() {
		n.code <- run(ctx, args, strings.NewReader(""), w, n.errs)
		_ = w.Close()
	}()
	go func() {
		defer close(n.lines)
		for s := bufio.NewScanner(r); s.Scan(); {
			n.lines <- s.Text()
		}
	}()
	t.Cleanup(func() {
		if n.stop() != exitOK {
			released(t, dir)
		}
	})
	if slices.Contains(args, "--json") {
		var ready struct{ Addresses []string }
		if err := json.Unmarshal([]byte(n.line("")), &ready); err != nil || len(ready.Addresses) == 0 {
			t.Fatal(err, n.errs)
		}
		n.peer = ready.Addresses[0]
		return n
	}
	n.peer = n.line("::/ip4/")
	n.line("Ctrl-C")
	return n
}

// released waits until nobody has the data folder. A node that was cut off as it closed goes on in this process, in which it would have
// ended with its own.
func released(t *testing.T, dir string) {
	t.Helper()
	for end := time.Now().Add(patience); ; time.Sleep(20 * time.Millisecond) {
		n, err := node.Open(node.Config{DataDir: dir})
		if err == nil {
			err = n.Close()
		}
		if _, locked := errors.AsType[*peerbook.LockedError](err); !locked || time.Now().After(end) {
			if err != nil {
				t.Log(err)
			}
			return
		}
	}
}

// line waits for a line with the text in it.
func (n *running) line(text string) string {
	n.t.Helper()
	limit := time.After(patience)
	for {
		select {
		case l, ok := <-n.lines:
			if !ok {
				n.t.Fatalf("the node ended before it said %q: %s", text, n.errs)
			}
			n.all = append(n.all, l)
			if strings.Contains(l, text) {
				return l
			}
		case <-limit:
			n.t.Fatalf("the node never said %q: %s", text, n.errs)
		}
	}
}

// stop is Ctrl-C; it returns the exit code.
func (n *running) stop() int {
	n.cancel()
	for l := range n.lines {
		n.all = append(n.all, l)
	}
	code := <-n.code
	n.code <- code
	return code
}

func key(peer string) string {
	k, _, _ := strings.Cut(peer, "::")
	return k
}

func TestRunSendPing(t *testing.T) {
	for _, network := range []string{"mainnet", "stibbons"} {
		t.Run(network, func(t *testing.T) {
			dir := t.TempDir()
			n := startRun(t, dir, "--network", network, "--allow-test-addresses")
			other := []string{"--network", network, "--allow-test-addresses", "--data-dir", t.TempDir()}

			if r := command(t, append([]string{"send", n.peer, "hello"}, other...)...); r.code != exitOK || !strings.Contains(r.out, "sent 5 bytes") {
				t.Fatalf("%+v", r)
			}
			n.line(`5 bytes: "hello"`)
			if r := commandIn(t, "from a pipe\x1b[2J", append([]string{"send", n.peer, "-", "--json"}, other...)...); r.code != exitOK || r.object(t)["bytes"] != 15.0 {
				t.Fatalf("%+v", r)
			}
			if l := n.line("from a pipe"); strings.Contains(l, "\x1b") {
				t.Errorf("a peer's escape sequence came through: %q", l)
			}

			r := command(t, "ping", "--network", network, "--count", "2", n.peer)
			for _, stage := range []string{"connect", "wire", "noise", "identity", "yamux", "round trip"} {
				if !strings.Contains(r.out, "\n"+stage) && !strings.HasPrefix(r.out, stage) {
					t.Errorf("no stage %q in %s", stage, r.out)
				}
			}
			if r.code != exitOK {
				t.Errorf("%+v", r)
			}
			o := command(t, "ping", "--network", network, "--json", n.peer).object(t)
			if o["ok"] != true || o["peer"] != key(n.peer) || len(o["round_trips_us"].([]any)) != 1 {
				t.Errorf("%v", o)
			}
			_, address, _ := strings.Cut(n.peer, "::")
			if r := command(t, "liveness", "--network", network, address); r.code != exitOK {
				t.Errorf("%+v", r)
			}
			if n.stop() != exitOK {
				t.Errorf("run ended with an error: %s", n.errs)
			}
			if _, err := os.Stat(filepath.Join(dir, "control.sock")); !os.IsNotExist(err) {
				t.Errorf("the control socket is left: %v", err)
			}
		})
	}
}

// TestFolder: what reads or changes a node's state says the same with and without a node that runs.
func TestFolder(t *testing.T) {
	dir := t.TempDir()
	at := []string{"--data-dir", dir, "--json"}
	identity := command(t, append([]string{"identity", "show"}, at...)...).object(t)
	for _, field := range []string{"public_key", "node_id", "peer_id", "features", "public_addresses", "file"} {
		if _, ok := identity[field]; !ok {
			t.Errorf("identity show has no %s", field)
		}
	}
	if st, err := os.Stat(filepath.Join(dir, "base_node_id.json")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("%v, %v", st, err)
	}

	added := command(t, append([]string{"peers", "add", friend}, at...)...).object(t)
	if added["public_key"] != key(friend) || added["connected"] != false {
		t.Errorf("%v", added)
	}
	commands := [][]string{{"identity", "show"}, {"peers", "list"}, {"peers", "add", friend}}
	var without []string
	for _, c := range commands {
		without = append(without, command(t, append(c, at...)...).out)
	}
	if s := command(t, append([]string{"status"}, at...)...).object(t); s["running"] != false || s["peers"] != 1.0 {
		t.Errorf("%v", s)
	}

	n := startRun(t, dir)
	for i, c := range commands {
		if with := command(t, append(c, at...)...).out; with != without[i] {
			t.Errorf("%v: %s with a node, %s without", c, with, without[i])
		}
	}
	if s := command(t, append([]string{"status"}, at...)...).object(t); s["running"] != true || s["public_key"] != key(n.peer) || s["peers"] != 1.0 {
		t.Errorf("%v", s)
	}
	if st, err := os.Stat(filepath.Join(dir, "control.sock")); err != nil || st.Mode().Perm() != 0o600 {
		t.Errorf("control socket: %v, %v", st, err)
	}
	if r := command(t, "run", "--no-dns-seeds", "--data-dir", dir, "--listen", "/ip4/127.0.0.1/tcp/0"); r.code != exitOther || !strings.Contains(r.err, "in use by another process") {
		t.Errorf("a second node in the folder: %+v", r)
	}
}

func TestIdentityFiles(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "base_node_id.json")
	rust, err := os.ReadFile("../../node/testdata/base_node_id.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, rust, 0o600); err != nil {
		t.Fatal(err)
	}
	show := []string{"identity", "show", "--json", "--data-dir", dir}
	if o := command(t, show...).object(t); o["public_key"] != "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175" || o["node_id"] != "e0947c3278fb32b3b19b9fb7ca" {
		t.Errorf("the Rust node's file is %v", o)
	}
	if err := os.Chmod(file, 0o640); err != nil {
		t.Fatal(err)
	}
	if r := command(t, "identity", "show", "--data-dir", dir); r.code != exitOther || !strings.Contains(r.err, "chmod 600 "+file) {
		t.Errorf("readable by the group: %+v", r)
	}
	if err := os.WriteFile(file, []byte("not an identity"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o600); err != nil {
		t.Fatal(err)
	}
	n := startRun(t, dir)
	n.stop()
	backups, _ := filepath.Glob(file + ".*.bak")
	if len(backups) != 1 {
		t.Fatalf("set aside: %v", backups)
	}
	if b, err := os.ReadFile(backups[0]); err != nil || string(b) != "not an identity" {
		t.Errorf("set aside %q, %v", b, err)
	}
}

// TestExitCodes meets each kind of failure.
func TestExitCodes(t *testing.T) {
	n := startRun(t, t.TempDir())
	_, address, _ := strings.Cut(n.peer, "::")
	const stranger = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175::"

	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := "/ip4/127.0.0.1/tcp/" + portOf(closed)
	_ = closed.Close()
	silent, err := net.Listen("tcp", "127.0.0.1:0") // takes connections and says nothing
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	mute := "/ip4/127.0.0.1/tcp/" + portOf(silent)

	for _, c := range []struct {
		name string
		args []string
		code int
		says string
	}{
		{"no such command", []string{"fly"}, exitUsage, "fly"},
		{"no such flag", []string{"ping", "--fast", n.peer}, exitUsage, "fast"},
		{"no such network", []string{"ping", "--network", "moon", n.peer}, exitUsage, "moon"},
		{"two networks, one byte", []string{"run", "--network", "stibbons", "--accept", "ridcully", "--listen", "", "--data-dir", t.TempDir()}, exitUsage, "same wire byte"},
		{"no address", []string{"ping", key(n.peer)}, exitUsage, "no address"},
		{"no key", []string{"ping", address}, exitUsage, ""},
		{"onion without a proxy", []string{"ping", stranger + "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1"}, exitUsage, "SOCKS"},
		{"tor-only without tor", []string{"run", "--tor-only", "--data-dir", t.TempDir()}, exitUsage, "--tor"},
		{"no network to refuse", []string{"run", "--refuse", "203.0.113.0", "--data-dir", t.TempDir()}, exitUsage, "not a network"},
		{"no range", []string{"run", "--never-dial", "/ip4/1.2.3/tcp/1", "--data-dir", t.TempDir()}, exitUsage, "--never-dial"},
		{"a port in use", []string{"run", "--no-dns-seeds", "--listen", address, "--data-dir", t.TempDir()}, exitOther, "--listen"},
		{"an address of another machine", []string{"run", "--no-dns-seeds", "--listen", "/ip4/203.0.113.7/tcp/0", "--data-dir", t.TempDir()}, exitOther, "an address of this machine"},
		{"watch nothing", []string{"watch", "--data-dir", t.TempDir()}, exitUnreachable, "\"tari-libp2p run\" starts one"},
		{"ping nobody", []string{"ping", stranger + nobody}, exitUnreachable, "connect"},
		{"send to nobody", []string{"send", stranger + nobody, "x", "--data-dir", t.TempDir()}, exitUnreachable, "refused"},
		{"ping another key", []string{"ping", stranger + address}, exitAuthentication, "has the key"},
		{"send to another key", []string{"send", stranger + address, "x", "--data-dir", t.TempDir()}, exitAuthentication, "has the key"},
		{"another network", []string{"ping", "--network", "nextnet", n.peer}, exitRefused, "other network or dialect"},
		{"another dialect", []string{"ping", "--network", "stibbons", n.peer}, exitRefused, "other network or dialect"},
		{"liveness where nobody may ask", []string{"liveness", "--network", "stibbons", address}, exitRefused, ""},
		{"silence", []string{"ping", "--timeout", "2s", stranger + mute}, exitTimeout, "noise"},
		{"no Tor", []string{"tor", "status", "--tor-control", strings.TrimPrefix(strings.Replace(nobody, "/tcp/", ":", 1), "/ip4/"), "--data-dir", t.TempDir()}, exitUnreachable, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			r := command(t, c.args...)
			if r.code != c.code || !strings.Contains(r.err+r.out, c.says) {
				t.Errorf("exit code %d, want %d; said %q %q", r.code, c.code, r.out, r.err)
			}
			if o := command(t, append(c.args, "--json")...); o.code != c.code {
				t.Errorf("with --json: exit code %d, %s", o.code, o.out)
			} else if o.object(t)["failure"] == nil {
				t.Errorf("with --json: %s", o.out)
			}
		})
	}
}

func portOf(l net.Listener) string {
	_, port, _ := net.SplitHostPort(l.Addr().String())
	return port
}

func TestDemo(t *testing.T) {
	r := command(t, "demo")
	if r.code != exitOK || !strings.Contains(r.out, "modern dialect") || !strings.Contains(r.out, "seed dialect") || strings.Count(r.out, "got \"") != 4 {
		t.Errorf("%+v", r)
	}
	r = command(t, "demo", "--json")
	messages := 0
	for l := range strings.Lines(r.out) {
		var step struct{ Step string }
		if err := json.Unmarshal([]byte(l), &step); err != nil {
			t.Fatal(err)
		}
		if step.Step == "message" {
			messages++
		}
	}
	if r.code != exitOK || messages != 4 {
		t.Errorf("%d messages: %+v", messages, r)
	}
}

// TestEvents reads the JSON of "run".
func TestEvents(t *testing.T) {
	n := startRun(t, t.TempDir(), "--json", "--allow-test-addresses")
	if r := command(t, "send", n.peer, "x", "--data-dir", t.TempDir()); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	missing := map[string]bool{"connected": true, "message": true, "disconnected": true} // the last two in either order
	for len(missing) > 0 {
		var e map[string]any
		if err := json.Unmarshal([]byte(n.line(`"event":"`)), &e); err != nil || e["schema"] != 1.0 || e["time"] == nil {
			t.Errorf("%v, %v", e, err)
		}
		kind, _ := e["event"].(string)
		if missing[kind] && e["peer"] == nil {
			t.Errorf("no peer in %v", e)
		}
		delete(missing, kind)
	}
}

// TestAccept has one port serve two networks.
func TestAccept(t *testing.T) {
	n := startRun(t, t.TempDir(), "--accept", "stibbons,nextnet", "--allow-test-addresses")
	for _, network := range []string{"mainnet", "stibbons", "nextnet"} {
		if r := command(t, "ping", "--network", network, n.peer); r.code != exitOK {
			t.Errorf("%s: %+v", network, r)
		}
	}
	if r := command(t, "ping", "--network", "esmeralda", n.peer); r.code != exitRefused {
		t.Errorf("%+v", r)
	}
}

// TestInternalAddresses: those that a peer claims are not kept unless test addresses are allowed, and we claim none.
func TestInternalAddresses(t *testing.T) {
	for _, allow := range []bool{false, true} {
		dir := t.TempDir()
		args := []string{}
		if allow {
			args = append(args, "--allow-test-addresses")
		}
		n := startRun(t, dir, args...)
		other := startRun(t, t.TempDir(), "--allow-test-addresses", "--peer", n.peer)
		n.line("connected")
		other.line("connected")
		r := command(t, "peers", "list", "--json", "--data-dir", dir)
		var list struct {
			Peers []struct {
				Key       string `json:"public_key"`
				Addresses []string
			}
		}
		if err := json.Unmarshal([]byte(r.out), &list); err != nil || len(list.Peers) != 1 || list.Peers[0].Key != key(other.peer) {
			t.Fatalf("%+v, %v", r, err)
		}
		if got := len(list.Peers[0].Addresses) > 0; got != allow {
			t.Errorf("allowed %v: kept %v", allow, list.Peers[0].Addresses)
		}
		o := command(t, "ping", "--json", n.peer).object(t)
		if claimed, _ := o["addresses"].([]any); len(claimed) > 0 != allow {
			t.Errorf("allowed %v: we claim %v", allow, claimed)
		}
		other.stop()
		n.stop()
	}
}

// commandsOf is what the table of options in docs/cli.md has for an option: the names of its commands.
func commandsOf(doc, option string) string {
	for row := range strings.Lines(doc) {
		if cells := strings.Split(row, " | "); len(cells) > 2 && (strings.Contains(cells[0], "`--"+option+"`") || strings.Contains(cells[0], "`--"+option+" ")) {
			return cells[1]
		}
	}
	return ""
}

// optionName is an option in a row of the table.
var optionName = regexp.MustCompile("`--([a-z0-9-]+)")

// TestDocumented looks for every command in docs/cli.md, and for every option with its commands. The doctor has those of run, which
// is said above the table. No row is of an option that is not there.
func TestDocumented(t *testing.T) {
	raw, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	doc := string(raw)
	root := commandTree()
	known := map[string]bool{"json": true}
	var walk func(*cobra.Command)
	walk = func(c *cobra.Command) {
		c.Flags().VisitAll(func(f *pflag.Flag) { known[f.Name] = true })
		if c.Runnable() && c.HasParent() && !c.HasSubCommands() {
			name := strings.TrimPrefix(c.CommandPath(), "tari-libp2p ")
			if !strings.Contains(doc, "`"+name) {
				t.Errorf("docs/cli.md does not name the command %q", name)
			}
			c.Flags().VisitAll(func(f *pflag.Flag) {
				commands := commandsOf(doc, f.Name)
				if f.Name != "help" && name != "doctor" && !strings.HasPrefix(commands, "all") && !strings.Contains(commands, "`"+name+"`") {
					t.Errorf("docs/cli.md does not name --%s of %s, but %q", f.Name, name, commands)
				}
			})
		}
		for _, sub := range c.Commands() {
			walk(sub)
		}
	}
	walk(root)
	for row := range strings.Lines(doc) {
		cell, _, _ := strings.Cut(row, " | ")
		for _, name := range optionName.FindAllStringSubmatch(cell, -1) {
			if strings.HasPrefix(row, "| `--") && !known[name[1]] {
				t.Errorf("docs/cli.md names --%s, which no command has", name[1])
			}
		}
	}
}
