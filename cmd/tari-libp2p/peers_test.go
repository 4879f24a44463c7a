package main

import (
	"strings"
	"testing"
	"time"
)

const friend = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175::/ip4/203.0.113.7/tcp/18189"

// friendNodeID is the node id of friend.
const friendNodeID = "e0947c3278fb32b3b19b9fb7ca"

// eachWay runs a test on a data folder that no process owns, and on one where a node runs.
func eachWay(t *testing.T, test func(t *testing.T, at ...string)) {
	t.Run("folder", func(t *testing.T) { test(t, "--data-dir", t.TempDir()) })
	t.Run("running node", func(t *testing.T) {
		dir := t.TempDir()
		startRun(t, dir)
		test(t, "--data-dir", dir)
	})
}

// says runs a command and wants its exit code and a text from it.
func says(t *testing.T, code int, text string, args ...string) result {
	t.Helper()
	r := command(t, args...)
	if r.code != code || !strings.Contains(r.out+r.err, text) {
		t.Errorf("%q: exit code %d, want %d; said %q %q, want %q", args, r.code, code, r.out, r.err, text)
	}
	return r
}

func TestBans(t *testing.T) {
	eachWay(t, func(t *testing.T, at ...string) {
		with := func(args ...string) []string { return append(args, at...) }
		says(t, exitOK, "nobody is banned\n", with("peers", "banned")...)
		says(t, exitNotFound, "no known peer", with("ban", friendNodeID)...)
		says(t, exitOK, "", with("peers", "add", friend)...)

		r := says(t, exitOK, `: "by hand"`, with("ban", friendNodeID[:9])...)
		if !strings.HasPrefix(r.out, key(friend)+"  banned until "+time.Now().Add(time.Hour).Local().Format(time.DateOnly)[:4]) {
			t.Errorf("ban says %q", r.out)
		}
		says(t, exitOK, "  banned forever: \"a \\\"bad\\\" one\"\n    node id    "+friendNodeID+"\n", with("ban", key(friend), "--for", "forever", "--reason", `a "bad" one`)...)
		o := command(t, with("ban", friend, "--for", "7d", "--json")...).object(t)
		if b, _ := o["banned"].(map[string]any); o["public_key"] != key(friend) || o["node_id"] != friendNodeID || o["closed"] != 0.0 || b["until"] != "9999-12-31T23:59:59.999Z" {
			t.Errorf("%v", o)
		}
		says(t, exitOK, key(friend)+"  banned forever", with("peers", "banned")...)
		says(t, exitOK, "banned forever", with("peers", "list")...)
		o = command(t, with("peers", "banned", "--json")...).object(t)
		if bans, _ := o["bans"].([]any); len(bans) != 1 || bans[0].(map[string]any)["public_key"] != key(friend) {
			t.Errorf("%v", o)
		}
		says(t, exitOK, key(friend)+"  not banned any more\n", with("unban", "704e")...)
		says(t, exitOK, key(friend)+"  was not banned\n", with("unban", "704e")...)
		if o := command(t, with("unban", "704e", "--json")...).object(t); o["was_banned"] != false || o["public_key"] != key(friend) {
			t.Errorf("%v", o)
		}
		for _, wrong := range []string{"0s", "-1h", "never", "1x", "70000d", "500ms", ""} {
			says(t, exitUsage, "such as 30m", with("ban", "704e", "--for", wrong)...)
		}
		says(t, exitUsage, "public key", with("ban", "nobody")...)
		says(t, exitUsage, "public key", with("unban", "nobody")...)
	})
}

// The allow list, by command: what it says, and what it does to bans.
func TestAllowList(t *testing.T) {
	eachWay(t, func(t *testing.T, at ...string) {
		with := func(args ...string) []string { return append(args, at...) }
		other := strings.Repeat("0", 63) + "1"
		says(t, exitOK, "nobody is on the allow list\n", with("peers", "allowed")...)
		says(t, exitNotFound, "no known peer", with("peers", "allow", friendNodeID)...)
		says(t, exitUsage, "public key", with("peers", "allow", key(friend), other)...) // no point of the curve
		says(t, exitUsage, "peers allow PEER…", with("peers", "allow")...)
		says(t, exitOK, "nobody is on the allow list\n", with("peers", "allowed")...)

		says(t, exitOK, "", with("ban", friend)...)
		r := says(t, exitOK, key(friend)+"  on the allow list\n    node id    "+friendNodeID+"\n    ban        banned until ", with("peers", "allow", friend)...)
		if !strings.HasSuffix(r.out, `: "by hand"; "tari-libp2p unban" lifts it`+"\n") {
			t.Errorf("%q", r.out)
		}
		says(t, exitOK, key(friend)+"  was on the allow list\n", with("peers", "allow", "704e")...)
		says(t, exitOK, `"by hand"`, with("peers", "allowed")...)
		says(t, exitOK, "    allowed    yes\n", with("peers", "get", "704e")...)
		o := command(t, with("peers", "allowed", "--json")...).object(t)
		list, _ := o["peers"].([]any)
		if len(list) != 1 {
			t.Fatalf("%v", o)
		}
		if p := list[0].(map[string]any); p["public_key"] != key(friend) || p["node_id"] != friendNodeID || p["allowed"] != true || p["banned"] == nil || len(p) != 4 {
			t.Errorf("%v", p)
		}

		says(t, exitUsage, "either a peer or --all", with("unban", "--all", "704e")...)
		says(t, exitUsage, "unban PEER|--all", with("unban")...)
		says(t, exitOK, "bans lifted: 1\n", with("unban", "--all")...)
		if o := command(t, with("unban", "--all", "--json")...).object(t); o["lifted"] != 0.0 {
			t.Errorf("%v", o)
		}
		if o := command(t, with("peers", "disallow", "704e", "--json")...).object(t); len(o["peers"].([]any)) != 1 {
			t.Errorf("%v", o)
		} else if p := o["peers"].([]any)[0].(map[string]any); p["allowed"] != false || p["was_allowed"] != true || p["was_banned"] != false || p["banned"] != nil {
			t.Errorf("%v", p)
		}
		says(t, exitOK, key(friend)+"  was not on the allow list\n    node id    "+friendNodeID+"\n", with("peers", "disallow", "704e")...)
		says(t, exitOK, "nobody is on the allow list\n", with("peers", "allowed")...)
	})
}

