package tari

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// startStrictHost is startHost for a host that takes no test addresses.
func startStrictHost(t *testing.T, cfg Config) *Host {
	t.Helper()
	h, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	h.SetStreamHandler(echo, serveEcho)
	return h
}

// causeAt is what a dial says of an address; nil if nothing.
func causeAt(err error, a ma.Multiaddr) error {
	var failed *swarm.DialError
	if errors.As(err, &failed) {
		for _, one := range failed.DialErrors {
			if one.Address.Equal(a) {
				return one.Cause
			}
		}
	}
	return nil
}

func TestWeDoNotDialOurselves(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		public := ma.StringCast("/ip4/1.2.3.4/tcp/18189")
		h := startHost(t, Config{
			Network: n, Listen: append(addrs("/memory/0"), loopback...), Public: []ma.Multiaddr{public},
			Hooks: Hooks{OnOffence: func(p peer.ID, _ time.Duration, err error) { t.Errorf("an offence of %s: %v", p, err) }},
		})
		wantSelf := func(what string, err error) {
			if !errors.Is(err, ErrSelf) || !errors.Is(err, swarm.ErrDialToSelf) {
				t.Errorf("%s: %v", what, err)
			}
		}
		wantSelf("our key", h.Connect(testContext(t), infoOf(h)))
		wantSelf("a stream to our key", streamError(t, h, h.ID()))
		for _, a := range h.Addrs() {
			err := h.Connect(testContext(t), peer.AddrInfo{ID: somePeer(t), Addrs: []ma.Multiaddr{a}})
			wantSelf(a.String(), err)
			// We dial where we listen in memory, of which the swarm does not know that it is here, and find our own key.
			if tried := !isNotTried(causeAt(err, a)); tried != (a[0].Protocol().Code == ma.P_MEMORY) {
				t.Errorf("%s: tried is %v: %v", a, tried, err)
			}
		}
	})
}

// Loopback is dialed if it is ours to say, and not if a stranger says so, also behind a name.
func TestConfiguredAddressesMayBeInternal(t *testing.T) {
	b := startStrictHost(t, Config{Listen: loopback})
	listens := b.Network().ListenAddresses()[0]
	port, err := listens.ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	name := ma.StringCast("/dns4/node.localhost/tcp/" + port)
	toLoopback := func(h *Host) {
		h.names.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
		}
	}
	for what, a := range map[string]ma.Multiaddr{"an address": listens, "a name": name} {
		t.Run(what, func(t *testing.T) {
			info := peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{a}}
			h := startStrictHost(t, Config{})
			toLoopback(h)
			if err := h.Connect(testContext(t), info); !errors.Is(err, ErrInternal) || !isNotTried(causeAt(err, listens)) {
				t.Errorf("a stranger's: %v", err)
			}
			h.SetConfigured(peer.AddrInfo{ID: somePeer(t), Addrs: info.Addrs})
			if err := h.Connect(testContext(t), info); !errors.Is(err, ErrInternal) {
				t.Errorf("configured for another peer: %v", err)
			}
			h.SetConfigured(info)
			say(t, h, b.ID(), "configured")
			_ = h.Network().ClosePeer(b.ID())
			h.SetConfigured(peer.AddrInfo{ID: b.ID()})
			if err := h.Connect(testContext(t), info); !errors.Is(err, ErrInternal) {
				t.Errorf("no longer configured: %v", err)
			}

			for _, own := range []bool{false, true} {
				h := startStrictHost(t, Config{Addresses: func(p peer.ID) []KnownAddress {
					if p != b.ID() {
						t.Errorf("asked for %s", p)
					}
					return []KnownAddress{{Addr: a, Configured: own}}
				}})
				toLoopback(h)
				if s, err := h.NewStream(testContext(t), b.ID(), echo); (err == nil) != own || !own && !errors.Is(err, ErrInternal) {
					t.Errorf("from the book, configured is %v: %v", own, err)
				} else if own {
					_ = s.Reset()
				}
			}
		})
	}
}

func TestConfiguredPeersAreBounded(t *testing.T) {
	var d configured
	var last peer.ID
	for i := range maxConfigured + 10 {
		last = peer.ID(fmt.Sprint("p", i))
		d.set(last, addrs("/ip4/127.0.0.1/tcp/1"))
	}
	if len(d.given) != maxConfigured || len(d.of(last)) != 1 {
		t.Errorf("%d peers kept, of the last %v", len(d.given), d.of(last))
	}
}

