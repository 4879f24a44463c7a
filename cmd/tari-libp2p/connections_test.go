package main

import (
	"context"
	"io"
	"net"
	"strings"
	"testing"
)

func TestConnectionsAndDial(t *testing.T) {
	dir := t.TempDir()
	at := []string{"--data-dir", dir}
	says(t, exitOK, "no node runs", append([]string{"connections"}, at...)...)
	them := startRun(t, t.TempDir())
	says(t, exitOK, "connected to "+key(them.peer), append([]string{"dial", them.peer}, at...)...)

	startRun(t, dir)
	says(t, exitOK, "no connections", append([]string{"connections"}, at...)...)
	o := command(t, append([]string{"dial", them.peer, "--json"}, at...)...).object(t)
	if o["peer"] != key(them.peer) || o["already"] != false || !strings.Contains(them.peer, o["address"].(string)) {
		t.Errorf("dialed %v", o)
	}
	says(t, exitUsage, "leave out --socks", append([]string{"dial", them.peer, "--socks", "127.0.0.1:1"}, at...)...)
	says(t, exitUsage, "leave out --socks", append([]string{"send", them.peer, "x", "--socks", "127.0.0.1:1"}, at...)...)
	says(t, exitOK, "was connected to", append([]string{"dial", them.peer}, at...)...)
	r := says(t, exitOK, key(them.peer), append([]string{"connections"}, at...)...)
	for _, text := range []string{"outbound", "modern", "node id " + o["node_id"].(string)} {
		if !strings.Contains(r.out, text) {
			t.Errorf("no %q in %q", text, r.out)
		}
	}
	list := command(t, append([]string{"connections", "--json"}, at...)...).object(t)
	if list["running"] != true || len(list["connections"].([]any)) != 1 {
		t.Errorf("listed %v", list)
	}
	r = says(t, exitUnreachable, "/ip4/127.0.0.1/tcp/1", append([]string{"dial", seedKey1 + "::/ip4/127.0.0.1/tcp/1"}, at...)...)
	if !strings.Contains(r.err, "connection refused") {
		t.Errorf("it does not say why: %q", r.err)
	}
	says(t, exitNotFound, "no known peer", append([]string{"dial", "0123456789abcdef"}, at...)...)
	says(t, exitUnreachable, "no address of the peer is known; name it as PUBKEY::ADDRESS", append([]string{"dial", key(friend)}, at...)...)
	says(t, exitOK, "banned", append([]string{"ban", key(friend)}, at...)...)
	says(t, exitRefused, `"tari-libp2p unban" lets it in again`, append([]string{"dial", friend}, at...)...)
	says(t, exitRefused, `"tari-libp2p unban" lets it in again`, append([]string{"send", friend, "x"}, at...)...)
}

// TestSilence: a peer that says nothing is a timeout, and the error says so in our words.
func TestSilence(t *testing.T) {
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	peer := seedKey1 + "::/ip4/127.0.0.1/tcp/" + portOf(silent)
	for _, c := range [][]string{{"dial", peer}, {"send", peer, "x"}} {
		r := says(t, exitTimeout, "", append(c, "--timeout", "1s", "--data-dir", t.TempDir())...)
		if strings.Contains(r.err, "deadline exceeded") {
			t.Errorf("%v: Go's words: %q", c, r.err)
		}
	}
}

func TestWatch(t *testing.T) {
	dir := t.TempDir()
	says(t, exitUnreachable, "no node runs", "watch", "--data-dir", dir)
	n := startRun(t, dir)
	for _, c := range []struct {
		args []string
		want string
		end  func(cancel func()) // ends the watch
	}{
		{nil, "unbanned     " + seedKey1, func(cancel func()) { cancel() }},
		{[]string{"--json"}, `"event":"unbanned","peer":"` + seedKey1, func(func()) { n.stop() }},
	} {
		ctx, cancel := context.WithTimeout(t.Context(), patience)
		defer cancel()
		var out syncBuffer
		ended := make(chan int, 1)
		go func() {
			ended <- run(ctx, append([]string{"watch", "--data-dir", dir}, c.args...), strings.NewReader(""), &out, io.Discard)
		}()
		// When the watch has begun nobody tells, but the events that it shows.
		for !strings.Contains(out.String(), c.want) {
			if ctx.Err() != nil {
				t.Fatalf("watched %q, want %q", out.String(), c.want)
			}
			says(t, exitOK, "", "ban", "--data-dir", dir, seedKey1+"::/ip4/1.2.3.4/tcp/1", "--for", "1h")
			says(t, exitOK, "", "unban", "--data-dir", dir, seedKey1)
		}
		c.end(cancel)
		if code := <-ended; code != exitOK {
			t.Errorf("%v ended with code %d", c.args, code)
		}
	}
}
