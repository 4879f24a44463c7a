package main

import (
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

// A node that knows nobody finds a seed by its name and connects to it.
func TestRunFindsSeedsByName(t *testing.T) {
	seed := startRun(t, t.TempDir())
	at := nameServer(t, seed.peer, "nobody")
	dir := t.TempDir()
	n := startRun(t, dir, "--allow-test-addresses", "--dns-seed", "seeds.example.test", "--dns-server", at)
	n.line("seeds        1 peer found by name")
	seed.line("connected    inbound " + key(n.peer))
	if got := command(t, "peers", "get", "--data-dir", dir, "--json", key(seed.peer)).object(t); got["seed"] != true {
		t.Errorf("in the book: %v", got)
	}
	if code := n.stop(); code != exitOK {
		t.Errorf("code %d: %s", code, n.errs)
	}
}

// Ourselves is no seed, and what is inside a network none that a name may give; there is an end to asking when the node ends.
func TestRunFindsNoSeeds(t *testing.T) {
	dir := t.TempDir()
	us := startRun(t, dir)
	mine := us.peer
	us.stop()
	n := startRun(t, dir, "--json", "--log", "warn", "--dns-seed", "seeds.example.test", "--dns-server", nameServer(t, mine))
	if e := n.answered(); e.Peers != 0 || e.Added != 0 || len(e.Sources) != 1 || len(e.Sources[0].Bad) != 1 {
		t.Errorf("%+v", e)
	}
	if code := n.stop(); code != exitOK || !strings.Contains(n.errs.String(), "no address that is reachable from everywhere") {
		t.Errorf("code %d: %s", code, n.errs)
	}
	m := startRun(t, dir, "--json", "--allow-test-addresses", "--dns-seed", "seeds.example.test", "--dns-server", nameServer(t, mine))
	if e := m.answered(); e.Peers != 1 || e.Added != 0 {
		t.Errorf("ourselves: %+v", e)
	}
}

// answered waits until a name server has answered: on a slow machine not the first time.
func (n *running) answered() seedReport {
	n.t.Helper()
	for {
		var e seedsFound
		if err := json.Unmarshal([]byte(n.line(`"event":"seeds"`)), &e); err != nil || e.Time.IsZero() {
			n.t.Fatal(e, err)
		}
		if e.Sources[0].Server != "" {
			return e.seedReport
		}
	}
}

func TestRunWithSeedsGiven(t *testing.T) {
	first, second := startRun(t, t.TempDir()), startRun(t, t.TempDir())
	file := filepath.Join(t.TempDir(), "seeds")
	if err := os.WriteFile(file, []byte("nobody\n"+second.peer+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	n := startRun(t, t.TempDir(), "--seed", first.peer, "--seed-file", file)
	first.line("connected    inbound " + key(n.peer))
	second.line("connected    inbound " + key(n.peer))
	n.stop()
	if !strings.Contains(n.errs.String(), "record 1:") {
		t.Errorf("the bad line is not told: %s", n.errs)
	}
}

func TestRunSeedUsage(t *testing.T) {
	says(t, exitNotFound, "there is no file", "run", "--data-dir", t.TempDir(), "--seed-file", filepath.Join(t.TempDir(), "none"))
	for what, args := range map[string][]string{
		"no peer":               {"--no-dns-seeds", "--seed", "nobody"},
		"no address":            {"--no-dns-seeds", "--seed", seedKey1},
		"names and none":        {"--no-dns-seeds", "--dns-seed", "a.test"},
		"no server":             {"--dns-seed", "a.test", "--dns-server", "dns.example"},
		"DNSSEC of the system":  {"--dns-seed", "a.test", "--dnssec"},
		"no anchor":             {"--dns-seed", "a.test", "--dnssec", "--dns-server", "127.0.0.1", "--trust-anchor", "x"},
		"no server, not needed": {"--no-dns-seeds", "--dns-server", "dns.example"},
	} {
		r := command(t, append([]string{"run", "--listen", "", "--data-dir", t.TempDir()}, args...)...)
		if r.code != exitUsage || r.err == "" {
			t.Errorf("%s: %+v", what, r)
		}
	}
}

// What is asked for, and of whom, when nothing or little is said.
func TestWhomToAsk(t *testing.T) {
	names := dialect.Nextnet.DNSSeeds
	own := []string{"127.0.0.1"}
	public := len(seeds.PublicServers())
	for what, c := range map[string]struct {
		tor     node.Tor
		network dialect.Network
		seeds   runSeeds
		names   []string
		servers int
	}{
		"nothing":            {network: dialect.Nextnet, names: names},
		"no names":           {network: dialect.Localnet},
		"not wanted":         {network: dialect.Nextnet, seeds: runSeeds{noName: true}},
		"seeds given":        {network: dialect.Nextnet, seeds: runSeeds{texts: []string{"x"}}},
		"a file given":       {network: dialect.Nextnet, seeds: runSeeds{seedOptions: seedOptions{files: []string{"x"}}}},
		"a name given":       {network: dialect.Nextnet, seeds: runSeeds{seedOptions: seedOptions{names: []string{"x"}}}, names: []string{"x"}},
		"through Tor":        {network: dialect.Nextnet, tor: node.Tor{Service: true}, names: names, servers: public},
		"through a proxy":    {network: dialect.Nextnet, tor: node.Tor{SOCKS: "x"}, names: names, servers: public},
		"Tor beside":         {network: dialect.Nextnet, tor: node.Tor{Service: true, Direct: true}, names: names},
		"only Tor":           {network: dialect.Nextnet, tor: node.Tor{Service: true, Only: true}},
		"only Tor, a server": {network: dialect.Nextnet, tor: node.Tor{Service: true, Only: true}, seeds: runSeeds{seedOptions: seedOptions{servers: own}}, names: names, servers: 1},
	} {
		look, err := c.seeds.lookup(&node.Config{Network: c.network, Tor: c.tor}, slog.New(slog.DiscardHandler))
		if err != nil || !slices.Equal(look.Names, c.names) || len(look.Names) > 0 && len(look.Servers) != c.servers {
			t.Errorf("%s: asks %v for %v, %v", what, look.Servers, look.Names, err)
		}
	}
}

// TestRunAsksThroughTheProxy: behind a proxy nothing but the proxy is spoken to.
func TestRunAsksThroughTheProxy(t *testing.T) {
	proxy, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	wanted := make(chan string, 1)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := proxy.Accept()
			if err != nil {
				return
			}
			if to := socksTarget(c); to != "" {
				select {
				case wanted <- to:
				default:
				}
			}
			_ = c.Close()
		}
	}()
	t.Cleanup(func() { _ = proxy.Close(); <-ended })
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer packets.Close()
	server := packets.LocalAddr().String()
	n := startRun(t, t.TempDir(), "--socks", proxy.Addr().String(), "--dns-seed", "seeds.example.test", "--dns-server", server)
	n.line("seeds        0 peers found by name")
	select {
	case to := <-wanted:
		if to != server {
			t.Errorf("the proxy was asked for %q, not %q", to, server)
		}
	case <-time.After(patience):
		t.Error("the proxy was asked for nothing")
	}
	n.stop()
	if err := packets.SetReadDeadline(time.Now()); err != nil {
		t.Fatal(err)
	}
	if size, from, err := packets.ReadFrom(make([]byte, 100)); err == nil {
		t.Errorf("%d bytes came from %v, past the proxy", size, from)
	}
}

// socksTarget is what a SOCKS5 client asks for, an IPv4 address, after user name and password.
func socksTarget(c net.Conn) string {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	read(int(read(2)[1]))
	_, _ = c.Write([]byte{5, 2})
	read(int(read(2)[1]))
	read(int(read(1)[0]))
	_, _ = c.Write([]byte{1, 0})
	request := read(10)
	if request[3] != 1 {
		return ""
	}
	return (&net.TCPAddr{IP: request[4:8], Port: int(request[8])<<8 | int(request[9])}).String()
}

func TestAskingAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		began := time.Now()
		var at []time.Duration
		again(ctx, func() bool {
			at = append(at, time.Since(began))
			return len(at) == 12
		})
		if at[0] != 0 || at[1] != seedsAgainFirst || at[2]-at[1] != 2*seedsAgainFirst || at[11]-at[10] != seedsAgainLast {
			t.Errorf("asked at %v", at)
		}
		tries := 0
		again(ctx, func() bool { tries++; cancel(); return false })
		if tries != 1 {
			t.Errorf("%d tries after the end", tries)
		}
	})
}