// listTransport dials everything, in vain, and writes down what.
type listTransport struct {
	transport.Transport
	names bool // it resolves names itself, as a proxy does

	mu     sync.Mutex
	dialed []ma.Multiaddr
}

func (l *listTransport) CanDial(a ma.Multiaddr) bool {
	return l.names || !isName(a)
}
func (l *listTransport) Protocols() []int { return []int{ma.P_TCP, ma.P_ONION, ma.P_ONION3} }
func (l *listTransport) Proxy() bool      { return l.names }

func (l *listTransport) SkipResolve(context.Context, ma.Multiaddr) bool { return l.names }

var errInVain = errors.New("in vain")

func (l *listTransport) Dial(_ context.Context, a ma.Multiaddr, _ peer.ID) (transport.CapableConn, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.dialed = append(l.dialed, a)
	return nil, errInVain
}

func (l *listTransport) use(transport.Upgrader, network.ResourceManager, transport.Transport) ([]transport.Transport, error) {
	return []transport.Transport{l}, nil
}

// Strangers claim ten thousand addresses at which we could do harm, to us or to others: none is dialed, once because the claim is
// filtered, and once although it is not.
func TestPoisonedAddressesAreNotDialed(t *testing.T) {
	const count, perClaim = 10_000, 5
	rng := rand.New(rand.NewPCG(24, 1))
	poison := make([]ma.Multiaddr, count)
	for i := range poison {
		poison[i] = poisons[i%len(poisons)](rng)
	}
	good := addrs("/ip4/1.2.3.4/tcp/18189", "/ip6/2606:4700::1/tcp/18189", "/ip6/64:ff9b::909:909/tcp/443", "/ip6/::ffff:9.9.8.8/tcp/1", anOnion)
	for name, list := range map[string]*listTransport{"direct": {}, "through a proxy": {names: true}} {
		t.Run(name, func(t *testing.T) {
			h := startStrictHost(t, Config{Transports: list.use})
			h.names.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
				return []netip.Addr{netip.MustParseAddr("127.0.0.1"), internalIP(rng), netip.MustParseAddr("64:ff9b::7f00:1")}, nil
			}
			some := somePeers(t, count/perClaim)
			for i, claimed := range slices.Collect(slices.Chunk(poison, perClaim)) {
				if name != "direct" { // a proxy looks up the names that are not its own network's
					claimed = slices.DeleteFunc(slices.Clone(claimed), func(a ma.Multiaddr) bool { return strings.Contains(a.String(), "/rebind") })
				}
				p := some[i]
				for _, filtered := range []bool{true, false} {
					if filtered {
						h.learned(p, &dialect.Session{Claim: &identityproto.Claim{Addresses: claimed}})
					} else {
						h.Peerstore().AddAddrs(p, claimed, time.Hour)
					}
					if err := h.Connect(t.Context(), peer.AddrInfo{ID: p}); err == nil || errors.Is(err, errInVain) {
						t.Fatalf("%v: %v", claimed, err)
					}
				}
			}
			if len(list.dialed) > 0 {
				t.Errorf("dialed %v", list.dialed)
			}
			h.learned(some[0], &dialect.Session{Claim: &identityproto.Claim{Addresses: good}})
			if err := h.Connect(t.Context(), peer.AddrInfo{ID: some[0]}); !errors.Is(err, errInVain) || len(list.dialed) != len(good) {
				t.Errorf("dialed %v of the good ones: %v", list.dialed, err)
			}
		})
	}
}

func somePeers(t *testing.T, n int) []peer.ID {
	t.Helper()
	out := make([]peer.ID, n)
	for i := range out {
		out[i] = somePeer(t)
	}
	return out
}

