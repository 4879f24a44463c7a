package tari

import (
	"net/netip"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
)

// Refusal is why an inbound connection was closed before a byte was read.
type Refusal string

// The reasons, with the names that tari_comms logs them under.
const (
	RefusedInbound             Refusal = "inbound_cap"        // Limits.Inbound
	RefusedInboundPerSource    Refusal = "inbound_cap_per_ip" // Limits.InboundPerSource
	RefusedHandshakesPerSource Refusal = "per_ip"             // Limits.HandshakesPerSource
	RefusedHandshakes          Refusal = "slots_full"         // Limits.Handshakes
)

// admission counts one listener's connections, in handshake and established, by source.
type admission struct {
	limits Limits

	mu          sync.Mutex
	total       int // in handshake and established
	handshaking int
	sources     map[netip.Prefix]*tally
}

type tally struct{ total, handshaking int }

func newAdmission(l Limits) *admission {
	return &admission{limits: l, sources: make(map[netip.Prefix]*tally)}
}

// A ticket is a connection's place in the counts, first as a handshake.
type ticket struct {
	from        *admission
	source      netip.Prefix // invalid: not counted by source
	handshaking bool
	returned    bool
}

// enter takes a place for a connection from the remote address, or says why there is none. It never waits.
func (a *admission) enter(remote ma.Multiaddr) (*ticket, Refusal) {
	source := sourceOf(remote)
	a.mu.Lock()
	defer a.mu.Unlock()
	var of tally
	if t := a.sources[source]; t != nil {
		of = *t
	}
	switch {
	case a.total >= a.limits.Inbound:
		return nil, RefusedInbound
	case source.IsValid() && of.total >= a.limits.InboundPerSource:
		return nil, RefusedInboundPerSource
	case source.IsValid() && of.handshaking >= a.limits.HandshakesPerSource:
		return nil, RefusedHandshakesPerSource
	case a.handshaking >= a.limits.Handshakes:
		return nil, RefusedHandshakes
	}
	t := &ticket{from: a, source: source, handshaking: true}
	t.count(1, 1)
	return t, ""
}

// established frees the handshake slot and keeps the place among the connections.
func (t *ticket) established() {
	t.from.mu.Lock()
	defer t.from.mu.Unlock()
	if t.handshaking {
		t.handshaking = false
		t.count(0, -1)
	}
}

// leave gives the place back; more than once is once.
func (t *ticket) leave() {
	t.from.mu.Lock()
	defer t.from.mu.Unlock()
	if t.returned {
		return
	}
	t.returned = true
	if t.handshaking {
		t.count(-1, -1)
	} else {
		t.count(-1, 0)
	}
}

// count is called with the mutex held.
func (t *ticket) count(total, handshaking int) {
	a := t.from
	a.total += total
	a.handshaking += handshaking
	if !t.source.IsValid() {
		return
	}
	of := a.sources[t.source]
	if of == nil {
		of = new(tally)
		a.sources[t.source] = of
	}
	of.total += total
	of.handshaking += handshaking
	if of.total == 0 {
		delete(a.sources, t.source)
	}
}

// sourceOf is the IPv4 address or the IPv6 /64 that a connection comes from, an IPv4-mapped address being IPv4. It is invalid for
// loopback and for what has no IP address: these are not counted by source.
func sourceOf(remote ma.Multiaddr) netip.Prefix {
	addr, ok := ipOf(remote)
	if !ok || addr.IsLoopback() {
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
