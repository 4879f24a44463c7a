package tari

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// Limits of name resolution, as tari_comms has them.
const (
	lookupTimeout = 10 * time.Second // for the wait for a place, and the lookup
	lookupsAtOnce = 16
)

// resolver looks up the host names in addresses. In Tari a dnsaddr is a plain
// host name, where go-libp2p would ask for TXT records.
//
// A name that a stranger claims must not lead us into our own network: answers
// that are not globally reachable are dropped, unless test addresses are
// allowed or the name itself is a local one, such as localhost, which no claim may hold.
type resolver struct {
	lookup    func(ctx context.Context, family, host string) ([]netip.Addr, error)
	allowTest bool
	places    chan struct{}
	canDial   func(ma.Multiaddr) bool // whether a transport takes an address; nil: yes
}

var _ network.MultiaddrDNSResolver = (*resolver)(nil)

func newResolver(allowTest bool) *resolver {
	return &resolver{lookup: net.DefaultResolver.LookupNetIP, allowTest: allowTest, places: make(chan struct{}, lookupsAtOnce)}
}

// ResolveDNSAddr makes /dnsaddr/host a /dns/host and looks nothing up: a proxy may have to.
func (r *resolver) ResolveDNSAddr(_ context.Context, _ peer.ID, a ma.Multiaddr, _, _ int) ([]ma.Multiaddr, error) {
	first, rest := ma.SplitFirst(a)
	if first == nil || first.Protocol().Code != ma.P_DNSADDR {
		return []ma.Multiaddr{a}, nil
	}
	name, err := ma.NewComponent("dns", first.Value())
	if err != nil {
		return nil, fmt.Errorf("tari: %w", err)
	}
	return []ma.Multiaddr{name.Multiaddr().Encapsulate(rest)}, nil
}

// ResolveDNSComponent looks up the name that an address begins with.
func (r *resolver) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	first, rest := ma.SplitFirst(a)
	if first == nil {
		return nil, nil
	}
	family, ok := map[int]string{ma.P_DNS: "ip", ma.P_DNS4: "ip4", ma.P_DNS6: "ip6"}[first.Protocol().Code]
	if !ok {
		return []ma.Multiaddr{a}, nil
	}
	// A host that dials only onion addresses must not ask anybody for names.
	if r.canDial != nil && !r.canDial(anyIP.Encapsulate(rest)) {
		return nil, swarm.ErrNoTransport
	}
	ctx, cancel := context.WithTimeout(ctx, lookupTimeout)
	defer cancel()
	select {
	case r.places <- struct{}{}:
		defer func() { <-r.places }()
	case <-ctx.Done():
		return nil, fmt.Errorf("tari: looking up %q: %w", first.Value(), ctx.Err())
	}
	ips, err := r.lookup(ctx, family, first.Value())
	if err != nil {
		return nil, fmt.Errorf("tari: %w", err)
	}
	local := r.allowTest || !identityproto.IsExternal(a)
	var out []ma.Multiaddr
	for _, ip := range ips {
		ip = ip.Unmap().WithZone("")
		if len(out) == limit || !local && !externalAnswer(ip) {
			continue
		}
		name := "ip6"
		if ip.Is4() {
			name = "ip4"
		}
		c, err := ma.NewComponent(name, ip.String())
		if err != nil {
			return nil, fmt.Errorf("tari: %w", err)
		}
		out = append(out, c.Multiaddr().Encapsulate(rest))
	}
	if len(ips) > 0 && len(out) == 0 {
		return nil, fmt.Errorf("tari: %q leads into a private network", first.Value())
	}
	return out, nil
}

// anyIP stands for the answer of a lookup, before there is one.
var anyIP = ma.StringCast("/ip4/1.1.1.1")

// The prefixes under which NAT64 gateways embed IPv4 addresses: the well-known one, and the one for local use.
var (
	nat64      = netip.MustParsePrefix("64:ff9b::/96")
	nat64Local = netip.MustParsePrefix("64:ff9b:1::/48")
)
