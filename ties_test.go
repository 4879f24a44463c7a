package tari

import (
	"context"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// dialBoth makes each host dial the other, whatever connection there is already.
func dialBoth(t *testing.T, a, b *Host) {
	t.Helper()
	var done sync.WaitGroup
	for _, pair := range [][2]*Host{{a, b}, {b, a}} {
		from, to := pair[0], pair[1]
		done.Go(func() {
			if err := from.Connect(context.Background(), infoOf(to)); err != nil {
				t.Errorf("connect: %v", err)
			}
		})
	}
	done.Wait()
}

func TestSimultaneousDialsLeaveTheSameConnection(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		for range 10 {
			synctest.Test(t, func(t *testing.T) {
				a, b := startHost(t, Config{Network: n}), startHost(t, Config{Network: n})
				if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) < 0 {
					a, b = b, a // a is the lower
				}
				dialBoth(t, a, b)
				synctest.Wait()
				say(t, a, b.ID(), "over whichever is left")
				say(t, b, a.ID(), "over whichever is left")
				time.Sleep(2 * tieLinger)
				synctest.Wait()
				ca, cb := a.Network().ConnsToPeer(b.ID()), b.Network().ConnsToPeer(a.ID())
				if len(ca) != 1 || len(cb) != 1 {
					t.Fatalf("%d and %d connections", len(ca), len(cb))
				}
				if ca[0].Stat().Direction == cb[0].Stat().Direction {
					t.Fatalf("both call it %v", ca[0].Stat().Direction)
				}
				say(t, a, b.ID(), "later")
			})
		}
	})
}

// Over TCP a dial that would lose waits for the one that comes in, so nothing is ever written to a loser.
func TestATieForeseen(t *testing.T) {
	tcp := []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	for range 5 {
		a, b := startHost(t, Config{Listen: tcp}), startHost(t, Config{Listen: tcp})
		dialBoth(t, a, b)
		say(t, a, b.ID(), "at once")
		say(t, b, a.ID(), "at once")
		a.Close()
		b.Close()
	}
}

func TestArrivals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var a arrivals
		here, there := ma.StringCast("/ip4/1.2.3.4/tcp/1"), ma.StringCast("/ip4/1.2.3.5/tcp/1")
		settles := func(from ma.Multiaddr, want time.Duration) {
			t.Helper()
			start := time.Now()
			a.settle(context.Background(), from)
			if took := time.Since(start); took != want {
				t.Errorf("settled after %v, want %v", took, want)
			}
		}
		settles(here, 0)
		first, second := a.enter(here), a.enter(ma.StringCast("/ip6/::ffff:1.2.3.4/tcp/2"))
		a.enter(ma.StringCast("/memory/1"))()
		settles(there, 0)
		settles(ma.StringCast("/memory/1"), 0)
		settles(here, tieForeseen)
		time.AfterFunc(100*time.Millisecond, first)
		time.AfterFunc(200*time.Millisecond, func() { first(); second() })
		settles(here, 200*time.Millisecond)
		if len(a.from) != 0 {
			t.Errorf("left: %v", a.from)
		}
	})
}

// What was under way on the connection that loses arrives, and the connection of the lower node id stays.
func TestTheLoserOfATieKeepsItsWord(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{}), startHost(t, Config{})
		if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) < 0 {
			a, b = b, a // a is the lower
		}
		connect(t, b, a) // will lose
		s, err := b.NewStream(context.Background(), a.ID(), echo)
		if err != nil {
			t.Fatal(err)
		}
		io.WriteString(s, "under way")

		// a dials too, as if it had begun before b's connection was there.
		addr := b.Addrs()[0]
		raw, err := a.swarm.TransportForDialing(addr).Dial(context.Background(), addr, b.ID())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait() // b has accepted it and breaks the tie; a's swarm does not know it
		conns := b.Network().ConnsToPeer(a.ID())
		if len(conns) != 2 {
			t.Fatalf("%d connections", len(conns))
		}
		for _, c := range conns {
			if loses := c.Stat().Direction == network.DirOutbound; c.IsClosed() != loses {
				t.Errorf("%v: retired %v", c.Stat().Direction, c.IsClosed())
			}
		}
		s.CloseWrite()
		if got, err := io.ReadAll(s); err != nil || string(got) != "under way" {
			t.Errorf("echo on the loser: %q, %v", got, err)
		}
		s.Close()
		time.Sleep(tieLinger)
		synctest.Wait()
		conns = b.Network().ConnsToPeer(a.ID())
		if len(conns) != 1 || conns[0].Stat().Direction != network.DirInbound {
			t.Errorf("left: %v", conns)
		}
		raw.Close()
	})
}

