package torsocks

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

const onion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141"

// stopUpgrader keeps what it is asked to upgrade and refuses.
type stopUpgrader struct {
	transport.Upgrader
	got manet.Conn
}

var errStop = errors.New("as far as this test goes")

func (u *stopUpgrader) Upgrade(_ context.Context, _ transport.Transport, c manet.Conn, _ network.Direction, _ peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	u.got = c
	scope.Done()
	_ = c.Close()
	return nil, errStop
}

// tcpStub can dial what TCP can.
type tcpStub struct{ transport.Transport }

func (tcpStub) CanDial(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return err == nil
}
func (tcpStub) Listen(ma.Multiaddr) (transport.Listener, error) { return nil, errStop }

func TestRoutes(t *testing.T) {
	addrs := []string{onion, "/ip4/1.2.3.4/tcp/1", "/ip6/2001:db8::1/tcp/1", "/dns4/a.b/tcp/1", "/dnsaddr/a.b/tcp/1", "/memory/1", "/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/1/ws"}
	for route, want := range map[Route][]bool{
		Everything:  {true, true, true, true, true, false, false, false},
		OnionOnly:   {true, false, false, false, false, false, false, false},
		NothingElse: {true, false, false, false, false, false, false, false},
	} {
		tpt, err := NewTransport(&stopUpgrader{}, nil, &Dialer{Proxy: "127.0.0.1:1"}, route, tcpStub{})
		if err != nil {
			t.Fatal(err)
		}
		for i, a := range addrs {
			if got := tpt.CanDial(ma.StringCast(a)); got != want[i] {
				t.Errorf("route %d, %s: CanDial is %v", route, a, got)
			}
		}
		if tpt.Proxy() != (route != OnionOnly) || len(tpt.Protocols()) != map[bool]int{true: 2, false: 1}[tpt.Proxy()] {
			t.Errorf("route %d: Proxy %v, protocols %v", route, tpt.Proxy(), tpt.Protocols())
		}
		if !tpt.SkipResolve(t.Context(), ma.StringCast(addrs[3])) {
			t.Error("the swarm would look names up")
		}
		if _, err := tpt.Dial(t.Context(), ma.StringCast("/memory/1"), ""); err == nil {
			t.Error("dialed a memory address")
		}
		if _, err := tpt.Listen(ma.StringCast("/ip4/127.0.0.1/tcp/0")); !errors.Is(err, errStop) {
			t.Errorf("TCP does not listen: %v", err)
		}
		if _, err := tpt.Listen(ma.StringCast(onion)); err == nil || errors.Is(err, errStop) {
			t.Errorf("listened on an onion address: %v", err)
		}
	}
}

func TestNewTransport(t *testing.T) {
	good := &Dialer{Proxy: "127.0.0.1:1"}
	for name, make := range map[string]func() (*Transport, error){
		"no upgrader":     func() (*Transport, error) { return NewTransport(nil, nil, good, OnionOnly, nil) },
		"no proxy":        func() (*Transport, error) { return NewTransport(&stopUpgrader{}, nil, &Dialer{}, OnionOnly, nil) },
		"nothing listens": func() (*Transport, error) { return NewTransport(&stopUpgrader{}, nil, good, Everything, nil) },
		"no password": func() (*Transport, error) {
			return NewTransport(&stopUpgrader{}, nil, &Dialer{Proxy: "x:1", User: "u"}, OnionOnly, nil)
		},
	} {
		if _, err := make(); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

// TestTransportDial shows the upgrader a connection whose remote end is the
// peer, asked for under the peer's own name.
func TestTransportDial(t *testing.T) {
	p := peer.ID("somebody")
	var trouble error
	addr := proxy(t, func(c net.Conn) {
		user := p.String() + "/1"
		auth := append([]byte{1, byte(len(user))}, user...)
		auth = append(append(auth, byte(len(user))), user...)
		name := "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd.onion"
		req := append(append([]byte{5, 1, 0, 3, byte(len(name))}, name...), 0x46, 0xdd)
		trouble = errors.Join(expect(c, greetUser), write(c, 5, 2), expect(c, auth), write(c, 1, 0), expect(c, req), write(c, granted...))
		_, _ = io.Copy(io.Discard, c)
	})
	up := &stopUpgrader{}
	tpt, err := NewTransport(up, nil, &Dialer{Proxy: addr}, Everything, tcpStub{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tpt.Dial(t.Context(), ma.StringCast(onion), p); !errors.Is(err, errStop) {
		t.Fatal(err, trouble)
	}
	if got := up.got.RemoteMultiaddr().String(); got != onion {
		t.Errorf("the remote end is %s", got)
	}
	if up.got.LocalMultiaddr() == nil {
		t.Error("no local end")
	}
}
