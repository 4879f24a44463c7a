package tari

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// admission counts one listener's connections, in handshake and established, by source.
type admission struct {
	limits   Limits
	bySource bool // false: whoever comes, comes from one source, which is Tor

	mu          sync.Mutex
	total       int // in handshake and established
	handshaking int
	sources     map[netip.Prefix]*tally
	noneSpare   time.Time // when there was no connection to spare
}

type tally struct {
	total            int
	shaking, settled []*ticket // in handshake and established, each oldest first
}

func newAdmission(l Limits, onion bool) *admission {
	if onion {
		l.Inbound, l.Handshakes = l.InboundOnion, l.HandshakesOnion
	}
	return &admission{limits: l, bySource: !onion, sources: make(map[netip.Prefix]*tally)}
}

// A ticket is a connection's place in the counts, first as a handshake.
type ticket struct {
	from        *admission
	source      netip.Prefix // invalid: not counted by source
	handshaking bool
	beyond      bool // beyond Limits.Inbound: to become established it has to displace a connection
	returned    bool
	end         func() // ends the handshake, when it is displaced

	since time.Time   // when it was established
	spare func() bool // then: whether it may be closed to make room
}

// enter takes a place for a connection from the remote address, or says why there is none. It never waits. Should the handshake have
// to make room for another, end is called once, with the place already given back.
//
// tari_comms refuses whoever comes while the handshake slots are full. That lets a flood from many sources, each within its own limit,
// shut everybody out. Here a newcomer takes the slot of the source that has most, as long as that leaves the source no worse off than
// the newcomer: who has no handshake under way gets one, unless all slots belong to different sources.
//
// Nor does tari_comms let anybody in while all connections are taken. Here a newcomer from a source that has none may still do its
// handshake if there is a connection to spare, which it displaces once it has proven who it is: see spares.
func (a *admission) enter(remote ma.Multiaddr, end func()) (place *ticket, refused Refusal) {
	if a.refuses(remote) {
		return nil, RefusedSource
	}
	source := a.sourceOf(remote)
	mayDisplace := a.crowdsOut(source) && len(a.spares(1)) > 0
	a.mu.Lock()
	var of tally
	if t := a.sources[source]; t != nil {
		of = *t
	}
	var victim *ticket
	beyond := a.total >= a.limits.Inbound
	switch {
	case beyond && (of.total > 0 || !mayDisplace):
		refused = RefusedInbound
	case source.IsValid() && of.total >= a.limits.InboundPerSource:
		refused = RefusedInboundPerSource
	case source.IsValid() && len(of.shaking) >= a.limits.HandshakesPerSource:
		refused = RefusedHandshakesPerSource
	case a.handshaking >= a.limits.Handshakes:
		if victim = a.greediest(len(of.shaking)); victim == nil {
			refused = RefusedHandshakes
		}
	}
	if refused != "" {
		a.mu.Unlock()
		return nil, refused
	}
	if victim != nil {
		victim.giveBack()
	}
	place = &ticket{from: a, source: source, handshaking: true, beyond: beyond, end: end}
	place.take()
	a.mu.Unlock()
	if victim != nil {
		victim.end()
	}
	return place, ""
}

// greediest is the oldest handshake of the source that has most of them, if that is at least two more than the newcomer has. It is
// called with the mutex held.
func (a *admission) greediest(newcomerHas int) *ticket {
	most := newcomerHas + 1
	var victim *ticket
	for _, t := range a.sources {
		if len(t.shaking) > most {
			most, victim = len(t.shaking), t.shaking[0]
		}
	}
	return victim
}

// established frees the handshake slot and keeps the place among the connections, unless the handshake was displaced meanwhile, or
// there is no place for it any more. spare says whether the connection may later be closed, by end, for another. Should this one have
// taken the place of another, then makeRoom is to be called: it closes that.
func (t *ticket) established(spare func() bool, end func()) (makeRoom func(), refused Refusal) {
	var victims []*ticket
	if t.beyond {
		victims = t.from.spares(t.from.limits.Handshakes)
	}
	t.from.mu.Lock()
	defer t.from.mu.Unlock()
	if t.returned {
		return nil, RefusedDisplaced
	}
	makeRoom = func() {}
	if !t.handshaking {
		return makeRoom, ""
	}
	if t.beyond && t.from.total > t.from.limits.Inbound {
		i := slices.IndexFunc(victims, (*ticket).oneOfSeveral)
		if i < 0 {
			t.giveBack()
			return nil, RefusedInbound
		}
		victims[i].giveBack()
		makeRoom = victims[i].end
	}
	t.settle()
	t.since, t.spare, t.end = time.Now(), spare, end
	if of := t.from.sources[t.source]; of != nil {
		of.settled = append(of.settled, t)
	}
	return makeRoom, ""
}

// leave gives the place back; more than once is once.
func (t *ticket) leave() {
	t.from.mu.Lock()
	defer t.from.mu.Unlock()
	t.giveBack()
}

// take, settle and giveBack are called with the mutex held.
func (t *ticket) take() {
	a := t.from
	a.total++
	a.handshaking++
	if !t.source.IsValid() {
		return
	}
	of := a.sources[t.source]
	if of == nil {
		of = new(tally)
		a.sources[t.source] = of
	}
	of.total++
	of.shaking = append(of.shaking, t)
}

// settle ends the handshake.
func (t *ticket) settle() {
	t.handshaking = false
	t.from.handshaking--
	if of := t.from.sources[t.source]; of != nil {
		of.shaking = without(of.shaking, t)
	}
}

func (t *ticket) giveBack() {
	if t.returned {
		return
	}
	if t.handshaking {
		t.settle()
	}
	t.returned = true
	t.from.total--
	if of := t.from.sources[t.source]; of != nil {
		of.settled = without(of.settled, t)
		of.total--
		if of.total == 0 {
			delete(t.from.sources, t.source)
		}
	}
}

func without(all []*ticket, t *ticket) []*ticket {
	return slices.DeleteFunc(all, func(other *ticket) bool { return other == t })
}

// sourceOf is the IPv4 address or the IPv6 /64 that a connection comes from, an IPv4-mapped address being IPv4. It is invalid for
// what is exempt and for what has no IP address: these are not counted by source.
func (a *admission) sourceOf(remote ma.Multiaddr) netip.Prefix {
	addr, ok := ipOf(remote)
	if !a.bySource || !ok || a.exempt(addr) {
		return netip.Prefix{}
	}
	bits := 64
	if addr.Is4() {
		bits = 32
	}
	prefix, err := addr.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return prefix
}

// refuses: the source is one that the operator does not want.
func (a *admission) refuses(remote ma.Multiaddr) bool {
	addr, ok := ipOf(remote)
	return ok && a.bySource && within(a.limits.Refuse, addr)
}

func (a *admission) exempt(addr netip.Addr) bool {
	if a.limits.Exempt == nil {
		return addr.IsLoopback()
	}
	return within(a.limits.Exempt, addr)
}

// within tries an IPv4 address also in its IPv4-mapped form, so that ::/0 means everybody, as in tari_comms.
func within(networks []netip.Prefix, addr netip.Addr) bool {
	mapped := netip.AddrFrom16(addr.As16())
	return slices.ContainsFunc(networks, func(p netip.Prefix) bool { return p.Contains(addr) || p.Contains(mapped) })
}