// A peer that connects again while its first connection still stands has given that up: the newer one stays, whoever is the lower.
func TestOfTwoInTheSameDirectionTheNewerStays(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		for _, lower := range []bool{true, false} {
			synctest.Test(t, func(t *testing.T) {
				a, b := startHost(t, Config{Network: n}), startHost(t, Config{Network: n})
				if lower != (a.PublicKey().NodeID().Compare(b.PublicKey().NodeID()) < 0) {
					a, b = b, a
				}
				connect(t, a, b)
				synctest.Wait()
				older := b.Network().ConnsToPeer(a.ID())[0]
				time.Sleep(oneDial)
				addr := b.Addrs()[0]
				again, err := a.swarm.TransportForDialing(addr).Dial(context.Background(), addr, b.ID())
				if err != nil {
					t.Fatal(err)
				}
				time.Sleep(tieLinger)
				synctest.Wait()
				conns := b.Network().ConnsToPeer(a.ID())
				if len(conns) != 1 || conns[0] == older || conns[0].IsClosed() {
					t.Errorf("left: %v, the older one was %v", conns, older)
				}
				again.Close()
			})
		}
	})
}

// One dial may reach a peer at two addresses, and the sides may see the two connections in different orders: which one stays does not
// depend on it.
func TestOfTwoFromOneDialBothSidesKeepTheSame(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		a, b := startHost(t, Config{Network: n}), startHost(t, Config{Network: n})
		addr := b.Addrs()[0]
		came := make(chan network.Conn, 2)
		b.Network().Notify(&network.NotifyBundle{ConnectedF: func(_ network.Network, c network.Conn) { came <- c }})
		bindings := map[string]bool{}
		for range 2 {
			c, err := a.swarm.TransportForDialing(addr).Dial(testContext(t), addr, b.ID())
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			var session *dialect.Session
			c.As(&session)
			bindings[string(session.Binding)] = true
		}
		both := []network.Conn{<-came, <-came}
		if b.keepsOlder(both[0], both[1]) == b.keepsOlder(both[1], both[0]) {
			t.Error("which one stays depends on which came first")
		}
		for _, c := range both {
			var session *dialect.Session
			c.As(&session)
			if !bindings[string(session.Binding)] || len(bindings) != 2 {
				t.Error("the sides do not know the connections by the same bindings")
			}
		}
	})
}

// A peer that dials although a connection has stood for a while has lost that: the new one stays, whoever is the lower. What we say goes
// over it at once, and not into a connection whose end has not come through yet.
func TestAnOldConnectionYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{}), startHost(t, Config{})
		if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) < 0 {
			a, b = b, a // a is the lower: what it dials wins a tie
		}
		connect(t, a, b)
		time.Sleep(6 * time.Second)
		addr := a.Addrs()[0]
		again, err := b.swarm.TransportForDialing(addr).Dial(context.Background(), addr, a.ID())
		if err != nil {
			t.Fatal(err)
		}
		defer again.Close()
		synctest.Wait()
		for _, c := range a.Network().ConnsToPeer(b.ID()) {
			if old := c.Stat().Direction == network.DirOutbound; c.IsClosed() != old {
				t.Errorf("%v: retired %v", c.Stat().Direction, c.IsClosed())
			}
		}
		time.Sleep(tieLinger)
		synctest.Wait()
		conns := a.Network().ConnsToPeer(b.ID())
		if len(conns) != 1 || conns[0].Stat().Direction != network.DirInbound {
			t.Errorf("left: %v", conns)
		}
	})
}

