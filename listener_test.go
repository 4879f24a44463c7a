package tari

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

var loopback = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}

// brokenListener fails a few times before it is closed.
type brokenListener struct {
	manet.Listener
	failures int
	tried    []time.Time
	closed   chan struct{}
}

func (l *brokenListener) Accept() (manet.Conn, error) {
	l.tried = append(l.tried, time.Now())
	if len(l.tried) <= l.failures {
		return nil, syscall.EMFILE
	}
	<-l.closed
	return nil, net.ErrClosed
}

func (l *brokenListener) Close() error { close(l.closed); return nil }

// Running out of file descriptors pauses the listener, ever longer, and does not end it.
func TestTheListenerOutlivesAcceptErrors(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		u := &upgrader{rcmgr: &network.NullResourceManager{}, limits: Limits{}.withDefaults(), refusals: newRefusals(nil)}
		raw := &brokenListener{failures: 12, closed: make(chan struct{})}
		l := u.UpgradeListener(nil, raw)
		time.Sleep(time.Minute)
		synctest.Wait()
		l.Close()
		if _, err := l.Accept(); err == nil {
			t.Error("Accept of a closed listener")
		}
		if len(raw.tried) != 13 {
			t.Fatalf("tried %d times", len(raw.tried))
		}
		if n := u.refusals.sum()[RefusedDescriptors]; n != 12 {
			t.Errorf("%d failures are counted", n)
		}
		if first, last := raw.tried[1].Sub(raw.tried[0]), raw.tried[12].Sub(raw.tried[11]); first != 5*time.Millisecond || last != time.Second {
			t.Errorf("pauses from %v to %v", first, last)
		}
	})
}

// The liveness byte gets an echo where a gate lets it, on the port and beside the peers of the network.
func TestLivenessBesidePeers(t *testing.T) {
	gate := &wiremode.Gate{MaxSessions: 2, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	h := startHost(t, Config{Listen: loopback, Limits: Limits{Liveness: gate}})
	c, err := manet.Dial(h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	ctx := testContext(t)
	if err := wiremode.Probe(ctx, c, dialect.Mainnet.Liveness, "are you there"); err != nil {
		t.Fatal(err)
	}
	other := startHost(t, Config{Listen: loopback})
	connect(t, other, h)
	say(t, other, h.ID(), "and a peer")
	if err := wiremode.Echo(ctx, c, "still there"); err != nil {
		t.Fatal(err)
	}
	if _, err := New(Config{Limits: Limits{Handshakes: 10, Liveness: &wiremode.Gate{MaxSessions: 6}}}); err == nil {
		t.Error("liveness may take more than half of the slots")
	}
}

// The liveness sessions of all listeners of a host are counted together.
func TestLivenessIsSharedByListeners(t *testing.T) {
	gate := &wiremode.Gate{MaxSessions: 1, Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}}
	h := startHost(t, Config{Listen: []ma.Multiaddr{loopback[0], loopback[0]}, Limits: Limits{Liveness: gate}})
	listening := h.Network().ListenAddresses()
	if len(listening) != 2 {
		t.Fatalf("listens on %v", listening)
	}
	ctx := testContext(t)
	probe := func(a ma.Multiaddr) (manet.Conn, error) {
		c, err := manet.Dial(a)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, wiremode.Probe(ctx, c, dialect.Mainnet.Liveness, "are you there")
	}
	first, err := probe(listening[0])
	if err != nil {
		t.Fatal(err)
	}
	if _, err := probe(listening[1]); !errors.Is(err, wiremode.ErrNoEcho) {
		t.Errorf("the other listener has a session beside the only one: %v", err)
	}
	first.Close()
	eventually(t, "its place is free again", func() bool { _, err := probe(listening[1]); return err == nil })
}

// Whoever connects and says nothing holds up nobody: a peer that comes meanwhile is let in at once.
func TestSilentSocketsDoNotBlockAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, other := startHost(t, Config{}), startHost(t, Config{})
		for range 50 {
			c := dialRaw(t, h)
			defer c.Close()
		}
		synctest.Wait()
		start := time.Now()
		connect(t, other, h)
		say(t, other, h.ID(), "meanwhile")
		if took := time.Since(start); took != 0 {
			t.Errorf("waited for %v", took)
		}
	})
}

// What was written before Close arrives, over TCP as well: nothing is reset.
func TestCloseSendsWhatWasWritten(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		const size = 3 << 20
		for range 3 {
			a, b := startHost(t, Config{Network: n, Listen: loopback}), startHost(t, Config{Network: n, Listen: loopback})
			got := make(chan int64, 1)
			b.SetStreamHandler("/test/sink", func(s network.Stream) {
				n, err := io.Copy(io.Discard, s)
				if err != nil {
					t.Logf("the sink ends with %v", err)
				}
				got <- n
				s.Close()
			})
			connect(t, a, b)
			s, err := a.NewStream(testContext(t), b.ID(), "/test/sink")
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write(bytes.Repeat([]byte{1}, size)); err != nil {
				t.Fatal(err)
			}
			a.Close()
			if n := <-got; n != size {
				t.Errorf("%d of %d bytes arrived", n, size)
			}
			b.Close()
		}
	})
}

// After a disconnect the next stream dials again.
func TestReconnect(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		a, b := startHost(t, Config{Network: n, Listen: loopback}), startHost(t, Config{Network: n, Listen: loopback})
		connect(t, a, b)
		for range 3 {
			say(t, a, b.ID(), "again")
			if err := a.Network().ClosePeer(b.ID()); err != nil {
				t.Fatal(err)
			}
		}
		say(t, a, b.ID(), "at last")
	})
}

func TestConnectEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := startSilentListener(t)
		h := startHost(t, Config{})
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		start := time.Now()
		info := infoOf(startHost(t, Config{}))
		info.Addrs = []ma.Multiaddr{l.Multiaddr()}
		if err := h.Connect(ctx, info); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) != time.Second {
			t.Errorf("got %v after %v", err, time.Since(start))
		}
		start = time.Now()
		err := h.Connect(context.Background(), info)
		wantStage(t, err, dialect.StageNoise)
		if took := time.Since(start); took != 6*time.Second {
			t.Errorf("a silent peer is given up after %v", took)
		}
	})
}
