package main

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// lines are the JSON objects that a command printed.
func (r result) lines(t *testing.T) (out []map[string]any) {
	t.Helper()
	for line := range strings.Lines(r.out) {
		out = append(out, result{out: line}.object(t))
	}
	return out
}

// TestCrawl: two nodes, and one that is gone, are found from the one that reached the others.
func TestCrawl(t *testing.T) {
	test := "--allow-test-addresses"
	gone, second := startRun(t, t.TempDir(), test), startRun(t, t.TempDir(), test)
	firstDir := t.TempDir()
	first := startRun(t, firstDir, test, "--peer", gone.peer, "--peer", second.peer)
	for _, peer := range []string{gone.peer, second.peer} { // it tells of those that its book says were reached
		if !eventually(func() bool {
			return command(t, "peers", "get", key(peer), "--data-dir", firstDir, "--json").object(t)["last_seen"] != nil
		}) {
			t.Fatal("never connected")
		}
	}
	gone.stop()
	dir := t.TempDir()
	journal, table, objects := filepath.Join(dir, "journal"), filepath.Join(dir, "peers.csv"), filepath.Join(dir, "peers")

	r := command(t, "crawl", first.peer, test, "--json", "--journal", journal, "--out", table)
	classes := map[string]string{}
	got := r.lines(t)
	for _, line := range got[:len(got)-1] {
		if line["event"] != "visited" || line["public_key"] == "" {
			t.Errorf("%v", line)
		}
		classes[line["public_key"].(string)] = line["class"].(string)
	}
	want := map[string]string{key(first.peer): "answered", key(second.peer): "answered", key(gone.peer): "unreachable"}
	for peer, class := range want {
		if classes[peer] != class {
			t.Errorf("%s: %s, not %s", peer, classes[peer], class)
		}
	}
	if sum := got[len(got)-1]; r.code != exitOK || r.err != "" || len(got) != 4 || sum["event"] != "summary" || sum["peers"] != 3.0 || sum["reached"] != 2.0 {
		t.Errorf("%+v", r)
	}
	raw, err := os.ReadFile(table)
	if err != nil {
		t.Fatal(err)
	}
	rows, err := csv.NewReader(bytes.NewReader(raw)).ReadAll()
	if err != nil || len(rows) != 4 || rows[0][0] != "public_key" {
		t.Errorf("%v, %v", rows, err)
	}

	// The same journal once more: all is known.
	r = command(t, "crawl", first.peer, test, "--journal", journal, "--out", objects)
	for _, text := range []string{"3 peers, 2 reached", "2  answered", "1  unreachable", `"tari-libp2p/`, "3  ip4, 2 reached there"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("no %q in %s", text, r.out)
		}
	}
	raw, err = os.ReadFile(objects)
	if err != nil || r.code != exitOK || bytes.Count(raw, []byte("\n")) != 3 || !json.Valid(raw[:bytes.IndexByte(raw, '\n')]) {
		t.Errorf("%+v: %s, %v", r, raw, err)
	}

	for name, c := range map[string]struct {
		args []string
		code int
	}{
		"nobody there":          {[]string{gone.peer, test}, exitUnreachable},
		"nobody at all":         {[]string{"--seed-file", "-"}, exitUnreachable},
		"no peer":               {[]string{"x"}, exitUsage},
		"the file is there":     {[]string{first.peer, "--out", table}, exitUsage},
		"no such folder":        {[]string{first.peer, "--journal", filepath.Join(dir, "none", "journal")}, exitNotFound},
		"another network's":     {[]string{first.peer, "--journal", journal, "--network", "nextnet"}, exitUsage},
		"no journal":            {[]string{first.peer, "--journal", table}, exitUsage},
		"claims are not signed": {[]string{first.peer, "--network", "stibbons"}, exitUsage},
		"a number":              {[]string{first.peer, "--parallel", "0"}, exitUsage},
	} {
		if r := command(t, append([]string{"crawl"}, c.args...)...); r.code != c.code || r.err == "" {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

// TestCrawlInterrupted: Ctrl-C ends a crawl, and what it knows is told.
func TestCrawlInterrupted(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	ctx, cancel := context.WithCancel(t.Context())
	came := make(chan struct{})
	go func() {
		defer close(came)
		c, err := silent.Accept()
		cancel()
		if err == nil {
			defer c.Close()
			_, _ = c.Read(make([]byte, 1<<10))
		}
	}()
	_, port, _ := net.SplitHostPort(silent.Addr().String())
	var out, errs bytes.Buffer
	code := run(ctx, []string{"crawl", key(friend) + "::/ip4/127.0.0.1/tcp/" + port, "--json"}, strings.NewReader(""), &out, &errs)
	<-came
	o := result{out: out.String()}.object(t)
	if code != exitOther || o["failure"] != "other" || o["peers"] != 1.0 || o["waiting"] != 1.0 || !strings.Contains(o["error"].(string), "interrupted") {
		t.Errorf("%d: %s%s", code, &out, &errs)
	}
}

func TestCounted(t *testing.T) {
	got := counted(map[string]int{"b": 2, "a": 2, "c": 30}, strings.ToUpper)
	if want := []string{"     30  C", "      2  A", "      2  B"}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}