// poisons make addresses of one kind each.
var poisons = []func(*rand.Rand) ma.Multiaddr{
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(internalIP(r), anyPort(r)) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(netip.AddrFrom16(internalIP(r).As16()), anyPort(r)) }, // mapped, where it is IPv4
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(inPrefix(r, nat64, internalIP4(r)), anyPort(r)) },
	func(r *rand.Rand) ma.Multiaddr {
		return tcpAt(inPrefix(r, netip.MustParsePrefix("::/96"), internalIP4(r)), anyPort(r))
	},
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(netip.MustParseAddr("169.254.169.254"), 80) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(netip.MustParseAddr("fd00:ec2::254"), 80) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(netip.MustParseAddr("0.0.0.0"), anyPort(r)) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(netip.MustParseAddr("::"), anyPort(r)) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(externalIP4(r), 0) },
	func(r *rand.Rand) ma.Multiaddr { return tcpAt(externalIP4(r), [2]uint16{22, 25}[r.IntN(2)]) },
	func(r *rand.Rand) ma.Multiaddr {
		return named(r, "localhost", "a.localhost", "db.internal", "nas.local", "router.lan", "x.home.arpa")
	},
	func(r *rand.Rand) ma.Multiaddr {
		return named(r, "127.0.0.1", "0x7f000001", "2130706433", "0177.0.0.1", "10.1", "a_b.example")
	},
	func(r *rand.Rand) ma.Multiaddr { return named(r, fmt.Sprintf("rebind%d.example.com", r.IntN(1000))) },
	func(r *rand.Rand) ma.Multiaddr {
		return onion3(r, func(b []byte) { b[32+r.IntN(2)] ^= byte(1 + r.IntN(255)) })
	},
	func(r *rand.Rand) ma.Multiaddr { return onion3(r, func(b []byte) { b[34] = 2 }) },
	func(r *rand.Rand) ma.Multiaddr {
		return ma.StringCast(fmt.Sprintf("/ip6zone/eth0/ip6/fe80::%x/tcp/%d", anyPort(r), anyPort(r)))
	},
	func(r *rand.Rand) ma.Multiaddr {
		return ma.StringCast(fmt.Sprintf("/onion/timaq4ygg2iegci7:%d", anyPort(r)))
	},
	func(r *rand.Rand) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/memory/%d", anyPort(r))) },
}

var internalRanges = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("172.16.0.0/12"),
	netip.MustParsePrefix("192.168.0.0/16"), netip.MustParsePrefix("169.254.0.0/16"), netip.MustParsePrefix("100.64.0.0/10"),
	netip.MustParsePrefix("224.0.0.0/4"), netip.MustParsePrefix("240.0.0.0/4"), netip.MustParsePrefix("0.0.0.0/8"),
	netip.MustParsePrefix("::1/128"), netip.MustParsePrefix("fe80::/10"), netip.MustParsePrefix("fc00::/7"), netip.MustParsePrefix("ff00::/8"),
	netip.MustParsePrefix("64:ff9b:1::/48"), netip.MustParsePrefix("2002::/16"), netip.MustParsePrefix("2001::/32"),
}

func internalIP(r *rand.Rand) netip.Addr {
	return inPrefix(r, internalRanges[r.IntN(len(internalRanges))], netip.Addr{})
}

func internalIP4(r *rand.Rand) netip.Addr {
	return inPrefix(r, internalRanges[r.IntN(9)], netip.Addr{})
}

func externalIP4(r *rand.Rand) netip.Addr {
	return inPrefix(r, netip.MustParsePrefix("8.0.0.0/8"), netip.Addr{})
}

// inPrefix is a random address in a prefix; one that ends in tail if there is one.
func inPrefix(r *rand.Rand, p netip.Prefix, tail netip.Addr) netip.Addr {
	b := p.Addr().AsSlice()
	for i := range b {
		free := max(0, min(8, (i+1)*8-p.Bits()))
		b[i] |= byte(r.IntN(1 << free))
	}
	if tail.IsValid() {
		copy(b[len(b)-4:], tail.AsSlice())
	}
	ip, _ := netip.AddrFromSlice(b)
	return ip
}

func anyPort(r *rand.Rand) uint16 { return uint16(1 + r.IntN(1<<16-1)) }

func tcpAt(ip netip.Addr, port uint16) ma.Multiaddr {
	kind := "ip6"
	if ip.Is4() {
		kind = "ip4"
	}
	return ma.StringCast(fmt.Sprintf("/%s/%s/tcp/%d", kind, ip, port))
}

func named(r *rand.Rand, names ...string) ma.Multiaddr {
	kinds := []string{"dns", "dns4", "dns6", "dnsaddr"}
	return ma.StringCast(fmt.Sprintf("/%s/%s/tcp/%d", kinds[r.IntN(len(kinds))], names[r.IntN(len(names))], anyPort(r)))
}

// onion3 is a valid onion address after spoil has been at its 37 bytes.
func onion3(r *rand.Rand, spoil func([]byte)) ma.Multiaddr {
	b := ma.StringCast(anOnion).Bytes()
	name := b[len(b)-37:]
	binary.BigEndian.PutUint16(name[35:], anyPort(r))
	spoil(name)
	a, err := ma.NewMultiaddrBytes(b)
	if err != nil {
		panic(err)
	}
	return a
}
