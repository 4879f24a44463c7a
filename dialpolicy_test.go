package tari

import (
	"context"
	"errors"
	"net/netip"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

func ranges(t *testing.T, texts ...string) (all []AddrRange) {
	t.Helper()
	for _, text := range texts {
		r, err := ParseAddrRange(text)
		if err != nil {
			t.Fatal(err)
		}
		if r.String() != text {
			t.Errorf("%s prints as %s", text, r)
		}
		all = append(all, r)
	}
	return all
}

func TestAddrRange(t *testing.T) {
	for text, c := range map[string]struct{ in, out []string }{
		"/ip4/127.*.0:49.*/tcp/*": {
			[]string{"/ip4/127.0.0.1/tcp/1", "/ip4/127.255.49.255/tcp/65535", "/ip6/::ffff:127.0.0.1/tcp/1"},
			[]string{"/ip4/127.0.50.1/tcp/1", "/ip4/126.0.0.1/tcp/1", "/ip4/127.0.0.1/udp/1", "/ip4/127.0.0.1", "/ip6/::1/tcp/1", "/dns4/localhost/tcp/1"},
		},
		"/ip4/1.2.3.4/tcp/1000:2000": {[]string{"/ip4/1.2.3.4/tcp/1000", "/ip4/1.2.3.4/tcp/2000"}, []string{"/ip4/1.2.3.4/tcp/999", "/ip4/1.2.3.4/tcp/2001"}},
		"/ip4/1.2.3.4/tcp/5": {
			[]string{"/ip4/1.2.3.4/tcp/5", "/ip6/::ffff:1.2.3.4/tcp/5", "/ip6/::1.2.3.4/tcp/5", "/ip6/64:ff9b::102:304/tcp/5"},
			[]string{"/ip4/1.2.3.4/tcp/6", "/ip4/1.2.3.5/tcp/5"},
		},
		"/ip4/*.*.*.*/tcp/25":          {[]string{"/ip4/8.8.8.8/tcp/25"}, []string{"/ip4/8.8.8.8/tcp/26", "/ip6/2001:db8::1/tcp/25"}},
		"/ip4/10.0.0.0/ipcidr/8":       {[]string{"/ip4/10.255.0.1/tcp/1", "/ip6/::ffff:10.0.0.1/tcp/1", "/ip6/64:ff9b::a00:1/tcp/1"}, []string{"/ip4/11.0.0.1/tcp/1"}},
		"/ip6/2001:db8::/ipcidr/32":    {[]string{"/ip6/2001:db8:1::1/tcp/1"}, []string{"/ip6/2001:db9::1/tcp/1", "/ip4/32.1.13.184/tcp/1"}},
		"/ip6/64:ff9b:1::/ipcidr/48":   {[]string{"/ip6/64:ff9b:1::1/tcp/1"}, []string{"/ip6/64:ff9b::1/tcp/1"}},
		"/dns4/seed.example.com/tcp/1": {[]string{"/dns4/seed.example.com/tcp/1"}, []string{"/dns4/seed.example.com/tcp/2", "/dns6/seed.example.com/tcp/1"}},
		anOnion:                        {[]string{anOnion}, []string{"/memory/1"}},
	} {
		r := ranges(t, text)[0]
		for _, a := range c.in {
			if !r.Contains(ma.StringCast(a)) {
				t.Errorf("%s does not hold %s", text, a)
			}
		}
		for _, a := range c.out {
			if r.Contains(ma.StringCast(a)) {
				t.Errorf("%s holds %s", text, a)
			}
		}
	}
	for _, text := range []string{
		"", "nonsense", "/ip4/127.0:0.1/tcp/1000:2000", "/ip4/1.2.3.4.5/tcp/1", "/ip4/1.2.3.256/tcp/1", "/ip4/1.2.3.9:8/tcp/1", "/ip4/1.2.3.-1/tcp/1",
		"/ip4/1.2.3.4/tcp/65536", "/ip4/1.2.3.1:/tcp/1", "/ip4/10.0.0.0/ipcidr/33",
	} {
		if r, err := ParseAddrRange(text); err == nil || strings.ContainsAny(err.Error(), "\n\x1b") {
			t.Errorf("%q is read as %v: %v", text, r, err)
		}
	}
	if (AddrRange{}).Contains(ma.StringCast("/ip4/0.0.0.0/tcp/0")) || ranges(t, anOnion)[0].Contains(nil) {
		t.Error("an empty range holds something, or a range nothing")
	}
}

// FuzzAddrRange: no text panics, and a range holds or does not hold each address without a panic.
func FuzzAddrRange(f *testing.F) {
	for _, text := range []string{"/ip4/127.*.0:49.*/tcp/*", "/ip4/1.2.3.4/tcp/1000:2000", "/ip6/2001:db8::/ipcidr/32", "/dns4/a.b/tcp/1", "/ip4/..../tcp/:"} {
		f.Add(text, "/ip6/::ffff:127.0.0.1/tcp/1")
	}
	f.Fuzz(func(t *testing.T, text, address string) {
		r, err := ParseAddrRange(text)
		if err == nil && r.String() != text {
			t.Errorf("%q prints as %q", text, r)
		}
		if a, addrErr := ma.NewMultiaddr(address); addrErr == nil && r.Contains(a) && err != nil {
			t.Errorf("%q, which is no range, holds %s", text, a)
		}
	})
}

// An address in an excluded range is not dialed, whether it is given itself or a name leads there, and the error says so; others are.
func TestExcludedAddresses(t *testing.T) {
	b := startHost(t, Config{Listen: loopback})
	port, err := b.Addrs()[0].ValueForProtocol(ma.P_TCP)
	if err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		never []string
		addr  string
		dials bool
	}{
		"nothing excluded":         {nil, "/ip4/127.0.0.1/tcp/", true},
		"another range":            {[]string{"/ip4/127.0.0.2/tcp/*", "/ip4/127.0.0.1/tcp/1:2"}, "/ip4/127.0.0.1/tcp/", true},
		"its range":                {[]string{"/ip4/126:127.*.*.*/tcp/*"}, "/ip4/127.0.0.1/tcp/", false},
		"its network":              {[]string{"/ip4/127.0.0.0/ipcidr/8"}, "/ip4/127.0.0.1/tcp/", false},
		"a name that leads there":  {[]string{"/ip4/127.0.0.0/ipcidr/8"}, "/dns4/seed.example/tcp/", false},
		"an answer mapped to IPv6": {[]string{"/ip4/127.0.0.0/ipcidr/8"}, "/dns6/mapped.example/tcp/", false},
		"the name itself":          {[]string{"/dns4/seed.example/tcp/" + port}, "/dns4/seed.example/tcp/", false},
		"another name":             {[]string{"/dns4/other.example/tcp/" + port}, "/dns4/seed.example/tcp/", true},
	} {
		t.Run(name, func(t *testing.T) {
			a := startHost(t, Config{Limits: Limits{NeverDial: ranges(t, c.never...)}})
			a.names.lookup = func(_ context.Context, _, host string) ([]netip.Addr, error) {
				if host == "mapped.example" {
					return []netip.Addr{netip.MustParseAddr("::ffff:127.0.0.1")}, nil
				}
				return []netip.Addr{netip.MustParseAddr("127.0.0.1")}, nil
			}
			err := a.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: addrs(c.addr + port)})
			if c.dials != (err == nil) || !c.dials && !errors.Is(err, ErrNeverDialed) {
				t.Errorf("got %v", err)
			}
		})
	}
	gater := new(gate)
	a := startHost(t, Config{Gater: gater})
	gater.peer, gater.addr = b.ID(), true
	if err := a.Connect(testContext(t), infoOf(b)); !errors.Is(err, swarm.ErrGaterDisallowedConnection) || errors.Is(err, ErrNeverDialed) {
		t.Errorf("what the gater refuses: %v", err)
	}
}

