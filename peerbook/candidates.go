package peerbook

import (
	"cmp"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// MaxPerNetgroup is how many candidates tari_comms takes from one netgroup.
const MaxPerNetgroup = 4

// Wanted says which peers to dial one is looking for. The zero value asks for
// all that can be dialed now.
type Wanted struct {
	Max         int                     // how many candidates; 0: as many as there are
	Keep        func(Record) bool       // which peers, such as nodes, or not connected ones; nil: all
	Dialable    func(ma.Multiaddr) bool // which addresses; nil: all
	PerNetgroup int                     // how many candidates of one netgroup; 0: MaxPerNetgroup, below 0: no limit
	Taken       []ma.Multiaddr          // addresses of peers that we have already: they count for their netgroups
	Waiting     bool                    // also addresses that failed and whose RetryAt has not come
}

// Candidate is a peer to dial.
type Candidate struct {
	Record
	Dial    []Address // what to dial, the best first; never empty
	Quality int       // of the best of them
}

// Candidates returns peers to dial, those with the best addresses first and
// equal ones in random order; no banned or removed ones. A peer is one only if
// there is room for it in the netgroups of all addresses that would be dialed:
// whoever owns one network does not become all of our connections.
func (b *Book) Candidates(w Wanted) []Candidate {
	now := time.Now()
	var all []ranked
	for _, e := range b.entries() {
		if e.Banned(now) || w.Keep != nil && !w.Keep(*e.Record) {
			continue
		}
		if quality := w.quality(e.Record, now); quality >= 0 {
			all = append(all, ranked{e.Record, quality, rand.Uint32()})
		}
	}
	slices.SortFunc(all, func(x, y ranked) int { return cmp.Or(cmp.Compare(y.quality, x.quality), cmp.Compare(x.tie, y.tie)) })
	return w.spread(all, now)
}

// ranked is what of a book full of candidates is sorted.
type ranked struct {
	*Record
	quality int
	tie     uint32
}

// wants: the address is one to dial now.
func (w *Wanted) wants(a Address, now time.Time) bool {
	return (w.Waiting || !now.Before(a.RetryAt())) && (w.Dialable == nil || w.Dialable(a.Addr))
}

// quality is that of a record's best address to dial, below 0 if there is none.
func (w *Wanted) quality(r *Record, now time.Time) int {
	best := -1
	for _, a := range r.Addresses {
		if q := a.Quality(now); q > best && w.wants(a, now) {
			best = q
		}
	}
	return best
}

// candidate is a record as a Candidate, and the netgroups it needs room in.
func (w *Wanted) candidate(r ranked, now time.Time) (c Candidate, groups []string) {
	for _, a := range r.Addresses {
		if !w.wants(a, now) {
			continue
		}
		c.Dial = append(c.Dial, a)
		if g := Netgroup(a.Addr); !slices.Contains(groups, g) {
			groups = append(groups, g)
		}
	}
	c.Record, c.Dial, c.Quality = *r.Record, sortAddresses(c.Dial, now), r.quality
	return c, groups
}

// spread takes from the front what there is room for.
func (w *Wanted) spread(all []ranked, now time.Time) []Candidate {
	room := cmp.Or(w.PerNetgroup, MaxPerNetgroup)
	used := map[string]int{}
	for _, a := range w.Taken {
		used[Netgroup(a)]++
	}
	var out []Candidate
	for _, r := range all {
		if w.Max > 0 && len(out) == w.Max {
			break
		}
		c, groups := w.candidate(r, now)
		if len(c.Dial) == 0 || room > 0 && slices.ContainsFunc(groups, func(g string) bool { return used[g] >= room }) {
			continue
		}
		for _, g := range groups {
			used[g]++
		}
		out = append(out, c)
	}
	return out
}

// The kinds of netgroups.
const (
	groupIP4   = "ip4"
	groupIP6   = "ip6"
	groupDNS   = "dns"
	groupOnion = "onion3"
	groupOther = "other"
)

// Netgroup names the network that an address is in, as tari_comms groups them:
// "ip4:" and the first two bytes (IPv4 inside IPv6 too), "ip6:" and the first
// four, "dns:" and the last two labels, "onion3:" and the service, else
// "other:" and the address.
func Netgroup(addr ma.Multiaddr) string {
	if len(addr) == 0 {
		return groupOther + ":"
	}
	first := addr[0]
	switch first.Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		if ip, ok := netip.AddrFromSlice(first.RawValue()); ok {
			return ipGroup(ip.Unmap())
		}
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		labels := strings.Split(strings.TrimSuffix(strings.ToLower(first.Value()), "."), ".")
		return groupDNS + ":" + strings.Join(labels[max(0, len(labels)-2):], ".")
	case ma.P_ONION3:
		service := first.RawValue()
		return groupOnion + ":" + hex.EncodeToString(service[:max(0, len(service)-2)]) // without the port
	}
	return groupOther + ":" + addr.String()
}

func ipGroup(ip netip.Addr) string {
	bits := ip.AsSlice()
	if ip.Is4() {
		return fmt.Sprintf("%s:%d.%d", groupIP4, bits[0], bits[1])
	}
	return fmt.Sprintf("%s:%x:%x", groupIP6, bits[:2], bits[2:4])
}
