package tari

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

const (
	anOnion = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141"
	aQUIC   = "/ip4/1.2.3.4/udp/18189/quic-v1"
)

// routed configures a host that dials through a proxy, where nobody listens.
func routed(route torsocks.Route) Config {
	return Config{Transports: func(u transport.Upgrader, r network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
		t, err := torsocks.NewTransport(u, r, &torsocks.Dialer{Proxy: "127.0.0.1:1"}, route, tcp)
		if route == torsocks.OnionOnly {
			return []transport.Transport{tcp, t}, err
		}
		return []transport.Transport{t}, err
	}}
}

// slowTransport dials onion addresses, and gives up after a while.
type slowTransport struct {
	transport.Transport
	after time.Duration
}

func (slowTransport) CanDial(a ma.Multiaddr) bool { return a.Protocols()[0].Code == ma.P_ONION3 }
func (slowTransport) Protocols() []int            { return []int{ma.P_ONION3} }
func (slowTransport) Proxy() bool                 { return true }

var errNoSuchOnion = errors.New("no such onion")

func (s slowTransport) Dial(ctx context.Context, _ ma.Multiaddr, _ peer.ID) (transport.CapableConn, error) {
	select {
	case <-time.After(s.after):
		return nil, errNoSuchOnion
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// An onion address has its two minutes, whoever asks; who sets a time for the peer keeps it.
func TestOnionsTakeTheirTime(t *testing.T) {
	for name, c := range map[string]struct {
		ctx   func(context.Context) context.Context
		after time.Duration
		ends  time.Duration
		found bool // the transport had its say
	}{
		"after 119 s":      {ctx: func(ctx context.Context) context.Context { return ctx }, after: 119 * time.Second, ends: 119 * time.Second, found: true},
		"never":            {ctx: func(ctx context.Context) context.Context { return ctx }, after: time.Hour, ends: dialTimeout},
		"somebody's limit": {ctx: limited, after: time.Hour, ends: 7 * time.Second},
	} {
		for what, dial := range map[string]func(context.Context, *Host, peer.ID) error{
			"Connect": func(ctx context.Context, h *Host, p peer.ID) error {
				return h.Connect(ctx, peer.AddrInfo{ID: p, Addrs: addrs(anOnion)})
			},
			"NewStream": func(ctx context.Context, h *Host, p peer.ID) error {
				h.Peerstore().AddAddrs(p, addrs(anOnion), time.Hour)
				_, err := h.NewStream(ctx, p, "/x")
				return err
			},
		} {
			t.Run(name+" "+what, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					h := startHost(t, Config{Transports: func(transport.Upgrader, network.ResourceManager, transport.Transport) ([]transport.Transport, error) {
						return []transport.Transport{slowTransport{after: c.after}}, nil
					}})
					began := time.Now()
					err := dial(c.ctx(t.Context()), h, somePeer(t))
					if err == nil || errors.Is(err, errNoSuchOnion) != c.found || time.Since(began) != c.ends {
						t.Errorf("after %v: %v", time.Since(began), err)
					}
				})
			})
		}
	}
}

func limited(ctx context.Context) context.Context {
	return network.WithDialPeerTimeout(ctx, 7*time.Second)
}

func somePeer(t *testing.T) peer.ID {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key.Public().PeerID()
}

