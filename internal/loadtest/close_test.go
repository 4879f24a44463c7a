//go:build linux

package loadtest

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

var inMemory = []ma.Multiaddr{ma.StringCast("/memory/0")}

// mute is a connection that at some moment neither sends nor takes any more, and is not closed either.
type mute struct {
	*memnet.Conn
	hung atomic.Bool
	end  chan struct{}
	once sync.Once
}

func (c *mute) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	if c.hung.Load() {
		<-c.end
		return 0, net.ErrClosed
	}
	return n, err
}

func (c *mute) Write(p []byte) (int, error) {
	if c.hung.Load() {
		return len(p), nil
	}
	return c.Conn.Write(p)
}

func (c *mute) Close() error {
	c.once.Do(func() { close(c.end) })
	return c.Conn.Close()
}

func dialMute(t *testing.T, h *tari.Host) *mute {
	t.Helper()
	c, err := memnet.Dial(t.Context(), h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	m := &mute{Conn: c, end: make(chan struct{})}
	t.Cleanup(func() { m.Close() })
	return m
}

// With a hundred peers that take nothing any more, while more is written to each than fits between, and as many strangers in each stage
// of the handshake, Close does not wait for them, and a second one at the same time does not either. (In testing/synctest the swarm
// would block on its own mutex; this takes its two real seconds, and the bound is one that only a wait for the peers would exceed.)
func TestCloseWithHungPeers(t *testing.T) {
	for _, n := range networks {
		t.Run(n.Name, func(t *testing.T) {
			t.Parallel()
			const each = 100
			h := start(t, tari.Config{Network: n, Listen: inMemory, Limits: tari.Limits{Handshakes: 4 * each}})
			var peers, writers sync.WaitGroup
			var told atomic.Int32
			for i := range each {
				hangUp, stream := hang(t, n, h, i)
				defer peers.Wait()
				defer peers.Go(hangUp)
				writers.Go(func() {
					for {
						if _, err := stream.Write(make([]byte, 1<<20)); err != nil {
							told.Add(1)
							return
						}
					}
				})
			}
			for i := range each { // silent, stopped after the first byte, stopped in the middle of the handshake
				dialMute(t, h)
				dialMute(t, h).Write([]byte{n.WireByte})
				cut := &onlySo{Conn: dialMute(t, h), left: 60}
				peers.Go(func() {
					us, _ := someone(each + i)
					_, _ = dialect.Of(n).Upgrade(context.Background(), cut, network.DirOutbound, us)
				})
			}
			if n := told.Load(); n != 0 {
				t.Fatalf("%d writers got through", n)
			}
			began := time.Now()
			var closers sync.WaitGroup
			for range 2 {
				closers.Go(func() {
					if err := h.Close(); err != nil {
						t.Errorf("close: %v", err)
					}
				})
			}
			closers.Wait()
			took := time.Since(began)
			row("Host.Close with 100 hung peers, "+n.Name, "2 s", took.Round(time.Millisecond))
			if took > 30*time.Second { // a write to a peer that takes nothing ends after 120 s, a handshake after 15
				t.Errorf("closed after %v", took)
			}
			writers.Wait()
			if told.Load() != each {
				t.Errorf("%d of %d writers were told", told.Load(), each)
			}
			if err := h.Close(); err != nil {
				t.Errorf("a third close: %v", err)
			}
		})
	}
}

// hang connects a peer that then takes nothing more, and opens a stream to it.
func hang(t *testing.T, n dialect.Network, h *tari.Host, i int) (hangUp func(), opened network.Stream) {
	t.Helper()
	c := dialMute(t, h)
	us := stranger(t, i)
	s, err := dialect.Of(n).Upgrade(t.Context(), c, network.DirOutbound, us)
	if err != nil {
		t.Fatal(err)
	}
	them := us.Key.Public().PeerID()
	eventually(t, "the host has the connection as well", func() bool { return h.Network().Connectedness(them) == network.Connected })
	c.hung.Store(true)
	stream, err := h.NewStream(testContext(t), them)
	if err != nil {
		t.Fatal(err)
	}
	return func() { c.Close(); s.Close() }, stream
}

// onlySo swallows what is written beyond a number of bytes.
type onlySo struct {
	net.Conn
	left int
}

func (c *onlySo) Write(p []byte) (int, error) {
	n := min(len(p), c.left)
	c.left -= n
	if _, err := c.Conn.Write(p[:n]); err != nil {
		return 0, err
	}
	return len(p), nil
}

// Dials under way end with the host, at once, and say so; so do those that come later.
func TestCloseDuringDials(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent, err := memnet.Listen(inMemory[0])
		if err != nil {
			t.Fatal(err)
		}
		defer silent.Close()
		h := start(t, tari.Config{})
		var dials sync.WaitGroup
		var failed atomic.Int32
		for i := range 20 {
			to := peer.AddrInfo{ID: stranger(t, i).Key.Public().PeerID(), Addrs: []ma.Multiaddr{silent.Multiaddr()}}
			dials.Go(func() {
				if err := h.Connect(context.Background(), to); !errors.Is(err, tari.ErrClosed) {
					t.Errorf("dialing: %v", err)
				}
				failed.Add(1)
			})
		}
		synctest.Wait()
		if n := failed.Load(); n != 0 {
			t.Fatalf("%d dials failed before", n)
		}
		began := time.Now()
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		dials.Wait()
		if took := time.Since(began); took != 0 || failed.Load() != 20 {
			t.Errorf("%d of 20 dials failed, after %v", failed.Load(), took)
		}
		to := peer.AddrInfo{ID: stranger(t, 0).Key.Public().PeerID(), Addrs: []ma.Multiaddr{silent.Multiaddr()}}
		if err := h.Connect(t.Context(), to); !errors.Is(err, tari.ErrClosed) {
			t.Errorf("a dial after it: %v", err)
		}
		if _, err := h.NewStream(t.Context(), to.ID); !errors.Is(err, tari.ErrClosed) {
			t.Errorf("a stream after it: %v", err)
		}
	})
}

// Hosts come in one after the other while the one they come to closes: each is let in or refused, and nothing is left behind. This one
// uses the clock and the sockets of the system, where Accept and Close really meet.
func TestCloseDuringAccepts(t *testing.T) {
	const dialing = 8
	for before := range dialing + 1 { // so many are through, or were refused, when the host closes
		h := start(t, tari.Config{Listen: loopback})
		to := peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}
		var dialers sync.WaitGroup
		arrived := make(chan struct{}, dialing)
		for range dialing {
			other := start(t, tari.Config{})
			dialers.Go(func() {
				defer other.Close()
				err := other.Connect(testContext(t), to)
				arrived <- struct{}{}
				for err == nil { // until the host is gone
					_ = other.Network().ClosePeer(to.ID)
					err = other.Connect(testContext(t), to)
				}
			})
		}
		for range before {
			<-arrived
		}
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
		if c, err := net.Dial("tcp", hostPort(to.Addrs[0])); err == nil {
			c.Close()
			t.Error("still listens")
		}
		dialers.Wait()
		if conns := h.Network().Conns(); len(conns) != 0 {
			t.Errorf("left: %v", conns)
		}
	}
}
