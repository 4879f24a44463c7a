package tari

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// How the addresses of one peer are raced. The quarter of a second is that of RFC 8305. The others are our choice: an onion service
// costs Tor a circuit of six relays, which is worth it only where the peer does not answer directly.
const (
	nextAddress     = 250 * time.Millisecond
	onionAfterOther = time.Second
	onionAfterOnion = time.Second
)

// maxPerNetgroup is how many addresses in one network a dial tries, as tari_comms bounds its candidates: a claim must not make us
// knock all over somebody's network.
const maxPerNetgroup = 4

// rankAddresses says which addresses of a peer to dial, and when. The best by rank go first, IPv4 and IPv6 by turns as RFC 8305 has
// it, and onion addresses after all others; at once if there are none. Whoever fails makes room for the next one before its time.
func rankAddresses(addrs []ma.Multiaddr, rank func(ma.Multiaddr) int) []network.AddrDelay {
	addrs = slices.Clone(addrs)
	ranks := make(map[string]int, len(addrs))
	for _, a := range addrs {
		ranks[string(a.Bytes())] = rank(a)
	}
	of := func(a ma.Multiaddr) int { return ranks[string(a.Bytes())] }
	slices.SortStableFunc(addrs, func(a, b ma.Multiaddr) int { return cmp.Compare(of(a), of(b)) })

	var v6, others, onions []ma.Multiaddr
	inGroup := make(map[string]int)
	for _, a := range addrs {
		group := netgroup(a)
		if inGroup[group]++; inGroup[group] > maxPerNetgroup {
			continue
		}
		switch ip, isIP := ipOf(a); {
		case isOnion(a):
			onions = append(onions, a)
		case isIP && ip.Is6():
			v6 = append(v6, a)
		default:
			others = append(others, a)
		}
	}
	first, second := v6, others // RFC 8305 prefers IPv6 where nothing else speaks
	if len(v6) == 0 || len(others) > 0 && of(others[0]) < of(v6[0]) {
		first, second = others, v6
	}
	return inTime(byTurns(first, second), onions)
}

// byTurns takes from both lists in turn.
func byTurns(first, second []ma.Multiaddr) (out []ma.Multiaddr) {
	for i := range max(len(first), len(second)) {
		if i < len(first) {
			out = append(out, first[i])
		}
		if i < len(second) {
			out = append(out, second[i])
		}
	}
	return out
}

// inTime gives each address its moment.
func inTime(direct, onions []ma.Multiaddr) (out []network.AddrDelay) {
	var next time.Duration
	for i, a := range direct {
		next = time.Duration(i) * nextAddress
		out = append(out, network.AddrDelay{Addr: a, Delay: next})
	}
	if len(direct) > 0 {
		next += onionAfterOther
	}
	for i, a := range onions {
		out = append(out, network.AddrDelay{Addr: a, Delay: next + time.Duration(i)*onionAfterOnion})
	}
	return out
}

func isOnion(a ma.Multiaddr) bool {
	return len(a) > 0 && (a[0].Protocol().Code == ma.P_ONION3 || a[0].Protocol().Code == ma.P_ONION)
}

// netgroup names the network that an address is in, as tari_comms cuts it: the IPv4 /16 (that of the IPv4 address if NAT64 embeds
// one), the IPv6 /32, the onion service whatever its port, the last two labels of a name. Internal IP addresses are each a group of
// their own: nobody has others knock at many of those.
func netgroup(a ma.Multiaddr) string {
	if len(a) == 0 {
		return ""
	}
	first := a[0]
	switch code := first.Protocol().Code; code {
	case ma.P_IP4, ma.P_IP6:
		ip, ok := netip.AddrFromSlice(first.RawValue())
		if !ok || !externalAnswer(ip) {
			return a.String()
		}
		bits := 16
		if ip = embedded(ip); ip.Is6() {
			bits = 32
		}
		return netip.PrefixFrom(ip, bits).Masked().String()
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		labels := strings.Split(strings.ToLower(strings.TrimSuffix(first.Value(), ".")), ".")
		return strings.Join(labels[max(0, len(labels)-2):], ".")
	case ma.P_ONION3:
		service, _, _ := strings.Cut(first.Value(), ":")
		return service
	}
	return a.String()
}

// externalAnswer judges an IP address, such as the answer of a lookup; an IPv4 address behind NAT64 by itself.
func externalAnswer(ip netip.Addr) bool {
	return !nat64Local.Contains(ip) && identityproto.ExternalIP(embedded(ip))
}
