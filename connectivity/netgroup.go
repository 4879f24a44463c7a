package connectivity

import (
	"net/netip"
	"slices"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// netgroup names the network that an address is in, as tari_comms cuts it: an IPv4 /16, an IPv6 /32, an onion address or the last two
// labels of a name, for whoever owns those has as many names as he likes.
// Addresses that only lead to this machine or a local network are each a group of their own: nobody owns many of those.
func netgroup(a ma.Multiaddr) string {
	ip, ok := ipOf(a)
	if !ok {
		first, _ := ma.SplitFirst(a)
		switch first.Protocol().Code {
		case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
			labels := strings.Split(strings.TrimSuffix(strings.ToLower(first.Value()), "."), ".")
			return strings.Join(labels[max(0, len(labels)-2):], ".")
		}
		return first.String()
	}
	bits := 32
	switch {
	case !ip.IsGlobalUnicast() || ip.IsPrivate():
		return a.String()
	case ip.Is4():
		bits = 16
	}
	return netip.PrefixFrom(ip, bits).Masked().String()
}

// door names whom a dial of that address bothers: the owner of an IP address, an onion service or a domain. "" for addresses that only
// lead to this machine or a local network.
func door(a ma.Multiaddr) string {
	ip, ok := ipOf(a)
	switch {
	case ok && (!ip.IsGlobalUnicast() || ip.IsPrivate()):
		return ""
	case ok:
		return ip.String()
	case len(a) > 0 && a[0].Protocol().Code == ma.P_ONION3:
		service, _, _ := strings.Cut(a[0].Value(), ":")
		return service
	}
	return netgroup(a)
}

// doors are those of the addresses for which there is only a stranger's word.
func (c Candidate) doors(addrs ...ma.Multiaddr) (out []string) {
	for _, a := range addrs {
		if d := door(a); d != "" && slices.ContainsFunc(c.Unproven, a.Equal) {
			out = append(out, d)
		}
	}
	return out
}

// ipOf is the IP address that a begins with, an IPv4-mapped or NAT64 one as IPv4.
func ipOf(a ma.Multiaddr) (netip.Addr, bool) {
	if a == nil {
		return netip.Addr{}, false
	}
	ip, err := manet.ToIP(a)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, ok := netip.AddrFromSlice(ip)
	if addr = addr.Unmap(); nat64.Contains(addr) {
		wide := addr.As16()
		return netip.AddrFrom4([4]byte(wide[12:])), true
	}
	return addr, ok
}

// nat64 is where IPv4 is for hosts that have only IPv6.
var nat64 = netip.MustParsePrefix("64:ff9b::/96")

// needsLink reports whether an address leads out of this machine.
func needsLink(a ma.Multiaddr) bool {
	if ip, ok := ipOf(a); ok {
		return !ip.IsLoopback()
	}
	if len(a) == 0 {
		return true
	}
	return a[0].Protocol().Name != "memory"
}
