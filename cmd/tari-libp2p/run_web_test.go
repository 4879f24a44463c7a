package main

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// TestRunWeb: run serves the page when asked, on this machine without a word, elsewhere with a warning; it shows a peer, and nothing that is secret;
// docs/cli.md names all of its JSON.
func TestRunWeb(t *testing.T) {
	dir := t.TempDir()
	n := startRun(t, dir, "--web", "0", "--allow-test-addresses")
	_, url, _ := strings.Cut(n.line("status page at "), "status page at ")
	if !strings.HasPrefix(url, "http://127.0.0.1:") {
		t.Fatalf("served at %s", url)
	}
	other := t.TempDir()
	startRun(t, other, "--peer", n.peer, "--allow-test-addresses")
	n.line("connected")
	if r := command(t, "send", key(n.peer), "hello", "--data-dir", other); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	if r := command(t, "ban", key(friend), "--data-dir", dir); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	n.line("hello")
	var text string
	var names map[string]bool
	for !names["until"] { // the node is asked every two seconds
		_, text = get(t, url+"status.json")
		var o map[string]any
		if err := json.Unmarshal([]byte(text), &o); err != nil || o["schema"] != float64(schema) {
			t.Fatal(err, text)
		}
		names = map[string]bool{}
		fields(o, names)
	}
	documented, err := os.ReadFile("../../docs/cli.md")
	if err != nil {
		t.Fatal(err)
	}
	for name := range names {
		if !strings.Contains(string(documented), "`"+name+"`") && name != "schema" {
			t.Errorf("docs/cli.md does not name the field %q", name)
		}
	}
	status, page := get(t, url)
	if status != http.StatusOK || !strings.Contains(page, `data-label="Direction" class=""><bdi>inbound</bdi></td>`) {
		t.Errorf("%d: %s", status, page)
	}
	identity, err := os.ReadFile(node.IdentityFile(dir))
	if err != nil {
		t.Fatal(err)
	}
	kept := regexp.MustCompile(`"secret_key":\s*"([0-9a-f]{64})"`).FindSubmatch(identity)
	if kept == nil {
		t.Fatal("no secret key in the identity file")
	}
	for _, secret := range []string{string(kept[1]), dir, "hello"} {
		if strings.Contains(text+page, secret) {
			t.Errorf("%q is told", secret)
		}
	}
	if code := n.stop(); code != exitOK || strings.Contains(n.errs.String(), "password") {
		t.Errorf("code %d: %s", code, n.errs)
	}

	open := startRun(t, t.TempDir(), "--web=0.0.0.0:0", "--json")
	var ready struct{ Event, Address string }
	if err := json.Unmarshal([]byte(open.line(`"event":"web"`)), &ready); err != nil || !strings.HasPrefix(ready.Address, "http://") {
		t.Errorf("%+v, %v", ready, err)
	}
	if log := open.errs.String(); !strings.Contains(log, "the status page has no password") {
		t.Errorf("no warning: %q", log)
	}
}

// TestWebOption: with and without a value, which may stand behind it as those of other options do.
func TestWebOption(t *testing.T) {
	for args, want := range map[string]string{
		"": "", "--web": webDefault, "--web=9200": "127.0.0.1:9200", "--web 9200": "127.0.0.1:9200", "--web [::1]:9200": "[::1]:9200", "--web 0.0.0.0:9200": "0.0.0.0:9200",
		"--web --json": webDefault, "--web nonsense": "error", "--web=70000": "error", "9200": "error", "--web 9200 9201": "error", "--web=9200 9201": "error",
	} {
		a := newApp(strings.NewReader(""), io.Discard, io.Discard)
		run := a.runCommand()
		run.Flags().Bool("json", false, "")
		err := run.ParseFlags(strings.Fields(args))
		if err == nil {
			err = run.ValidateArgs(run.Flags().Args())
		}
		if got := run.Flags().Lookup("web").Value.String(); (err != nil) != (want == "error") || err == nil && got != want {
			t.Errorf("%q is %q, %v", args, got, err)
		}
	}
	n := startRun(t, t.TempDir(), "--web=0")
	_, url, _ := strings.Cut(n.line("status page at "), "status page at ")
	r := command(t, "run", "--no-dns-seeds", "--listen", "", "--data-dir", t.TempDir(), "--web", strings.TrimSuffix(strings.TrimPrefix(url, "http://"), "/"))
	if r.code != exitOther || !strings.Contains(r.err, "--web") {
		t.Errorf("a port in use: %+v", r)
	}
}
