package crawl

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"slices"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Test200: all of a network of 200 are found, each is visited once, and nobody is
// crowded: that is counted at their end.
func Test200(t *testing.T) {
	s := new(crawltest.Crowd)
	nodes := s.Network(t, "127.0.1", 200)
	dead := crawltest.Signed(t, closedPort(t, [4]byte{127, 0, 2, 1}))
	nodes[50].Tell(dead)
	told := 0
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{nodes[0].At(), nodes[7].At()}, AllowTestAddresses: true, Parallel: 24, PerHost: 3,
		OnVisit: func(p Peer, at Progress) {
			if told++; at.Done != told || at.Known < told || p.Visit == nil || at.Visits > 24 {
				t.Errorf("after visit %d: %+v", told, at)
			}
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := classes(result); !maps.Equal(got, map[Class]int{Answered: 200, Unreachable: 1}) || told != 201 {
		t.Errorf("%v, %d visits", got, told)
	}
	found := of(result)
	for i, n := range nodes {
		p, ok := found[n.Claim.Key]
		if !ok || p.Claim == nil || p.Claim.VerifySignature(time.Now()) != nil || p.ToldBy != 4 || p.Visit.Told < 4 || p.Visit.Invalid != nil {
			t.Errorf("node %d: %+v", i, p)
		}
		if visits, asked := n.Counts(); visits != 1 || asked != 1 {
			t.Errorf("node %d was visited %d times by a client, asked %d times", i, visits, asked)
		}
	}
	all, at := s.Most()
	for host, most := range at {
		if most > 3 {
			t.Errorf("%d visits at a time at %s", most, host)
		}
	}
	t.Logf("at most %d visits at a time, %d at one host", all, slices.Max(slices.Collect(maps.Values(at))))
	if all > 24 || all < 2 {
		t.Errorf("%d visits at a time", all)
	}
	for i, n := range nodes { // it leaves when it has its answer
		for end := time.Now().Add(patience); len(n.Network().Conns()) > 0; time.Sleep(5 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("node %d still has a connection", i)
			}
		}
	}
	if sum := result.Summary(); sum.Reached != 200 || sum.Waiting != 0 || sum.Kinds["ip4"] != (KindCount{201, 200}) || len(sum.Agents) != 1 || sum.Agents[0] != (AgentCount{tari.DefaultUserAgent, 200}) {
		t.Errorf("%+v", sum)
	}
}

// closedPort is an address where nobody listens, nor will before the test ends.
func closedPort(t testing.TB, ip [4]byte) string {
	t.Helper()
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = syscall.Close(fd) })
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: ip}); err != nil {
		t.Fatal(err)
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("/ip4/%s/tcp/%d", netip.AddrFrom4(ip), name.(*syscall.SockaddrInet4).Port)
}

// knocks counts who knocks at a port, and hangs up.
func knocks(t testing.TB, ip string) (addr string, count *atomic.Int64) {
	t.Helper()
	l, err := net.Listen("tcp", ip+":0")
	if err != nil {
		t.Fatal(err)
	}
	count = new(atomic.Int64)
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			count.Add(1)
			c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	a, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return a.String(), count
}

// TestNoWeapon: peers that make up others cannot make us knock at somebody's door again and again.
func TestNoWeapon(t *testing.T) {
	s := new(crawltest.Crowd)
	liar := s.Serve(t, "", rpc.ServerConfig{})
	door, count := knocks(t, "127.0.3.1")
	for range 300 { // one address
		liar.Tell(crawltest.Signed(t, door))
	}
	const host, hosts = "127.0.3.2", 100
	for range hosts { // one host
		liar.Tell(crawltest.Signed(t, closedPort(t, [4]byte{127, 0, 3, 2})))
	}
	good := s.Serve(t, "127.0.3.3", rpc.ServerConfig{})
	for range 20 { // the address of a good peer, before it comes
		liar.Tell(crawltest.Signed(t, good.Claim.Addresses[0].String()))
	}
	liar.Tell(good.Claim)
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{liar.At()}, AllowTestAddresses: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := count.Load(); n != 1 {
		t.Errorf("knocked %d times at one address", n)
	}
	dials, said := 0, []string{}
	for _, p := range result.Peers {
		for _, a := range p.Visit.Attempts {
			if hostOf(ma.StringCast(a.Address)) == host && a.Class != LeftAlone {
				dials, said = dials+1, append(said, a.Error)
			}
		}
	}
	if dials < maxAbsent || dials >= maxAbsent+defaultPerHost {
		t.Errorf("knocked %d times at one host: %v", dials, said)
	}
	if got := classes(result); got[Answered] != 2 || got[LeftAlone] != hosts-dials || got[Authentication] != 20 {
		t.Errorf("%v", got)
	}
	if p := of(result)[good.Claim.Key]; p.Visit.Class != Answered {
		t.Errorf("the good peer behind the false ones: %+v", p.Visit)
	}
}

