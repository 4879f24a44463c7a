package connectivity

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// anchorCount is how many of the connections that we dialed are looked for first after a restart.
const anchorCount = 4

// pool is what is known of the connections.
type pool struct {
	conns map[string]*member
	order []*member // those of conns as Connections lists them
}

// member is one connection.
type member struct {
	Connection
	used    time.Time // when it last had a stream, or began
	closing bool      // by us
	named   []string  // the networks that we dialed it in: for a name another one than the connection's
}

// count gives the numbers of a Status. A connection that we are closing does not count.
func (p *pool) count() (s Status) {
	seen := map[peer.ID]bool{}
	for _, c := range p.list() {
		if c.Inbound {
			s.Inbound++
		} else {
			s.Outbound++
		}
		if !seen[c.Peer] {
			seen[c.Peer] = true
			if c.Client {
				s.Clients++
			} else {
				s.Nodes++
			}
		}
	}
	return s
}

// list gives the connections that we are not closing.
func (p *pool) list() []*member {
	out := make([]*member, 0, len(p.order))
	for _, c := range p.order {
		if !c.closing {
			out = append(out, c)
		}
	}
	return out
}

// has reports whether there is any connection to the peer, be it one that is being closed: a dial would find that one.
func (p *pool) has(id peer.ID) bool {
	return slices.ContainsFunc(p.order, func(c *member) bool { return c.Peer == id })
}

// outbound is to how many nodes we are connected by dialing.
func (p *pool) outbound() int {
	peers := map[peer.ID]bool{}
	for _, c := range p.list() {
		if !c.Inbound && !c.Client {
			peers[c.Peer] = true
		}
	}
	return len(peers)
}

// look finds out which connections came and went.
func (m *Manager) look(now time.Time) {
	before := m.pool
	m.pool = pool{conns: make(map[string]*member, len(before.conns))}
	for _, c := range m.parts.Connections.Connections() {
		known := before.conns[c.ID]
		if known == nil {
			known = &member{used: now}
		}
		known.Connection = c
		if c.Streams > 0 {
			known.used = now
		}
		m.pool.conns[c.ID] = known
		m.pool.order = append(m.pool.order, known)
	}
	for _, c := range before.order {
		if m.pool.conns[c.ID] == nil && !m.pool.has(c.Peer) {
			m.gone(c, now)
		}
	}
}

// gone takes note of the end of the last connection to a peer.
func (m *Manager) gone(c *member, now time.Time) {
	switch {
	case c.closing || c.Inbound:
	case now.Sub(c.Opened) < shortLife && !m.link.unsettled(now):
		m.memory.failed(c.Peer, nil, false, m.longest(c.Peer, false), now) // it hung up on us
	case m.urgent():
		m.round.next = now
	}
}

// shut closes a connection.
func (m *Manager) shut(c *member) {
	c.closing = true
	conn := c.Connection
	m.work.Go(func() {
		m.parts.Closer.CloseConnection(conn)
		m.asked.poke()
	})
}

// needed: someone wants this connection.
func (m *Manager) needed(c *member) bool { return c.Protected || m.isHeld(c.Peer) }

// reap closes as many idle connections of one direction as there are too many, those first that have gone without a stream for
// longest, and of these the oldest. Each direction has its own limit, so that who connects to us cannot push out whom we chose.
func (m *Manager) reap(now time.Time, inbound bool, limit int) {
	count := 0
	var idle []*member
	for _, c := range m.pool.list() {
		if c.Inbound != inbound {
			continue
		}
		count++
		if now.Sub(c.Opened) > m.cfg.Reap.MinAge && c.Streams < m.cfg.Reap.Streams && !m.needed(c) {
			idle = append(idle, c)
		}
	}
	slices.SortStableFunc(idle, func(a, b *member) int {
		return cmp.Or(a.used.Compare(b.used), a.Opened.Compare(b.Opened))
	})
	for _, c := range idle[:max(0, min(count-limit, len(idle)))] {
		m.shut(c)
	}
}

// rotateEvery is how often a full pool gives up one of its connections for another, so that whoever got in early and never leaves does
// not have its place for ever: our choice.
const rotateEvery = 10 * time.Minute

// rotate closes one connection of a full pool that is not an anchor and on which we opened no stream.
func (m *Manager) rotate(now time.Time) {
	if m.pool.outbound() < m.cfg.Pool || now.Sub(m.rotated) < rotateEvery {
		return
	}
	spared := m.anchors()
	var out []*member
	for _, c := range m.pool.list() {
		anchor := slices.ContainsFunc(spared, func(a Connection) bool { return a.ID == c.ID })
		if !c.Inbound && !c.Client && c.Ours == 0 && !anchor && !m.needed(c) && now.Sub(c.Opened) >= rotateEvery {
			out = append(out, c)
		}
	}
	if len(out) > 0 {
		m.rotated = now
		m.shut(out[m.rng.IntN(len(out))])
	}
}

// releaseSeeds closes connections to seeds, which everybody dials, once the pool is full without them.
func (m *Manager) releaseSeeds(now time.Time) {
	for _, c := range m.pool.list() {
		if c.Seed && !c.Inbound && !m.needed(c) && now.Sub(c.Opened) > m.cfg.SeedAge && m.pool.outbound() > m.cfg.Pool {
			m.shut(c)
		}
	}
}

// anchors are the best connections that we dialed, the best last: those that have lasted for longest. Peers under Hold and seeds need
// no anchor, they are dialed first anyway.
func (m *Manager) anchors() []Connection {
	var out []Connection
	for _, c := range m.pool.list() {
		if !c.Inbound && !c.Client && !c.Seed && !m.isHeld(c.Peer) {
			out = append(out, c.Connection)
		}
	}
	slices.SortStableFunc(out, func(a, b Connection) int { return b.Opened.Compare(a.Opened) })
	return out[max(0, len(out)-anchorCount):]
}