// NAT64 would lead an IPv6 address into the private IPv4 network behind it: such an address is not dialed, as none is that is private
// itself; one that leads outside is, as far as the policy goes.
func TestNAT64(t *testing.T) {
	for addr, c := range map[string]struct{ strict, test bool }{
		"/ip6/64:ff9b::7f00:1/tcp/1":    {false, true}, // 127.0.0.1
		"/ip6/64:ff9b::a00:1/tcp/1":     {false, true}, // 10.0.0.1
		"/ip6/64:ff9b::a9fe:a9fe/tcp/1": {false, true}, // 169.254.169.254
		"/ip6/64:ff9b:1::808:808/tcp/1": {false, true}, // for local use, whatever it embeds
		"/ip6/64:ff9b::808:808/tcp/1":   {true, true},  // 8.8.8.8
		"/ip6/2001:4860::8888/tcp/1":    {true, true},
		"/ip4/10.0.0.1/tcp/1":           {false, true},
		"/dns4/a.example/tcp/1":         {true, true},
		anOnion:                         {true, true},
	} {
		a := ma.StringCast(addr)
		if got := (&dialPolicy{}).InterceptAddrDial("", a); got != c.strict {
			t.Errorf("%s is dialed: %v", addr, got)
		}
		if got := (&dialPolicy{allowTest: true}).InterceptAddrDial("", a); got != c.test {
			t.Errorf("%s is dialed in a test: %v", addr, got)
		}
	}
	h, err := New(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	if err := h.Connect(testContext(t), peer.AddrInfo{ID: somePeer(t), Addrs: addrs("/ip6/64:ff9b::a00:1/tcp/1")}); !errors.Is(err, ErrInternal) {
		t.Errorf("got %v", err)
	}
}
