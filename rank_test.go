package tari

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	ma "github.com/multiformats/go-multiaddr"
)

const anotherOnion = "/onion3/4acth47i6kxnvkewtm6q7ib2s3ufpo5sqbsnzjpbi7utijcltosqemad:18141"

// Which addresses are dialed, and when. The rank of an address is its place in the list.
func TestRankAddresses(t *testing.T) {
	for name, c := range map[string]struct{ addrs, want []string }{
		"nothing": {},
		"one network is tried four times": {
			[]string{"/ip4/1.2.0.1/tcp/1", "/ip4/1.2.0.2/tcp/1", "/ip4/1.2.0.3/tcp/1", "/ip4/1.2.0.3/tcp/2", "/ip4/1.2.200.1/tcp/1", "/ip4/1.3.0.1/tcp/1"},
			[]string{"0s /ip4/1.2.0.1/tcp/1", "250ms /ip4/1.2.0.2/tcp/1", "500ms /ip4/1.2.0.3/tcp/1", "750ms /ip4/1.2.0.3/tcp/2", "1s /ip4/1.3.0.1/tcp/1"},
		},
		"IPv4 in other clothes is the same network": {
			[]string{"/ip4/1.2.0.1/tcp/1", "/ip6/::ffff:1.2.0.2/tcp/1", "/ip6/64:ff9b::102:3/tcp/1", "/ip4/1.2.0.4/tcp/1", "/ip6/64:ff9b::102:5/tcp/1"},
			[]string{"0s /ip4/1.2.0.1/tcp/1", "250ms /ip6/64:ff9b::102:3/tcp/1", "500ms /ip6/::ffff:1.2.0.2/tcp/1", "750ms /ip4/1.2.0.4/tcp/1"},
		},
		"families take turns, the best begins": {
			[]string{"/ip4/1.2.0.1/tcp/1", "/ip4/1.3.0.1/tcp/1", "/ip6/2a01:4f8::1/tcp/1", "/ip6/2a01:4f9::1/tcp/1", "/ip6/2a01:4fa::1/tcp/1"},
			[]string{"0s /ip4/1.2.0.1/tcp/1", "250ms /ip6/2a01:4f8::1/tcp/1", "500ms /ip4/1.3.0.1/tcp/1", "750ms /ip6/2a01:4f9::1/tcp/1", "1s /ip6/2a01:4fa::1/tcp/1"},
		},
		"IPv6 begins if it is the best": {
			[]string{"/ip6/2a01:4f8::1/tcp/1", "/ip4/1.2.0.1/tcp/1"},
			[]string{"0s /ip6/2a01:4f8::1/tcp/1", "250ms /ip4/1.2.0.1/tcp/1"},
		},
		"onions come last": {
			[]string{anOnion, "/ip4/1.2.0.1/tcp/1", anotherOnion, "/dns4/a.example/tcp/1"},
			[]string{"0s /ip4/1.2.0.1/tcp/1", "250ms /dns4/a.example/tcp/1", "1.25s " + anOnion, "2.25s " + anotherOnion},
		},
		"onions alone need not wait": {[]string{anOnion, anotherOnion}, []string{"0s " + anOnion, "1s " + anotherOnion}},
		"an onion service is tried four times": {
			onionPorts(1, 2, 3, 4, 5, 6),
			[]string{"0s " + onionPorts(1)[0], "1s " + onionPorts(2)[0], "2s " + onionPorts(3)[0], "3s " + onionPorts(4)[0]},
		},
		"so is a domain": {
			[]string{"/dns4/a.B.example/tcp/1", "/dns6/c.b.example/tcp/1", "/dns/b.example./tcp/1", "/dns4/b.example/tcp/1", "/dns4/d.b.example/tcp/1"},
			[]string{"0s /dns4/a.B.example/tcp/1", "250ms /dns6/c.b.example/tcp/1", "500ms /dns/b.example./tcp/1", "750ms /dns4/b.example/tcp/1"},
		},
		"internal addresses have no networks": {
			[]string{"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/3", "/ip4/127.0.0.1/tcp/4", "/ip4/127.0.0.1/tcp/5"},
			[]string{"0s /ip4/127.0.0.1/tcp/1", "250ms /ip4/127.0.0.1/tcp/2", "500ms /ip4/127.0.0.1/tcp/3", "750ms /ip4/127.0.0.1/tcp/4", "1s /ip4/127.0.0.1/tcp/5"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			list := addrs(c.addrs...)
			best := slices.Clone(list)
			slices.Reverse(list) // the order in which they come says nothing
			var got []string
			for _, one := range rankAddresses(list, func(a ma.Multiaddr) int { return slices.IndexFunc(best, a.Equal) }) {
				got = append(got, fmt.Sprint(one.Delay, " ", one.Addr))
			}
			if !slices.Equal(got, c.want) {
				t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(c.want, "\n"))
			}
		})
	}
}

func onionPorts(ports ...int) (out []string) {
	service, _, _ := strings.Cut(anOnion, ":")
	for _, p := range ports {
		out = append(out, fmt.Sprint(service, ":", p))
	}
	return out
}