// An address that no transport dials gives an error that names those there are.
func TestNoTransport(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   Config
		have  []string
		cant  []string
		other string // an address that a transport does dial, in vain
	}{
		"plain":     {Config{}, []string{"tcp", "memory"}, []string{anOnion, aQUIC, "/unix/tmp/socket"}, "/memory/65535"},
		"proxy":     {routed(torsocks.Everything), []string{"onion3", "tcp", "memory"}, []string{aQUIC}, anOnion},
		"onions":    {routed(torsocks.OnionOnly), []string{"tcp", "onion3", "memory"}, []string{aQUIC}, anOnion},
		"only Tor":  {routed(torsocks.NothingElse), []string{"onion3", "memory"}, []string{"/ip4/1.2.3.4/tcp/1", "/dns4/a.example/tcp/1", "/dnsaddr/a.example/tcp/1"}, anOnion},
		"own order": {routed(torsocks.NothingElse), []string{"onion3", "memory"}, []string{"/ip6/2606:4700::1/tcp/1", aQUIC}, "/memory/65535"},
	} {
		t.Run(name, func(t *testing.T) {
			h := startHost(t, c.cfg)
			h.names.lookup = func(context.Context, string, string) ([]netip.Addr, error) { t.Error("looked up"); return nil, nil }
			for _, a := range c.cant {
				p := somePeer(t)
				for what, err := range map[string]error{
					"Connect":   h.Connect(testContext(t), peer.AddrInfo{ID: p, Addrs: addrs(a)}),
					"NewStream": streamError(t, h, p),
				} {
					var none *NoTransportError
					if !errors.As(err, &none) || !errors.Is(err, swarm.ErrNoTransport) {
						t.Fatalf("%s to %s: %v", what, a, err)
					}
					if strings.Replace(a, "dnsaddr", "dns", 1) != none.Addr.String() || !slices.Equal(none.Have, c.have) {
						t.Errorf("%s to %s: of %s, have %q", what, a, none.Addr, none.Have)
					}
					if !strings.Contains(err.Error(), strings.Join(c.have, ", ")) {
						t.Errorf("%s to %s: %v", what, a, err)
					}
				}
			}
			// Beside an address that is dialed in vain it is still said.
			err := h.Connect(testContext(t), peer.AddrInfo{ID: somePeer(t), Addrs: addrs(c.cant[0], c.other)})
			var none *NoTransportError
			if !errors.As(err, &none) || !strings.Contains(err.Error(), c.other) {
				t.Errorf("%s beside %s: %v", c.cant[0], c.other, err)
			}
		})
	}
}

func streamError(t *testing.T, h *Host, p peer.ID) error {
	s, err := h.NewStream(testContext(t), p, echo)
	if err == nil {
		_ = s.Reset()
	}
	return err
}

// A dnsaddr is a plain host name, as in Tari: it is looked up as one, and no TXT record is asked for.
func TestNamesAreDialed(t *testing.T) {
	b := startHost(t, Config{Listen: loopback})
	port, err := b.Network().ListenAddresses()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	for kind, family := range map[string]string{"dnsaddr": "ip", "dns": "ip", "dns4": "ip4"} {
		t.Run(kind, func(t *testing.T) {
			a := startHost(t, Config{})
			asked := make(chan string, 16)
			a.names.lookup = func(_ context.Context, family, host string) ([]netip.Addr, error) {
				asked <- family + " " + host
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			name := addrs("/" + kind + "/seed.example/tcp/" + port)
			if err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: name}); err != nil {
				t.Fatal(err)
			}
			if got := <-asked; got != family+" seed.example" {
				t.Errorf("looked up %q", got)
			}
			say(t, a, b.ID(), kind)
		})
	}
}

// A name without an address family is never claimed: tari_comms bans for it.
func TestDNSIsNotClaimed(t *testing.T) {
	h := startHost(t, Config{Public: addrs("/dns/a.example.com/tcp/1", "/dns4/b.example.com/tcp/1", "/dns6/c.example.com/tcp/1", "/dnsaddr/d.example.com/tcp/1")})
	claim, err := h.OwnClaim()
	if err != nil {
		t.Fatal(err)
	}
	if got := claim.Addresses; !slices.EqualFunc(got, addrs("/dns4/b.example.com/tcp/1", "/dns6/c.example.com/tcp/1", "/dnsaddr/d.example.com/tcp/1"), ma.Multiaddr.Equal) {
		t.Errorf("claimed %v", got)
	}
}

// An address in use, or of another machine, says so in one line, with the cure.
func TestCannotListen(t *testing.T) {
	taken := startHost(t, Config{Listen: loopback}).Network().ListenAddresses()[0]
	for address, want := range map[string]string{
		taken.String():            "address already in use; end the program that listens there, or choose another port (0 takes a free one)",
		"/ip4/192.0.2.1/tcp/0":    "choose an address of this machine",
		"/ip4/1.2.3.4/udp/1/quic": "cannot listen on /ip4/1.2.3.4/udp/1/quic",
	} {
		h, err := New(Config{Listen: addrs(address)})
		if err == nil {
			_ = h.Close()
			t.Errorf("%s: listens", address)
			continue
		}
		if text := err.Error(); !strings.Contains(text, want) || !strings.Contains(text, address) || strings.Contains(text, "\n") {
			t.Errorf("%s: %q", address, text)
		}
	}
}
