package tari

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// Reasons for not dialing an address. In the *swarm.DialError of Connect and NewStream they are within a *NotTriedError.
var (
	// ErrNeverDialed is an address that Limits.NeverDial holds.
	ErrNeverDialed = errors.New("tari: an address that is never dialed")

	// ErrSelf is a dial that leads, or would lead, to ourselves: by the key asked for, by an address of ours, or by the key of whoever
	// answered. It unwraps to swarm.ErrDialToSelf.
	ErrSelf = fmt.Errorf("tari: that is ourselves: %w", swarm.ErrDialToSelf)

	// ErrInternal is an address within a private network, on this machine or of no single host, that nobody here configured. tari_comms
	// judges so what names lead to, and what claims say.
	ErrInternal = errors.New("tari: an internal address that is not of our own configuration")

	// ErrNoNode is an address where no Tari node can be, or where a stranger is not to make us knock: port 0; ports 22 and 25, whose
	// owners report whoever calls; all hosts at once; onion names of version 2, or with a wrong checksum.
	ErrNoNode = errors.New("tari: not the address of a node")
)

// dialPolicy is the gater of the swarm: Config.Gater, and what is not dialed, whoever claims it. The swarm asks about the answers of
// name lookups as well; the resolver asks about the names. Its zero value allows what may be anybody's.
type dialPolicy struct {
	gater     connmgr.ConnectionGater // may be nil
	never     []AddrRange
	allowTest bool
	public    func() []ma.Multiaddr // our own addresses; nil: none
	dials     *dialing              // those under way; nil: none
	own       configured
}

// excludes says why an address is never dialed; nil if it is not so.
func (p *dialPolicy) excludes(a ma.Multiaddr) error {
	for _, r := range p.never {
		if r.Contains(a) {
			return fmt.Errorf("%w: it is in %s", ErrNeverDialed, r)
		}
	}
	return nil
}

// refuses says why an address of a peer is not to be dialed; nil if it may be. A name is judged only where a proxy resolves it.
func (p *dialPolicy) refuses(id peer.ID, a ma.Multiaddr) error {
	if err := p.excludes(a); err != nil {
		return err
	}
	if err := checkNode(a); err != nil {
		return err
	}
	if p.public != nil && slices.ContainsFunc(p.public(), a.Equal) {
		return ErrSelf
	}
	if p.allowTest || p.own.includes(p.own.of(id), a) || p.dials != nil && p.own.includes(p.dials.own(id), a) {
		return nil
	}
	switch port, _ := a.ValueForProtocol(ma.P_TCP); {
	case isInternal(a):
		return ErrInternal
	case port == "22" || port == "25":
		return fmt.Errorf("%w: port %s", ErrNoNode, port)
	}
	return nil
}

// InterceptAddrDial is part of connmgr.ConnectionGater, like those below. What it says is in the record of the dial.
func (p *dialPolicy) InterceptAddrDial(id peer.ID, a ma.Multiaddr) bool {
	refusal := p.refuses(id, a)
	if p.dials != nil {
		p.dials.attempt(id, a).refuse(refusal)
	}
	return refusal == nil && (p.gater == nil || p.gater.InterceptAddrDial(id, a))
}

func (p *dialPolicy) InterceptPeerDial(id peer.ID) bool {
	return p.gater == nil || p.gater.InterceptPeerDial(id)
}

func (p *dialPolicy) InterceptAccept(c network.ConnMultiaddrs) bool {
	return p.gater == nil || p.gater.InterceptAccept(c)
}

func (p *dialPolicy) InterceptSecured(d network.Direction, id peer.ID, c network.ConnMultiaddrs) bool {
	return p.gater == nil || p.gater.InterceptSecured(d, id, c)
}

func (p *dialPolicy) InterceptUpgraded(c network.Conn) (bool, control.DisconnectReason) {
	if p.gater == nil {
		return true, 0
	}
	return p.gater.InterceptUpgraded(c)
}

// AddrRange is a set of addresses. ParseAddrRange makes one; the zero value is empty.
type AddrRange struct {
	text   string
	spans  []span       // four bytes of an IPv4 address and a port
	prefix netip.Prefix // or a network, with all its ports
	exact  ma.Multiaddr // or one address
}

