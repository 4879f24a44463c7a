package main

import (
	"strings"
	"testing"
)

// TestUsageErrors: what is wrong with a command line says how to write it, and nothing is opened or asked.
func TestUsageErrors(t *testing.T) {
	for _, c := range []struct {
		says string
		args []string
	}{
		{`"tari-libp2p --help" lists the commands`, []string{"fly"}},
		{`"tari-libp2p peers --help" lists the commands`, []string{"peers", "fly"}},
		{`"tari-libp2p ping --help" lists the options`, []string{"ping", "--fast", friend}},
		{"usage: tari-libp2p ping PUBKEY::ADDRESS", []string{"ping"}},
		{"usage: tari-libp2p send PEER TEXT|-", []string{"send", friend}},
		{"usage: tari-libp2p status", []string{"status", "x"}},
		{"64 hexadecimal characters, ::, and a multiaddr", []string{"ping", "x"}},
		{"64 hexadecimal characters, ::, and a multiaddr", []string{"peers", "add", key(friend) + "::127.0.0.1:1"}},
		{"a multiaddr such as", []string{"peers", "add", key(friend)}},
		{"PEER is a public key, a node id", []string{"dial", "x"}},
		{`for "--peer" flag: `, []string{"run", "--peer", "x"}},
		{`for "--seed" flag: `, []string{"run", "--seed", "x"}},
		{"a number above 0", []string{"ping", "--count", "0", friend}},
		{"a number above 0", []string{"run", "--max-inbound", "-1"}},
		{"a number above 0", []string{"run", "--max-handshakes", "0"}},
		{"a time above 0", []string{"ping", "--timeout", "0", friend}},
		{"a time above 0", []string{"send", "--timeout", "5", friend, "x"}},
		{"a time above 0", []string{"dial", "--timeout", "-1s", friend}},
		{"a time above 0", []string{"liveness", "--timeout", "0s", "/ip4/127.0.0.1/tcp/1"}},
		{"a time above 0", []string{"seeds", "--timeout", "0s"}},
		{"HOST:PORT, such as", []string{"ping", "--socks", "nonsense", friend}},
		{"HOST:PORT, such as", []string{"run", "--socks", "127.0.0.1:http"}},
		{"HOST:PORT, such as", []string{"run", "--socks", "127.0.0.1:65536"}},
		{"HOST:PORT, such as", []string{"run", "--socks", ":9050"}},
		{"the whole path of a socket", []string{"tor", "status", "--tor-control", "control.sock"}},
	} {
		for _, more := range [][]string{nil, {"--json"}} {
			r := command(t, append(append([]string{}, c.args...), more...)...)
			text := r.err
			if more != nil {
				text, _ = r.object(t)["error"].(string)
			}
			if r.code != exitUsage || !strings.Contains(text, c.says) {
				t.Errorf("%q: exit code %d, said %q", append(c.args, more...), r.code, text)
			}
		}
	}
}
