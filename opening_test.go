package tari

import (
	"context"
	"errors"
	"io"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

const roundTrip = 100 * time.Millisecond

// link is a transport that dials /ip4/…/tcp/N as /memory/N, half a round trip away until it is near.
type link struct {
	up   transport.Upgrader
	near chan struct{}
	trip map[string]time.Duration // to an IP address, if it is not roundTrip
}

// newLink returns a link for Config.Transports. It is near when the test ends: the swarm holds a mutex while it closes a connection, and
// meanwhile no time passes in a bubble.
func newLink() *link { return &link{near: make(chan struct{})} }

func (l *link) transports(up transport.Upgrader, _ network.ResourceManager, _ transport.Transport) ([]transport.Transport, error) {
	l.up = up
	return []transport.Transport{l}, nil
}

func farFrom(h *Host) []ma.Multiaddr {
	port, err := h.Network().ListenAddresses()[0].ValueForProtocol(ma.P_MEMORY)
	if err != nil {
		panic(err)
	}
	return addrs("/ip4/127.0.0.1/tcp/" + port)
}

func (*link) CanDial(a ma.Multiaddr) bool { return a.Protocols()[0].Code == ma.P_IP4 }
func (*link) Protocols() []int            { return []int{ma.P_TCP} }
func (*link) Proxy() bool                 { return false }
func (*link) Listen(ma.Multiaddr) (transport.Listener, error) {
	return nil, errors.ErrUnsupported
}

func (l *link) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	port, err := a.ValueForProtocol(ma.P_TCP)
	if err != nil {
		return nil, err
	}
	there, err := memnet.Dial(ctx, ma.StringCast("/memory/"+port))
	if err != nil {
		return nil, err
	}
	here, middle := memnet.Pipe()
	trip := roundTrip
	if ip, err := a.ValueForProtocol(ma.P_IP4); err == nil && l.trip[ip] != 0 {
		trip = l.trip[ip]
	}
	go l.carry(middle, there, trip/2)
	go l.carry(there, middle, trip/2)
	return l.up.Upgrade(ctx, l, farConn{here.(manet.Conn), a}, network.DirOutbound, p, &network.NullScope{})
}

type farConn struct {
	manet.Conn
	remote ma.Multiaddr
}

func (c farConn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

// carry has each piece, and the end, arrive some time after it was sent.
func (l *link) carry(from, to io.ReadWriteCloser, after time.Duration) {
	type piece struct {
		data []byte
		at   time.Time
	}
	under := make(chan piece, 1000)
	go func() {
		defer close(under)
		for {
			data := make([]byte, 4096)
			n, err := from.Read(data)
			under <- piece{data[:n], time.Now().Add(after)}
			if err != nil {
				return
			}
		}
	}()
	for p := range under {
		select {
		case <-time.After(time.Until(p.at)):
		case <-l.near:
		}
		if len(p.data) > 0 {
			_, _ = to.Write(p.data)
		}
	}
	_ = to.Close()
}

// echoCounter echoes, and counts streams.
func echoCounter(h *Host) *atomic.Int32 {
	var n atomic.Int32
	h.SetStreamHandler(echo, func(s network.Stream) { n.Add(1); serveEcho(s) })
	return &n
}

func readEcho(t *testing.T, s network.Stream, want string) {
	t.Helper()
	b := make([]byte, len(want))
	if _, err := io.ReadFull(s, b); err != nil || string(b) != want {
		t.Errorf("read %q, %v, want %q", b, err, want)
	}
}

// How many round trips pass from the dial, without the transport's own, until the first byte is back.
func TestRoundTripsToTheFirstEcho(t *testing.T) {
	for name, c := range map[string]struct {
		network string
		open    func(ctx context.Context, h *Host, p peer.ID) (network.Stream, error)
		want    int
	}{
		"with the handshake": {"localnet", func(ctx context.Context, h *Host, p peer.ID) (network.Stream, error) {
			return h.NewStreamWith(ctx, p, echo, []byte("x"))
		}, 2},
		"after it": {"localnet", func(ctx context.Context, h *Host, p peer.ID) (network.Stream, error) {
			return h.newStreamThen(ctx, p, echo, []byte("x"))
		}, 3},
		"seed": {"stibbons", func(ctx context.Context, h *Host, p peer.ID) (network.Stream, error) {
			return h.NewStreamWith(ctx, p, echo, []byte("x"))
		}, 3},
	} {
		t.Run(name, func(t *testing.T) {
			n, err := dialect.NetworkByName(c.network)
			if err != nil {
				t.Skip(err) // a build without that dialect
			}
			synctest.Test(t, func(t *testing.T) {
				far := newLink()
				defer close(far.near)
				a, b := startHost(t, Config{Network: n, Transports: far.transports}), startHost(t, Config{Network: n})
				a.Peerstore().AddAddrs(b.ID(), farFrom(b), time.Hour)
				began := time.Now()
				s, err := c.open(t.Context(), a, b.ID())
				if err != nil {
					t.Fatal(err)
				}
				readEcho(t, s, "x")
				if took := time.Since(began); took != time.Duration(c.want)*roundTrip {
					t.Errorf("%v, want %d round trips of %v", took, c.want, roundTrip)
				}
				if s.Protocol() != echo || s.Conn().RemotePeer() != b.ID() || s.Stat().Direction != network.DirOutbound {
					t.Errorf("the stream is %v %v %v", s.Protocol(), s.Conn().RemotePeer(), s.Stat().Direction)
				}
				_, _ = s.Write([]byte("more"))
				readEcho(t, s, "more")
				_ = s.CloseWrite()
				if rest, err := io.ReadAll(s); len(rest) > 0 || err != nil {
					t.Errorf("at the end %q, %v", rest, err)
				}
				again, err := a.NewStreamWith(t.Context(), b.ID(), echo, []byte("over the same connection"))
				if err != nil {
					t.Fatal(err)
				}
				readEcho(t, again, "over the same connection")
				_ = again.Close()
			})
		})
	}
}

// Several who want it at once each have their own stream, and nothing is said twice, over two addresses either.
func TestOpeningIsSaidOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newLink()
		defer close(far.near)
		a, b := startHost(t, Config{Transports: far.transports}), startHost(t, Config{})
		served := echoCounter(b)
		a.Peerstore().AddAddrs(b.ID(), append(farFrom(b), b.Network().ListenAddresses()...), time.Hour)
		texts := []string{"one", "two", "three"}
		done := make(chan error)
		for _, text := range texts {
			go func() {
				s, err := a.NewStreamWith(t.Context(), b.ID(), echo, []byte(text))
				if err == nil {
					readEcho(t, s, text)
					_ = s.Close()
				}
				done <- err
			}()
		}
		for range texts {
			if err := <-done; err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
		if n := int(served.Load()); n != len(texts) {
			t.Errorf("%d streams were served, want %d", n, len(texts))
		}
	})
}

