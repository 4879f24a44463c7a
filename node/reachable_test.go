package node

import (
	"context"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// patience is far more than anything here takes, on the slowest of machines.
const patience = 60 * time.Second

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// eventually waits for something that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

func loopback() []ma.Multiaddr { return []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")} }

func startNode(t *testing.T, cfg Config) *Node {
	t.Helper()
	n, err := Start(testContext(t), cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := n.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return n
}

// inEachDialect runs a test on one network of each dialect that is built in.
func inEachDialect(t *testing.T, test func(t *testing.T, in dialect.Network)) {
	seen := map[string]bool{}
	for _, in := range dialect.Networks() {
		if name := dialect.Of(in).String(); !seen[name] {
			seen[name] = true
			t.Run(name, func(t *testing.T) { test(t, in) })
		}
	}
}

// forwarded is a router's port: what connects to addr ends at the target, once there is one.
func forwarded(t *testing.T) (addr ma.Multiaddr, target chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err = manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	target = make(chan string, 1)
	var all sync.WaitGroup
	all.Go(func() {
		to, ok := "", false
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			if !ok {
				if to, ok = <-target; !ok {
					in.Close()
					continue
				}
			}
			all.Go(func() { relay(in, to) })
		}
	})
	t.Cleanup(func() {
		l.Close()
		close(target)
		all.Wait()
	})
	return addr, target
}

func relay(in net.Conn, to string) {
	defer in.Close()
	out, err := net.Dial("tcp", to)
	if err != nil {
		return
	}
	defer out.Close()
	var back sync.WaitGroup
	back.Go(func() {
		_, _ = io.Copy(in, out)
		in.Close()
	})
	_, _ = io.Copy(out, in)
	out.Close()
	back.Wait()
}

func hostPort(t *testing.T, n *Node) string {
	t.Helper()
	a, err := manet.ToNetAddr(n.Host.Network().ListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	return a.String()
}

// A running node finds out by itself that its public address leads to it, and status tells.
func TestReachableThroughARouter(t *testing.T) {
	inEachDialect(t, func(t *testing.T, in dialect.Network) {
		public, target := forwarded(t)
		n := startNode(t, Config{Network: in, Listen: loopback(), Public: []ma.Multiaddr{public}})
		s, err := n.Status()
		if err != nil {
			t.Fatal(err)
		}
		if len(s.Public) != 1 || s.Public[0].State != ReachUnknown || s.Public[0].Checked != nil || s.Public[0].Address != public.String() {
			t.Fatalf("before the check: %+v", s.Public)
		}
		target <- hostPort(t, n)
		eventually(t, "reachable", func() bool {
			s, _ := n.Status()
			return s.Public[0].State == ReachReachable && s.Public[0].Checked != nil && s.Public[0].Error == ""
		})
	})
}

// Our own check is let in from wherever it seems to come, strangers are not, and a token works once.
func TestOwnCheckNeedsNoAllowance(t *testing.T) {
	inEachDialect(t, func(t *testing.T, in dialect.Network) {
		n := startNode(t, Config{Network: in, Listen: loopback()})
		n.reach.gate.Allow = nil // nobody listens to liveness yet
		addr := n.Host.Network().ListenAddresses()[0]
		for range 2 {
			if err := n.checkAddress(testContext(t), addr); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := ProbeLiveness(testContext(t), in, "", addr); err == nil {
			t.Error("a stranger got an echo")
		}
	})
}

// A port that somebody else answers at, and one that nobody does, are not ours.
func TestUnreachable(t *testing.T) {
	inEachDialect(t, func(t *testing.T, in dialect.Network) {
		n := startNode(t, Config{Network: in, Listen: loopback()})
		other := startNode(t, Config{Network: in, Listen: loopback()})
		if err := n.checkAddress(testContext(t), other.Host.Network().ListenAddresses()[0]); err == nil {
			t.Error("another node's address passed for ours")
		}
		gone, target := forwarded(t)
		target <- "127.0.0.1:1" // where nobody listens
		n.config.Public = []ma.Multiaddr{gone}
		n.checkReachable(testContext(t))
		s, err := n.Status()
		if err != nil || len(s.Public) != 1 || s.Public[0].State != ReachUnreachable || s.Public[0].Error == "" {
			t.Errorf("%+v, %v", s.Public, err)
		}
	})
}

// The check goes through the proxy if there is one, and an onion address waits until something can dial it.
func TestReachableGoesThroughTheProxy(t *testing.T) {
	public := ma.StringCast("/ip4/203.0.113.7/tcp/18189")
	n := startNode(t, Config{Listen: loopback(), Tor: Tor{SOCKS: "127.0.0.1:1"}})
	if err := n.checkAddress(testContext(t), public); err == nil || !isAny(err, io.EOF) && FailureOf(err).Kind != FailUnreachable {
		t.Errorf("without a proxy behind its address: %v", err)
	}
	direct := startNode(t, Config{Listen: loopback()})
	onion := ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141")
	direct.config.Public = []ma.Multiaddr{onion}
	direct.checkReachable(testContext(t))
	if got := direct.reach.of(direct.public()); len(got) != 1 || got[0].State != ReachUnknown {
		t.Errorf("an onion address without Tor: %+v", got)
	}
}

// An onion address is found later than others, and has the time for it.
func TestOnionsMayBeSlow(t *testing.T) {
	onion := ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141")
	if other := ma.StringCast("/ip4/203.0.113.7/tcp/18189"); timeToReach(onion) < 130*time.Second || timeToReach(other) >= timeToReach(onion) {
		t.Errorf("%v for an onion address, %v for another", timeToReach(onion), timeToReach(other))
	}
}

// The book keeps where a peer was reached, when, and how long its handshake took: the addresses that answer quickly are dialed first.
func TestLatencyIsKept(t *testing.T) {
	them := startNode(t, Config{Listen: loopback()})
	far, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	var relaying sync.WaitGroup
	defer relaying.Wait()
	defer far.Close()
	relaying.Go(func() {
		if in, err := far.Accept(); err == nil {
			time.Sleep(50 * time.Millisecond) // the distance
			relay(in, hostPort(t, them))
		}
	})
	addr, err := manet.FromNetAddr(far.Addr())
	if err != nil {
		t.Fatal(err)
	}
	us, err := Errand(testContext(t), Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	key := them.Host.PublicKey()
	if _, err := us.AddPeer(testContext(t), tari.Address{Key: key, Addrs: []ma.Multiaddr{addr}}.String()); err != nil {
		t.Fatal(err)
	}
	if _, err := us.Send(testContext(t), key.String(), []byte("hello")); err != nil {
		t.Fatal(err)
	}
	want := us.dialTime(key.PeerID(), addr).Truncate(time.Millisecond)
	r, _ := us.Peers.Get(key.PeerID())
	if len(r.Addresses) == 0 || !r.Addresses[0].Addr.Equal(addr) || r.Addresses[0].LastSeen.IsZero() || r.Addresses[0].Took != want || want == 0 {
		t.Errorf("kept %+v, the handshake took %v", r.Addresses, want)
	}
}