// A ban on a running node ends the peer's connection; the node says so.
func TestBanHangsUp(t *testing.T) {
	dir := t.TempDir()
	n := startRun(t, dir, "--allow-test-addresses")
	other := startRun(t, t.TempDir(), "--allow-test-addresses", "--peer", n.peer)
	n.line("connected")
	other.line("connected")
	says(t, exitOK, "    connections ended: 1\n", "ban", key(other.peer)[:16], "--data-dir", dir, "--for", "90m", "--reason", "test")
	n.line(`banned       ` + key(other.peer) + ` for 1h30m0s: "test"`)
	other.line("disconnected")
	says(t, exitRefused, "", "send", key(other.peer), "hello", "--data-dir", dir)
	says(t, exitOK, "not banned any more", "unban", key(other.peer)[:16], "--data-dir", dir)
	n.line("unbanned     " + key(other.peer))
	says(t, exitOK, "sent 5 bytes", "send", key(other.peer)[:16], "hello", "--data-dir", dir)
	other.line(`"hello"`)
	says(t, exitUsage, "that peer is this node", "ban", key(n.peer), "--data-dir", dir)
}

func TestBanLengthText(t *testing.T) {
	for text, want := range map[string]string{"1h": "1h", "90m": "1h30m", "10m": "10m", "7d": "168h", "20s": "20s", "1h0m1s": "1h0m1s", "forever": "forever", "65535d": "1572840h"} {
		var l banLength
		if err := l.Set(text); err != nil || l.String() != want {
			t.Errorf("%s is %s, %v; want %s", text, l.String(), err, want)
		}
	}
}

func TestPeersGetAndRm(t *testing.T) {
	eachWay(t, func(t *testing.T, at ...string) {
		with := func(args ...string) []string { return append(args, at...) }
		says(t, exitNotFound, "the book does not know "+key(friend), with("peers", "get", key(friend))...)
		says(t, exitNotFound, "the book does not know "+key(friend), with("peers", "rm", friend)...)
		says(t, exitOK, "", with("peers", "add", friend)...)

		r := says(t, exitOK, key(friend)+"  never seen\n    node id    "+friendNodeID+"\n", with("peers", "get", "e094")...)
		for _, line := range []string{
			"    addresses  /ip4/203.0.113.7/tcp/18189\n",
			"    protocols  none\n",
			"    last seen  never\n",
			"    claim      none that is signed\n",
			"    address    /ip4/203.0.113.7/tcp/18189, configured; reached never; dials 0, failed since 0\n",
		} {
			if !strings.Contains(r.out, line) {
				t.Errorf("%q lacks %q", r.out, line)
			}
		}
		o := command(t, with("peers", "get", friend, "--json")...).object(t)
		for field, want := range map[string]any{"public_key": key(friend), "node_id": friendNodeID, "seed": false, "allowed": false, "claim": nil, "last_seen": nil, "banned": nil, "network": ""} {
			if got, ok := o[field]; !ok || got != want {
				t.Errorf("%s is %v, want %v", field, got, want)
			}
		}
		if dials, _ := o["address_info"].([]any); len(dials) != 1 || dials[0].(map[string]any)["source"] != "configured" {
			t.Errorf("%v", o)
		}
		says(t, exitOK, "", with("ban", "e094")...)
		if o := command(t, with("peers", "rm", "e094", "--json")...).object(t); o["public_key"] != key(friend) || o["connected"] != false {
			t.Errorf("%v", o)
		}
		says(t, exitOK, "no peers yet", with("peers", "list")...)
		says(t, exitOK, key(friend)+"  banned until", with("peers", "banned")...)
		says(t, exitUsage, "public key", with("peers", "get", "x")...)
		says(t, exitUsage, "public key", with("peers", "rm", "x")...)
	})
}

// TestPeersGetMet looks at a peer that we have met: its claim, and how the dial went.
func TestPeersGetMet(t *testing.T) {
	dir := t.TempDir()
	other := startRun(t, t.TempDir(), "--allow-test-addresses")
	n := startRun(t, dir, "--allow-test-addresses", "--peer", other.peer)
	n.line("connected")
	r := says(t, exitOK, key(other.peer)+"  connected\n", "peers", "get", key(other.peer), "--data-dir", dir)
	_, address, _ := strings.Cut(other.peer, "::")
	for _, part := range []string{"    met in     mainnet\n", "    claim      signed 20", "DHT_STORE_FORWARD; " + address, "    address    " + address + ", configured; reached 20", "dials 1, failed since 0\n", `"tari-libp2p/`} {
		if !strings.Contains(r.out, part) {
			t.Errorf("%q lacks %q", r.out, part)
		}
	}
	says(t, exitOK, "it is connected; its next connection brings it back", "peers", "rm", key(other.peer), "--data-dir", dir)
}
