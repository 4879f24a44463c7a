package main

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

const (
	seedKey1 = "e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76"
	seedKey2 = "6a493210f7499cd17fecb510ae0cea23a110e8d5b901f8acadd3095c73a3b919"
)

// nameServer answers every question for TXT records with the same.
func nameServer(t *testing.T, records ...string) string {
	t.Helper()
	packets, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	started, ended := make(chan struct{}), make(chan error, 1)
	s := &dns.Server{PacketConn: packets, NotifyStartedFunc: func() { close(started) }}
	s.Handler = dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		m := new(dns.Msg).SetReply(q)
		for _, text := range records {
			h := dns.RR_Header{Name: q.Question[0].Name, Rrtype: dns.TypeTXT, Class: dns.ClassINET}
			m.Answer = append(m.Answer, &dns.TXT{Hdr: h, Txt: []string{text}})
		}
		_ = w.WriteMsg(m)
	})
	go func() { ended <- s.ActivateAndServe() }()
	<-started
	t.Cleanup(func() {
		if err := s.Shutdown(); err != nil {
			t.Error(err)
		}
		<-ended
	})
	return packets.LocalAddr().String()
}

func TestSeeds(t *testing.T) {
	at := nameServer(t, seedKey1+"::/ip4/1.2.3.4/tcp/18189", "nobody")
	dir := t.TempDir()
	file := filepath.Join(t.TempDir(), "seeds")
	if err := os.WriteFile(file, []byte("# ours\n"+seedKey2+"::/ip4/1.2.3.5/tcp/18189\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	args := []string{"seeds", "--data-dir", dir, "--dns-server", at, "--dns-seed", "seeds.example.test", "--seed-file", file, "--timeout", "1m"}

	r := says(t, exitOK, "seeds.example.test: 1 peer, from "+at, args...)
	for _, text := range []string{seedKey1 + "::/ip4/1.2.3.4/tcp/18189", "no peer: record 2:", file + ": 1 peer", "2 peers in all\n"} {
		if !strings.Contains(r.out, text) {
			t.Errorf("no %q in %q", text, r.out)
		}
	}
	if _, err := os.Stat(filepath.Join(dir, "peers")); err == nil {
		t.Error("without --add something was kept")
	}
	says(t, exitOK, "2 peers in all, 2 put into the book", append(args, "--add")...)
	says(t, exitOK, seedKey1, "peers", "list", "--data-dir", dir)
	got := command(t, "peers", "get", "--data-dir", dir, "--json", seedKey1).object(t)
	if got["seed"] != true {
		t.Errorf("a seed in the book: %v", got)
	}

	o := command(t, append(args, "--json")...).object(t)
	if o["peers"] != float64(2) || len(o["sources"].([]any)) != 2 {
		t.Errorf("printed %v", o)
	}
}

// TestSeedsOfARunningNode: it connects to what "seeds --add" gives it, and not to itself.
func TestSeedsOfARunningNode(t *testing.T) {
	dir := t.TempDir()
	seed, n := startRun(t, t.TempDir()), startRun(t, dir)
	r := commandIn(t, n.peer+"\n"+seed.peer+"\n", "seeds", "--add", "--seed-file", "-", "--data-dir", dir)
	if r.code != exitOK || !strings.Contains(r.out, "2 peers in all, 1 put into the book") {
		t.Errorf("%+v", r)
	}
	seed.line("connected    inbound " + key(n.peer))
	says(t, exitNotFound, "does not know", "peers", "get", key(n.peer), "--data-dir", dir)
}

func TestNoSeeds(t *testing.T) {
	r := command(t, "seeds", "--dns-server", nameServer(t), "--dns-seed", "seeds.example.test", "--timeout", "1m")
	if r.code != exitUnreachable || !strings.Contains(r.out, "0 peers in all") {
		t.Errorf("%v", r)
	}
	r = command(t, "seeds", "--dns-server", nameServer(t), "--dns-seed", "seeds.example.test", "--timeout", "1m", "--json")
	if o := r.object(t); r.code != exitUnreachable || o["failure"] != "unreachable" || len(o["sources"].([]any)) != 1 {
		t.Errorf("%v", r)
	}
	says(t, exitNotFound, "there is no file", "seeds", "--seed-file", filepath.Join(t.TempDir(), "none"))
	for what, args := range map[string][]string{
		"a server that is none":     {"--dns-server", "dns.example"},
		"DNSSEC of the system":      {"--dnssec"},
		"the system behind a proxy": {"--socks", "127.0.0.1:1"},
		"a network without names":   {"--network", "localnet"},
		"an anchor that is none":    {"--dnssec", "--dns-server", "127.0.0.1", "--trust-anchor", "x"},
	} {
		if r := command(t, append([]string{"seeds"}, args...)...); r.code != exitUsage || r.err == "" {
			t.Errorf("%s: %v", what, r)
		}
	}
}

func TestSeedsFromStandardInput(t *testing.T) {
	r := commandIn(t, seedKey1+"::/ip4/1.2.3.4/tcp/18189\n", "seeds", "--seed-file", "-")
	if r.code != exitOK || !strings.Contains(r.out, "standard input: 1 peer\n") {
		t.Errorf("%v", r)
	}
}