// Who is not the peer, or not wanted, hears nothing of it.
func TestOpeningIsForThePeerAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{Gater: noSecured{}}), startHost(t, Config{})
		served := echoCounter(b)
		stranger := somePeer(t)
		for _, p := range []peer.ID{stranger, b.ID()} {
			a.Peerstore().AddAddrs(p, b.Network().ListenAddresses(), time.Hour)
			_, err := a.NewStreamWith(t.Context(), p, echo, []byte("x"))
			var mismatch *dialect.KeyMismatchError
			if p == stranger && !errors.As(err, &mismatch) || p == b.ID() && !errors.Is(err, ErrRefused) {
				t.Errorf("%v", err)
			}
		}
		time.Sleep(time.Minute)
		if served.Load() > 0 || len(b.Network().Conns()) > 0 {
			t.Errorf("%d streams were served, %d connections", served.Load(), len(b.Network().Conns()))
		}
	})
}

// noSecured refuses every peer once its key is proven.
type noSecured struct{ connmgr.ConnectionGater }

func (noSecured) InterceptPeerDial(peer.ID) bool               { return true }
func (noSecured) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (noSecured) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return false
}

// A peer that does not serve the protocol resets the stream; the connection stays.
func TestOpeningOfAnUnknownProtocol(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{}), startHost(t, Config{})
		a.Peerstore().AddAddrs(b.ID(), b.Network().ListenAddresses(), time.Hour)
		s, err := a.NewStreamWith(t.Context(), b.ID(), "/unknown", []byte("x"))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := s.Read(make([]byte, 1)); !errors.Is(err, network.ErrReset) {
			t.Errorf("read: %v", err)
		}
		say(t, a, b.ID(), "still there")
	})
}

// Who leaves before the connection is ready has nobody answer into the void.
func TestOpeningThatIsLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		far := newLink()
		defer close(far.near)
		a, b := startHost(t, Config{Transports: far.transports}), startHost(t, Config{})
		ended := make(chan error, 1)
		b.SetStreamHandler(echo, func(s network.Stream) {
			_, err := io.Copy(io.Discard, s)
			ended <- err
			_ = s.Reset()
		})
		a.Peerstore().AddAddrs(b.ID(), farFrom(b), time.Hour)
		ctx, cancel := context.WithTimeout(t.Context(), roundTrip*3/2)
		defer cancel()
		left := make(chan error)
		go func() {
			_, err := a.NewStreamWith(ctx, b.ID(), echo, []byte("x"))
			left <- err
		}()
		time.Sleep(roundTrip / 2)
		if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID()}); err != nil {
			t.Fatal(err)
		}
		if err := <-left; !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who left has %v", err)
		}
		if err := <-ended; !errors.Is(err, network.ErrReset) {
			t.Errorf("the stream ended with %v", err)
		}
		synctest.Wait()
		for _, c := range a.Network().ConnsToPeer(b.ID()) {
			if n := len(c.GetStreams()); n > 0 {
				t.Errorf("%d streams are left", n)
			}
		}
	})
}
