package identityproto

import (
	"bytes"
	"crypto/sha3"
	"encoding/binary"
	"net/netip"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
)

// decodeAddress reads a binary multiaddr, unchanged in its bytes. Of the
// addresses whose shape is right it refuses only those with an empty name, which go-multiaddr cannot hold.
func decodeAddress(raw []byte) (ma.Multiaddr, error) {
	if _, ok := components(raw); !ok {
		return nil, fail(KindAddress, "an address that is no multiaddr")
	}
	a, err := ma.NewMultiaddrBytes(raw)
	if err != nil || !bytes.Equal(a.Bytes(), raw) {
		return nil, fail(KindAddress, "an address that is no multiaddr")
	}
	return a, nil
}

// CheckShape says whether an address has a form that a claim may hold: IP or
// DNS with a TCP port, onion3, or memory, ports never 0. It returns an *Error of KindShape or nil.
func CheckShape(a ma.Multiaddr) error {
	parts, ok := components(a.Bytes())
	if !ok {
		return fail(KindShape, "an address of a kind that no claim may hold")
	}
	return checkShape(parts)
}

// checkShape does not show the address in its error, as tari_comms does not: it is the peer's.
func checkShape(parts []component) error {
	if len(parts) == 0 {
		return fail(KindShape, "an empty address")
	}
	first := parts[0]
	switch first.code {
	case ma.P_IP4, ma.P_IP6, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		if len(parts) != 2 || parts[1].code != ma.P_TCP || binary.BigEndian.Uint16(parts[1].value) == 0 {
			return fail(KindShape, "an address of the kind %s without exactly one TCP port", protocolName(first.code))
		}
		// Its text would read back as another address.
		if isDNS(first.code) && bytes.IndexByte(first.value, '/') >= 0 {
			return fail(KindShape, "an address whose name has a slash")
		}
	case ma.P_ONION3:
		if len(parts) != 1 || binary.BigEndian.Uint16(first.value[35:]) == 0 || !validOnion(first.value[:35]) {
			return fail(KindShape, "an onion address with a wrong port, version or checksum")
		}
	case ma.P_MEMORY:
		if len(parts) != 1 || binary.BigEndian.Uint64(first.value) == 0 {
			return fail(KindShape, "a memory address without a port")
		}
	default:
		return fail(KindShape, "an address of the kind %s, which no claim may hold", protocolName(first.code))
	}
	return nil
}

// validOnion checks version and checksum of the 35 bytes of an onion name (Tor's rend-spec-v3).
func validOnion(b []byte) bool {
	sum := sha3.Sum256(bytes.Join([][]byte{[]byte(".onion checksum"), b[:32], {3}}, nil))
	return b[34] == 3 && bytes.Equal(b[32:34], sum[:2])
}

// Usable reports whether an address of a claim may be kept, dialed and claimed:
// of the right shape, with a name that is a host name, and, unless
// allowTest, reachable from everywhere.
func Usable(a ma.Multiaddr, allowTest bool) bool {
	if CheckShape(a) != nil {
		return false
	}
	if isDNS(a[0].Protocol().Code) && !hostName(a[0].Value()) {
		return false
	}
	return allowTest || IsExternal(a)
}

func isDNS(code int) bool {
	return code == ma.P_DNS || code == ma.P_DNS4 || code == ma.P_DNS6 || code == ma.P_DNSADDR
}

// hostName says whether a name is a plain host name: labels of letters, digits and inner hyphens, not an IP address in disguise.
func hostName(name string) bool {
	name = strings.TrimSuffix(name, ".")
	if len(name) == 0 || len(name) > 253 {
		return false
	}
	labels := strings.Split(name, ".")
	for _, l := range labels {
		if len(l) == 0 || len(l) > 63 || l[0] == '-' || l[len(l)-1] == '-' {
			return false
		}
		for i := range len(l) {
			if c := l[i]; c != '-' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
				return false
			}
		}
	}
	last := strings.ToLower(labels[len(labels)-1])
	if strings.Trim(last, "0123456789") == "" {
		return false
	}
	hex, ok := strings.CutPrefix(last, "0x")
	return !ok || strings.Trim(hex, "0123456789abcdef") != ""
}

// internalNames are names, and the ends of names, that mean something else on every network.
var internalNames = []string{"localhost", "local", "localdomain", "internal", "lan", "home.arpa"}

// IsExternal reports whether an address means the same place from everywhere.
// Onion addresses do; memory addresses do not; plain dns cannot stand in a claim and counts as external, as in tari_comms.
func IsExternal(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	switch first := &a[0]; first.Protocol().Code {
	case ma.P_ONION3, ma.P_ONION, ma.P_DNS:
		return true
	case ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return externalName(first.Value())
	case ma.P_IP4, ma.P_IP6:
		ip, ok := ipOf(first)
		return ok && ExternalIP(ip)
	}
	return false
}

func externalName(name string) bool {
	name = strings.ToLower(strings.TrimRight(name, "."))
	if ip, err := netip.ParseAddr(name); err == nil {
		return ExternalIP(ip)
	}
	for _, internal := range internalNames {
		if name == internal || strings.HasSuffix(name, "."+internal) {
			return false
		}
	}
	return true
}

// internalPrefixes are the ranges that tari_comms does not take for globally reachable.
var internalPrefixes = prefixes(
	"0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.2.0/24",
	"192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "224.0.0.0/4", "240.0.0.0/4",
	"::/128", "::1/128", "fc00::/7", "fe80::/10", "ff00::/8", "100::/64", "2001::/32", "2002::/16", "fec0::/10", "2001:db8::/32")

func prefixes(texts ...string) []netip.Prefix {
	out := make([]netip.Prefix, len(texts))
	for i, t := range texts {
		out[i] = netip.MustParsePrefix(t)
	}
	return out
}

// ExternalIP reports whether an IP address is globally reachable. IPv4 inside
// IPv6 (mapped or compatible) is judged by the IPv4 address.
func ExternalIP(ip netip.Addr) bool {
	ip = ip.Unmap().WithZone("")
	if b := ip.As16(); ip.Is6() && [12]byte(b[:12]) == [12]byte{} && ip != netip.IPv6Loopback() && ip != netip.IPv6Unspecified() {
		ip = netip.AddrFrom4([4]byte(b[12:]))
	}
	for _, p := range internalPrefixes {
		if p.Contains(ip) {
			return false
		}
	}
	return true
}

func ipOf(c *ma.Component) (netip.Addr, bool) { return netip.AddrFromSlice(c.RawValue()) }
