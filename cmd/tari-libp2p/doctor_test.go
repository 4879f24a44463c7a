package main

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// verdicts are the doctor's, by the name of the check.
func verdicts(t *testing.T, r result) map[string]string {
	t.Helper()
	out := map[string]string{}
	for _, c := range r.object(t)["checks"].([]any) {
		check := c.(map[string]any)
		name := check["check"].(string)
		if out[name] != "fail" {
			out[name] = check["verdict"].(string)
		}
	}
	return out
}

// TestDoctorTakesTheOptionsOfRun: whoever has trouble with a command line can give it to the doctor as it is.
func TestDoctorTakesTheOptionsOfRun(t *testing.T) {
	root := newApp(nil, io.Discard, io.Discard).rootCommand()
	commands := map[string]*cobra.Command{}
	for _, c := range root.Commands() {
		commands[c.Name()] = c
	}
	commands["run"].Flags().VisitAll(func(f *pflag.Flag) {
		if g := commands["doctor"].Flags().Lookup(f.Name); g == nil || g.DefValue != f.DefValue || g.Usage != f.Usage {
			t.Errorf("--%s is an option of run; the doctor has %+v", f.Name, g)
		}
	})
	for _, wrong := range [][]string{{"--seed", "x"}, {"--no-dns-seeds", "--dns-seed", "a.test"}, {"--log", "loud"}} {
		if r := command(t, append([]string{"doctor", "--data-dir", t.TempDir()}, wrong...)...); r.code != exitUsage || r.out != "" {
			t.Errorf("%v: %+v", wrong, r)
		}
	}
}

func TestDoctor(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "node")
	at := []string{"doctor", "--data-dir", dir, "--listen", "/ip4/127.0.0.1/tcp/0"}
	json := append(at, "--json")
	r := command(t, json...)
	got := verdicts(t, r)
	for _, name := range []string{"clock", "data folder", "identity", "peer book", "port /ip4/127.0.0.1/tcp/0"} {
		if got[name] != "ok" {
			t.Errorf("nothing there yet: %s is %q", name, got[name])
		}
	}
	if r.code != exitOK || got["node"] != "warn" {
		t.Errorf("nothing there yet: %+v", r)
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("the doctor made the folder")
	}

	n := startRun(t, dir)
	got = verdicts(t, command(t, json...))
	if got["node"] != "ok" || got["peer book"] != "ok" || got["reachability"] != "warn" || got["connections"] != "warn" {
		t.Errorf("of a running node: %v", got)
	}
	n.stop()
	says(t, exitOK, "no node runs", at...)

	busy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer busy.Close()
	file := filepath.Join(dir, "base_node_id.json")
	for what, c := range map[string]struct {
		spoil func() error
		check string
		cure  string
		args  []string
	}{
		"a port in use":                 {func() error { return nil }, "port /ip4/127.0.0.1/tcp/" + portOf(busy), "--listen", []string{"--listen", "/ip4/127.0.0.1/tcp/" + portOf(busy)}},
		"an open identity":              {func() error { return os.Chmod(file, 0o644) }, "identity", "chmod 600 " + file, nil},
		"an open folder":                {func() error { return os.Chmod(dir, 0o777) }, "data folder", "chmod 700 " + dir, nil},
		"a broken identity":             {func() error { return os.WriteFile(file, []byte("{"), 0o600) }, "identity", "from a copy", nil},
		"an address of another machine": {func() error { return nil }, "port /ip4/203.0.113.7/tcp/1", "an address of this machine", []string{"--listen", "/ip4/203.0.113.7/tcp/1"}},
		"a file":                        {func() error { return nil }, "data folder", "--data-dir", []string{"--data-dir", file}},
		"a Tor that is not":             {func() error { return nil }, "tor", "", []string{"--tor", "--tor-control", "127.0.0.1:1"}},
	} {
		whole := read(t, file)
		if err := c.spoil(); err != nil {
			t.Fatal(err)
		}
		r := command(t, append(json, c.args...)...)
		if got := verdicts(t, r); r.code != exitOther || got[c.check] != "fail" || r.object(t)["failure"] != "other" {
			t.Errorf("%s: code %d, %v", what, r.code, got)
		}
		if r := command(t, append(at, c.args...)...); !strings.Contains(r.out, c.cure) {
			t.Errorf("%s: no cure in %q", what, r.out)
		}
		if err := os.WriteFile(file, []byte(whole), 0o600); err != nil {
			t.Fatal(err)
		}
		for path, mode := range map[string]os.FileMode{file: 0o600, dir: 0o700} {
			if err := os.Chmod(path, mode); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestClosedFolder: what belongs to another user is told with the cure.
func TestClosedFolder(t *testing.T) {
	if os.Geteuid() <= 0 {
		t.Skip("nothing is closed to root")
	}
	dir := t.TempDir()
	says(t, exitOK, "", "peers", "add", friend, "--data-dir", dir)
	for _, mode := range []os.FileMode{0, 0o400, 0o500} {
		if err := os.Chmod(dir, mode); err != nil {
			t.Fatal(err)
		}
		const cure = "as the user that it belongs to"
		if mode != 0o500 {
			says(t, exitOther, cure, "status", "--data-dir", dir)
			says(t, exitOther, cure, "identity", "new", "--data-dir", dir)
			says(t, exitOther, cure, "doctor", "--data-dir", dir, "--listen", "")
		}
		says(t, exitOther, cure, "run", "--no-dns-seeds", "--data-dir", filepath.Join(dir, "in it"), "--listen", "")
	}
	_ = os.Chmod(dir, 0o700) // for its removal
}
