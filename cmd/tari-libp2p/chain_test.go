package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// startChain starts a node that serves a chain with blocks up to a height, and returns its PUBKEY::ADDRESS.
func startChain(t *testing.T, length uint64) (string, *chaintest.Chain) {
	t.Helper()
	n, err := node.New(node.Config{Network: dialect.Localnet, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	chain := chaintest.New(dialect.Localnet, length)
	chain.Set(length, 0, 0, 100*length)
	if err := chain.Register(n.RPC); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := n.Host.Network().InterfaceListenAddresses()
	if err != nil || len(at) == 0 {
		t.Fatal(at, err)
	}
	return n.Identity.String() + "::" + at[0].String(), chain
}

// localnet runs a command on the local network.
func localnet(t *testing.T, args ...string) result {
	t.Helper()
	return command(t, append(args, "--network", "localnet")...)
}

// nobody is a peer that is not there.
func nobody() string { return key(friend) + "::/ip4/127.0.0.1/tcp/1" }

func TestTip(t *testing.T) {
	one, chain := startChain(t, 100)
	two, _ := startChain(t, 90)
	chain.PruneBelow(30)
	r := localnet(t, "tip", one, nobody(), two, "--json")
	var report tipReport
	if err := json.Unmarshal([]byte(r.out), &report); err != nil || r.code != exitOK {
		t.Fatalf("%+v, %v", r, err)
	}
	if len(report.Tips) != 2 || len(report.Failed) != 1 || report.Failed[0].Peer != key(friend) || report.Failed[0].Kind != node.FailUnreachable {
		t.Fatalf("%s", r.out)
	}
	points := chain.Points()
	if g := report.Tips[0]; g.Peer != key(one) || g.Height != 100 || g.Hash != points[100].Hash.String() || g.Difficulty != "10000" || g.PrunedHeight != 30 || g.Synced {
		t.Errorf("%+v", g)
	}
	if g := report.Tips[1]; g.Peer != key(two) || g.Height != 90 || g.Hash != points[90].Hash.String() || !g.Synced || !g.Timestamp.Equal(time.Unix(1_750_000_000+120*90, 0)) {
		t.Errorf("%+v", g)
	}
	if r := localnet(t, "tip", one, nobody()); r.code != exitOK || !strings.Contains(r.out, "100") || !strings.Contains(r.out, "FAILED") {
		t.Errorf("%+v", r)
	}
	for _, c := range []struct {
		code int
		args []string
	}{{exitUnreachable, []string{nobody()}}, {exitUsage, []string{one, one}}, {exitUsage, nil}, {exitUsage, []string{"x"}}, {exitUsage, []string{one, "--network", "stibbons"}}} {
		if r := command(t, append([]string{"tip", "--json", "--network", "localnet"}, c.args...)...); r.code != c.code || r.object(t)["error"] == nil {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
	wallet := startService(t, dialect.Localnet) // a peer without the service
	if r := localnet(t, "tip", wallet, "--json"); r.code != exitRefused {
		t.Errorf("a peer that is no base node: %+v", r)
	}
}

func TestForkCheck(t *testing.T) {
	one, _ := startChain(t, 100)
	two, chain := startChain(t, 103)
	check := func(args ...string) (result, forkReport) {
		t.Helper()
		r := localnet(t, append([]string{"fork-check", "--json"}, args...)...)
		var report forkReport
		if err := json.Unmarshal([]byte(r.out), &report); err != nil {
			t.Fatalf("%+v, %v", r, err)
		}
		return r, report
	}
	points := chain.Points()
	r, report := check(one, two)
	if r.code != exitOK || !report.Agree || report.Height != 100 || *report.Common != points[100] || report.Depth != 0 || len(report.Chains[0].Peers) != 2 {
		t.Errorf("one chain: %+v", r)
	}
	chain.Set(110, 98, 1, 1_000_000)
	if r, report := check(one, two); r.code != exitOK || report.Agree || report.Depth != 2 || *report.Common != points[98] {
		t.Errorf("two miners: %+v", r)
	}
	if r, _ := check(one, two, "--tolerate", "1"); r.code != exitForked {
		t.Errorf("two miners, not tolerated: %+v", r)
	}
	if r := localnet(t, "fork-check", one, two); r.code != exitOK || !strings.Contains(r.out, "the same up to height 98 and not from 99 on") || r.err != "" {
		t.Errorf("two miners: %+v", r)
	}
	chain.Set(110, 40, 1, 1_000_000)
	r, report = check(one, two, nobody())
	if r.code != exitForked || r.object(t)["failure"] != "forked" || *report.Common != points[40] || report.Depth != 60 || len(report.Failed) != 1 {
		t.Errorf("a fork: %+v", r)
	}
	if c := report.Chains; len(c) != 2 || c[0].Peers[0].Peer != key(two) || c[1].Peers[0].Peer != key(one) || c[1].Hash != points[100].Hash.String() {
		t.Errorf("that of most work comes first: %+v", c)
	}
	if r := localnet(t, "fork-check", one, two); r.code != exitForked || !strings.Contains(r.err, "the same up to height 40 and not from 41 on") || strings.Count(r.out, "difficulty") != 2 {
		t.Errorf("%+v", r)
	}
	chain.Other()
	if r, report := check(one, two); r.code != exitForked || report.Common != nil {
		t.Errorf("another first block: %+v", r)
	}
	if r, _ := check(one, nobody()); r.code != exitUnreachable {
		t.Errorf("nothing to compare: %+v", r)
	}
	if r := localnet(t, "fork-check", one); r.code != exitUsage {
		t.Errorf("one peer: %+v", r)
	}
}

// chainLines reads what headers or blocks wrote.
func chainLines(t *testing.T, out string) (events []chainEvent) {
	t.Helper()
	for line := range strings.Lines(out) {
		var e struct {
			Schema int
			chainEvent
		}
		if err := json.Unmarshal([]byte(line), &e); err != nil || e.Schema != schema {
			t.Fatalf("%v in %s", err, line)
		}
		events = append(events, e.chainEvent)
	}
	return events
}

// wantChain fails unless lines are these blocks.
func wantChain(t *testing.T, what string, lines []chainEvent, event string, want []basenode.Point) {
	t.Helper()
	if len(lines) != len(want) {
		t.Errorf("%s: %d lines, want %d", what, len(lines), len(want))
		return
	}
	for i, l := range lines {
		if l.Event != event || l.Height != want[i].Height || l.Hash != want[i].Hash {
			t.Errorf("%s: %+v, want %v", what, l, want[i])
			return
		}
	}
}

func TestHeadersAndBlocks(t *testing.T) {
	at, chain := startChain(t, 150)
	points := chain.Points()
	for what, c := range map[string]struct {
		args []string
		want []basenode.Point
	}{
		"all":     {nil, points},
		"from":    {[]string{"--from", "140"}, points[140:]},
		"count":   {[]string{"--from", "10", "--count", "20"}, points[10:30]},
		"after":   {[]string{"--after", points[145].String()}, points[146:]},
		"the tip": {[]string{"--after", points[150].String()}, nil},
	} {
		r := localnet(t, append([]string{"headers", at, "--json"}, c.args...)...)
		if r.code != exitOK {
			t.Errorf("%s: %+v", what, r)
		}
		wantChain(t, what, chainLines(t, r.out), eventHeader, c.want)
		if r = localnet(t, append([]string{"blocks", at, "--json"}, c.args...)...); r.code != exitOK {
			t.Errorf("%s: %+v", what, r)
		}
		if what == "all" {
			c.want = points[1:]
		}
		wantChain(t, "blocks, "+what, chainLines(t, r.out), eventBlock, c.want)
	}
	r := localnet(t, "blocks", at, "--json", "--from", "77", "--count", "1")
	var block struct {
		headerFields
		Body struct{ Kernels []struct{ Fee string } }
	}
	if err := json.Unmarshal([]byte(r.out), &block); err != nil || block.Prev != points[76].Hash || block.PowAlgo != 1 || block.Nonce != "2387" || block.Body.Kernels[0].Fee != "77" {
		t.Errorf("%v, %+v", err, r)
	}
	if r := localnet(t, "headers", at, "--from", "150"); r.code != exitOK || !strings.Contains(r.out, "150  "+points[150].Hash.String()) {
		t.Errorf("text: %+v", r)
	}
	if r := localnet(t, "blocks", at, "--from", "150"); r.code != exitOK || !strings.Contains(r.out, "1 input, 1 output, 1 kernel") {
		t.Errorf("text: %+v", r)
	}
	for _, c := range []struct {
		code int
		args []string
	}{
		{exitUsage, []string{"--after", "5"}},
		{exitUsage, []string{"--after", "x:" + points[1].Hash.String()}},
		{exitUsage, []string{"--after", "5:00"}},
		{exitUsage, []string{"--from", "1", "--after", points[1].String()}},
		{exitUsage, []string{"--interval", "0s"}},
		{exitRefused, []string{"--from", "1000"}},
		{exitOther, []string{"--after", "5:" + strings.Repeat("ab", 32)}},
	} {
		if r := localnet(t, append([]string{"headers", at, "--json"}, c.args...)...); r.code != c.code || r.object(t)["error"] == nil {
			t.Errorf("%v: %+v", c.args, r)
		}
	}
}

// A peer that lies is left for the next, and why is told.
func TestHeadersLeaveALiar(t *testing.T) {
	bad, liar := startChain(t, 100)
	good, chain := startChain(t, 100)
	liar.LieAt(50, chaintest.Unlinked)
	r := localnet(t, "headers", bad, good, nobody(), "--json")
	wantChain(t, "with the next", chainLines(t, r.out), eventHeader, chain.Points())
	if r.code != exitOK || !strings.Contains(r.err, "left "+key(bad)[:16]) || !strings.Contains(r.err, "does not follow") || strings.Count(r.err, "\n") != 1 {
		t.Errorf("%q", r.err)
	}
}

// A file grows with the chain: over reorgs, a program that was killed in the middle of a line, and from several runs.
func TestChainFile(t *testing.T) {
	at, chain := startChain(t, 50)
	file := filepath.Join(t.TempDir(), "chain")
	run := func(args ...string) result {
		t.Helper()
		return localnet(t, append([]string{"headers", at, "--file", file}, args...)...)
	}
	read := func() []chainEvent {
		t.Helper()
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return chainLines(t, string(raw))
	}
	if r := run("--count", "20"); r.code != exitOK || !strings.Contains(r.out, "20 headers written") {
		t.Fatalf("%+v", r)
	}
	f, err := os.OpenFile(file, os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteString(`{"schema":1,"event":"header","hei`); err != nil {
		t.Fatal(err)
	}
	f.Close()
	if r := run(); r.code != exitOK || !strings.Contains(r.out, "31 headers written") {
		t.Fatalf("%+v", r)
	}
	wantChain(t, "two runs", read(), eventHeader, chain.Points())
	old := chain.Points()
	chain.Set(60, 45, 1, 1_000_000)
	if r := run(); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	got := read()
	if len(got) != 51+1+15 || got[51] != (chainEvent{eventRollback, 45, old[45].Hash}) {
		t.Fatalf("%+v", got)
	}
	wantChain(t, "behind the rollback", got[52:], eventHeader, chain.Points()[46:])
	chain.Set(65, 42, 2, 2_000_000) // below the last rollback
	if r := run(); r.code != exitOK {
		t.Fatalf("%+v", r)
	}
	if got := read(); got[67] != (chainEvent{eventRollback, 42, old[42].Hash}) {
		t.Errorf("%+v", got[67])
	}
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if r := localnet(t, "blocks", at, "--file", file); r.code != exitUsage || !strings.Contains(r.err, "line 1") {
		t.Errorf("a file of headers: %+v", r)
	}
	if after, err := os.ReadFile(file); err != nil || !bytes.Equal(after, before) {
		t.Error("a file of another kind was changed")
	}
	if r := run("--file", filepath.Join(file, "x")); r.code == exitOK {
		t.Errorf("%+v", r)
	}
}

// FuzzChainFile: whatever a file holds, it is refused and left as it is, or it ends with a whole line and with a chain.
func FuzzChainFile(f *testing.F) {
	chain := chaintest.New(dialect.Localnet, 9)
	var lines []string
	write := func(p basenode.Point, event string, prev basenode.Hash) {
		lines = append(lines, fmt.Sprintf(`{"schema":1,"event":%q,"height":%d,"hash":%q,"prev_hash":%q}`+"\n", event, p.Height, p.Hash, prev))
	}
	for i, p := range chain.Points()[1:] {
		write(p, eventHeader, chain.Points()[i].Hash)
	}
	good := strings.Join(lines, "")
	write(chain.Points()[5], eventRollback, basenode.Hash{})
	write(chain.Points()[6], eventHeader, chain.Points()[5].Hash)
	write(chain.Points()[0], eventRollback, basenode.Hash{})
	for i := range lines {
		f.Add(good + lines[i])
		f.Add(strings.Join(lines[:i], "") + lines[i][:len(lines[i])/2])
		f.Add(strings.Join(lines[i:], ""))
		f.Add(strings.Join(lines[:i], "\n"))
		f.Add(strings.ReplaceAll(strings.Join(lines[:i+1], ""), "header", "block"))
	}
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, text string) {
		name := filepath.Join(dir, "chain")
		if err := os.WriteFile(name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		file, err := openChainFile(name, eventHeader)
		after, readErr := os.ReadFile(name)
		if readErr != nil {
			t.Fatal(readErr)
		}
		if err != nil {
			if string(after) != text {
				t.Fatalf("refused and changed: %q, %v", after, err)
			}
			return
		}
		defer file.Close()
		if want := text[:strings.LastIndex(text, "\n")+1]; string(after) != want {
			t.Fatalf("cut to %q, want %q", after, want)
		}
		for i, p := range file.points {
			if i > 0 && p.Height != file.points[i-1].Height+1 {
				t.Fatalf("%v behind %v", p, file.points[i-1])
			}
		}
		if at, err := file.Seek(0, io.SeekCurrent); err != nil || at != int64(len(after)) {
			t.Fatalf("at %d of %d, %v", at, len(after), err)
		}
	})
}

// With --follow it goes on at the tip until Ctrl-C, over a reorg and a peer that fails for a while.
func TestFollow(t *testing.T) {
	at, chain := startChain(t, 20)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	file := filepath.Join(t.TempDir(), "chain")
	done := make(chan int)
	var told syncBuffer
	go func() {
		done <- run(ctx, []string{"headers", at, "--network", "localnet", "--follow", "--interval", "10ms", "--file", file}, nil, new(bytes.Buffer), &told)
	}()
	wait := func(what string, lines int) {
		t.Helper()
		for end := time.Now().Add(time.Minute); ; time.Sleep(5 * time.Millisecond) {
			raw, _ := os.ReadFile(file)
			if n := bytes.Count(raw, []byte("\n")); n >= lines {
				return
			} else if time.Now().After(end) {
				t.Fatalf("%s: %d lines of %d; %s", what, n, lines, told.String())
			}
		}
	}
	wait("the chain", 21)
	chain.Set(25, 0, 0, 5000)
	wait("new blocks", 26)
	chain.Set(27, 20, 1, 9000)
	wait("a reorg", 26+1+7)
	cancel()
	if code := <-done; code != exitOK {
		t.Errorf("code %d: %s", code, told.String())
	}
}