// span is a number from lo to hi.
type span struct{ lo, hi uint64 }

func (s span) holds(n uint64) bool { return s.lo <= n && n <= s.hi }

// ParseAddrRange reads a range as tari_comms writes it in excluded_dial_addresses: /ip4/A.B.C.D/tcp/P, where each byte and the port is a
// number, * or LO:HI. Besides there are networks, as in /ip4/10.0.0.0/ipcidr/8 or /ip6/2001:db8::/ipcidr/32. Any other multiaddr is
// itself alone. An IPv4 range also holds the addresses of IPv6 that stand for its own: mapped ones, and those of NAT64.
func ParseAddrRange(text string) (AddrRange, error) {
	if parts := strings.Split(text, "/"); len(parts) == 5 && parts[0] == "" && parts[1] == "ip4" && parts[3] == "tcp" {
		r := AddrRange{text: text}
		numbers := append(strings.Split(parts[2], "."), parts[4])
		for i, number := range numbers {
			limit := uint64(255)
			if i == 4 {
				limit = 65535
			}
			s, err := parseSpan(number, limit)
			if err != nil {
				return AddrRange{}, fmt.Errorf("tari: address range %q: %w", text, err)
			}
			r.spans = append(r.spans, s)
		}
		if len(numbers) != 5 {
			return AddrRange{}, fmt.Errorf("tari: address range %q: an IPv4 address has four bytes", text)
		}
		return r, nil
	}
	a, err := ma.NewMultiaddr(text)
	if err != nil {
		return AddrRange{}, fmt.Errorf("tari: address range %q: %w", text, err)
	}
	if len(a) != 2 || a[1].Protocol().Code != ma.P_IPCIDR {
		return AddrRange{text: text, exact: a}, nil
	}
	ip, _ := netip.AddrFromSlice(a[0].RawValue())
	bits, err := strconv.Atoi(a[1].Value())
	prefix := netip.PrefixFrom(ip, bits)
	if err != nil || !prefix.IsValid() {
		return AddrRange{}, fmt.Errorf("tari: address range %q: no such network", text)
	}
	return AddrRange{text: text, prefix: prefix}, nil
}

func parseSpan(text string, limit uint64) (span, error) {
	if text == "*" {
		return span{0, limit}, nil
	}
	low, high, two := strings.Cut(text, ":")
	if !two {
		high = low
	}
	lo, errLo := strconv.ParseUint(low, 10, 16)
	hi, errHi := strconv.ParseUint(high, 10, 16)
	if errLo != nil || errHi != nil || lo > hi || hi > limit {
		return span{}, fmt.Errorf("%q is no number up to %d, * or LO:HI", text, limit)
	}
	return span{lo, hi}, nil
}

// String returns the text that the range was read from.
func (r AddrRange) String() string { return r.text }

// Contains reports whether the address is in the range.
func (r AddrRange) Contains(a ma.Multiaddr) bool {
	if len(a) == 0 {
		return false
	}
	if r.exact != nil {
		return r.exact.Equal(a)
	}
	ip, ok := ipOf(a)
	if !ok {
		return false
	}
	plain := embedded(ip)
	if r.prefix.IsValid() {
		return r.prefix.Contains(ip) || r.prefix.Contains(plain)
	}
	if len(r.spans) != 5 || !plain.Is4() || len(a) < 2 || a[1].Protocol().Code != ma.P_TCP {
		return false
	}
	port, err := strconv.ParseUint(a[1].Value(), 10, 16)
	if err != nil || !r.spans[4].holds(port) {
		return false
	}
	numbers := plain.AsSlice()
	return !slices.ContainsFunc([]int{0, 1, 2, 3}, func(i int) bool { return !r.spans[i].holds(uint64(numbers[i])) })
}

// embedded is the IPv4 address that an IPv6 address stands for, else the address itself.
func embedded(ip netip.Addr) netip.Addr {
	ip = ip.Unmap()
	b := ip.As16()
	compatible := ip.Is6() && [12]byte(b[:12]) == [12]byte{} && ip != netip.IPv6Loopback() && ip != netip.IPv6Unspecified()
	if compatible || nat64.Contains(ip) {
		return netip.AddrFrom4([4]byte(b[12:]))
	}
	return ip
}