// TestAtHost: a host with peers without end is visited no further, also if all of them are there.
func TestAtHost(t *testing.T) {
	k := newKnown(true)
	apply := func(e entry) {
		if err := k.apply(e, time.Now()); err != nil {
			t.Fatal(err)
		}
	}
	for i := range maxAtHost + 1 {
		claim := crawltest.Signed(t, fmt.Sprintf("/ip4/127.0.3.4/tcp/%d", 1000+i))
		apply(heardOf(claim))
		addrs, without := k.choose(i)
		if i == maxAtHost {
			if len(addrs) != 0 || without.Class != LeftAlone || without.Error == "" {
				t.Errorf("one more: %v, %+v", addrs, without)
			}
			break
		}
		if len(addrs) != 1 {
			t.Fatalf("%d: %+v", i, without)
		}
		visit := Visit{Class: Answered, Final: true, Attempts: []Attempt{{Address: claim.Addresses[0].String()}}}
		for range 2 { // a second visit there is not one more address
			apply(entry{Seen: &seen{Peer: i, Visit: visit}})
		}
	}
}

// TestAbsentInARow: it is those in a row that make a host be left alone.
func TestAbsentInARow(t *testing.T) {
	k := newKnown(true)
	for i := range 3 * maxAbsent {
		claim := crawltest.Signed(t, fmt.Sprintf("/ip4/127.0.3.5/tcp/%d", 1000+i))
		class := Unreachable
		if i%maxAbsent == maxAbsent-1 {
			class = Refused // somebody is there
		}
		visit := Visit{Class: class, Final: true, Attempts: []Attempt{{Address: claim.Addresses[0].String(), Class: class}}}
		for _, e := range []entry{heardOf(claim), {Seen: &seen{Peer: i, Visit: visit}}} {
			if e.Seen != nil {
				if addrs, without := k.choose(i); len(addrs) != 1 {
					t.Fatalf("%d: %+v", i, without)
				}
			}
			if err := k.apply(e, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestOneAddressAtATime: each address of a peer is dialed once, and what became of it is told.
func TestOneAddressAtATime(t *testing.T) {
	good := new(crawltest.Crowd).Serve(t, "127.0.3.6", rpc.ServerConfig{})
	door, count := knocks(t, "127.0.3.7")
	other, counted := knocks(t, "127.0.3.7")
	start := good.At()
	start.Addrs = append([]ma.Multiaddr{ma.StringCast(door), ma.StringCast(other)}, start.Addrs...)
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{Start: []tari.Address{start}, AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	v := result.Peers[0].Visit
	if v.Class != Answered || len(v.Attempts) != 3 || v.Attempts[0].Class != Refused || v.Reached() != good.Claim.Addresses[0].String() || count.Load() != 1 || counted.Load() != 1 {
		t.Errorf("%+v, %d and %d knocks", v, count.Load(), counted.Load())
	}
}

// TestMaxPeers: a peer that makes up others without end does not fill the memory.
func TestMaxPeers(t *testing.T) {
	liar := new(crawltest.Crowd).Serve(t, "", rpc.ServerConfig{})
	for range 200 {
		liar.Tell(crawltest.Signed(t, closedPort(t, [4]byte{127, 0, 4, 1})))
	}
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{liar.At()}, AllowTestAddresses: true, MaxPeers: 50,
	})
	if err != nil || len(result.Peers) != 50 || result.Dropped != 151 {
		t.Errorf("%d peers, %d dropped, %v", len(result.Peers), result.Dropped, err)
	}
}

// TestBusy: a peer without a session left is asked again, later.
func TestBusy(t *testing.T) {
	s := new(crawltest.Crowd)
	busy := s.Serve(t, "", rpc.ServerConfig{MaxSessions: 1})
	other := guest(t, tari.Config{AllowTestAddresses: true})
	if err := other.Connect(t.Context(), busy.At().AddrInfo()); err != nil {
		t.Fatal(err)
	}
	holds, err := rpc.Connect(t.Context(), other, busy.ID(), "t/dht/1", rpc.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	var seen []Class
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{busy.At()}, AllowTestAddresses: true, Pause: 50 * time.Millisecond,
		OnVisit: func(p Peer, _ Progress) {
			seen = append(seen, p.Visit.Class)
			holds.Close()
			for busy.RPC.Sessions() > 0 {
				time.Sleep(time.Millisecond)
			}
		},
	})
	if err != nil || len(seen) != 2 || seen[0] != Busy || seen[1] != Answered || result.Peers[0].Visits != 2 {
		t.Errorf("%v, %v", seen, err)
	}
	if _, asked := busy.Counts(); asked != 1 {
		t.Errorf("asked %d times", asked)
	}
}

// TestAlwaysBusy: not for ever.
func TestAlwaysBusy(t *testing.T) {
	busy := new(crawltest.Crowd).Serve(t, "", rpc.ServerConfig{MaxSessions: 1})
	other := guest(t, tari.Config{AllowTestAddresses: true})
	if err := other.Connect(t.Context(), busy.At().AddrInfo()); err != nil {
		t.Fatal(err)
	}
	holds, err := rpc.Connect(t.Context(), other, busy.ID(), "t/dht/1", rpc.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer holds.Close()
	began := time.Now()
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{busy.At()}, AllowTestAddresses: true, Pause: 20 * time.Millisecond,
	})
	if visits, _ := busy.Counts(); err != nil || visits-1 != maxVisits || result.Peers[0].Visit.Class != Busy || time.Since(began) < 60*time.Millisecond {
		t.Errorf("%d visits, %+v, %v", visits, result.Peers[0].Visit, err)
	}
}

// TestInterrupted: the end of the context ends a crawl, and another goes on.
func TestInterrupted(t *testing.T) {
	s := new(crawltest.Crowd)
	nodes := s.Network(t, "127.0.1", 30)
	cfg := Config{
		Start: []tari.Address{nodes[0].At()}, AllowTestAddresses: true, Parallel: 2,
		Journal: filepath.Join(t.TempDir(), "journal"), Network: "localnet",
	}
	ctx, stop := withStop(t)
	cfg.OnVisit = func(_ Peer, at Progress) {
		if at.Done == 10 {
			stop()
		}
	}
	result, err := Run(ctx, guest(t, tari.Config{AllowTestAddresses: true}), cfg)
	if err == nil || result.Summary().Waiting == 0 {
		t.Fatalf("%+v, %v", result.Summary(), err)
	}
	cfg.OnVisit = nil
	result, err = Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), cfg)
	if got := classes(result); err != nil || got[Answered] != 30 || len(result.Peers) != 30 {
		t.Errorf("%v, %v", got, err)
	}
	again := 0
	for _, n := range nodes {
		_, asked := n.Counts()
		again += max(0, asked-1)
	}
	if again > 2 {
		t.Errorf("%d were asked twice", again)
	}
	// A crawl that is done visits nobody.
	cfg.OnVisit = func(p Peer, _ Progress) { t.Errorf("visited %s", p.Key) }
	if result, err = Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), cfg); err != nil || classes(result)[Answered] != 30 {
		t.Errorf("%v, %v", classes(result), err)
	}
}