// A dial that comes to its end long after the peer's own ends without a second connection, and without waiting for the addresses that
// have not answered yet.
func TestADialEndsWhenThePeerHasComeIn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newLink()
		defer close(far.near)
		far.trip = map[string]time.Duration{"127.0.0.1": 4 * time.Second, "127.0.0.2": 5 * time.Second}
		a, b := startHost(t, Config{Transports: far.transports}), startHost(t, Config{})
		var seen atomic.Int32
		b.Network().Notify(&network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { seen.Add(1) }})
		time.AfterFunc(time.Second, func() { _ = b.Connect(context.Background(), infoOf(a)) })
		began := time.Now()
		slow := farFrom(b)[0]
		port, err := slow.ValueForProtocol(ma.P_TCP)
		if err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 7*time.Second)
		defer cancel()
		err = a.Connect(ctx, peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{slow, ma.StringCast("/ip4/127.0.0.2/tcp/" + port)}})
		if took := time.Since(began); err != nil || took != 4*time.Second {
			t.Errorf("after %v: %v", took, err)
		}
		time.Sleep(time.Until(began.Add(7900 * time.Millisecond))) // the others would have been through, too
		if n := seen.Load(); n != 1 {
			t.Errorf("the peer saw %d connections", n)
		}
		say(t, a, b.ID(), "over what is left")
	})
}

// deafConn stops reading at some point, until the end of the test.
type deafConn struct {
	net.Conn
	deaf  atomic.Bool
	hears chan struct{}
}

func (c *deafConn) Read(p []byte) (int, error) {
	if c.deaf.Load() {
		<-c.hears
		return 0, io.EOF
	}
	return c.Conn.Read(p)
}

// When the connection that won a tie ends, the loser is what is left, and stays.
func TestTheLoserStaysWhenTheWinnerEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{}), startHost(t, Config{})
		if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) < 0 {
			a, b = b, a // a is the lower
		}
		connect(t, b, a) // will lose
		addr := b.Addrs()[0]
		winner, err := a.swarm.TransportForDialing(addr).Dial(context.Background(), addr, b.ID())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		loser := b.Network().ConnsToPeer(a.ID())[0]
		if !loser.IsClosed() || loser.Stat().Direction != network.DirOutbound {
			t.Fatalf("lost no tie: %v", loser)
		}
		if _, err := loser.NewStream(context.Background()); err == nil {
			t.Error("a new stream on the loser")
		}
		winner.Close()
		synctest.Wait()
		if loser.IsClosed() {
			t.Error("the loser is still out although the winner is gone")
		}
		say(t, b, a.ID(), "at once")
		time.Sleep(2 * tieLinger)
		synctest.Wait()
		if conns := b.Network().ConnsToPeer(a.ID()); len(conns) != 1 || conns[0] != loser {
			t.Errorf("left: %v", conns)
		}
		say(t, b, a.ID(), "later")
	})
}

// Close gives a peer that does not read two seconds, and not the two minutes that a write may take. In real time: the swarm's Close
// holds a mutex, which testing/synctest does not take for a reason to move its clock on.
func TestShutdownWithADeafPeer(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		h := startHost(t, Config{Network: n})
		deaf := &deafConn{Conn: dialRaw(t, h), hears: make(chan struct{})}
		s, err := dialect.Of(n).Upgrade(testContext(t), deaf, network.DirOutbound, stranger(t))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Close()
		defer close(deaf.hears)
		eventually(t, "connected", func() bool { return len(h.Network().Peers()) == 1 })
		deaf.deaf.Store(true)
		out, err := h.NewStream(testContext(t), h.Network().Peers()[0])
		if err != nil {
			t.Fatal(err)
		}
		out.SetWriteDeadline(time.Now().Add(100 * time.Millisecond))
		out.Write(make([]byte, 1<<20))
		start := time.Now()
		h.Close()
		took := time.Since(start)
		t.Logf("Close took %v", took)
		if took > patience {
			t.Error("Close waited for the peer")
		}
	})
}
