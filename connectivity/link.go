package connectivity

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// How long a peer may take to answer a ping after a change of the network, and for how long after one a failed dial means nothing:
// our choice.
const (
	pingLimit = 5 * time.Second
	settling  = 10 * time.Second
)

// link is what is known of this machine's network.
type link struct {
	known   bool
	last    linkReport
	changed time.Time
	again   []peer.ID // to be dialed first: lost with the network
}

type linkReport struct {
	up    bool
	addrs []netip.Addr
}

func (l *link) down() bool { return l.known && !l.last.up }

// unsettled: there is no network, or it has just changed.
func (l *link) unsettled(now time.Time) bool {
	return l.down() || !l.changed.IsZero() && now.Sub(l.changed) < settling
}

func (l *link) lost(id peer.ID) bool { return slices.Contains(l.again, id) }

// LinkChanged tells whether this machine has a network now, and all its addresses on interfaces that are up. It is called at the start
// and at each change, also when only a route or an address is another. Connections from an address that is gone are closed, the others
// have 5 s to show that they still work, and whoever was lost is dialed as soon as there is a network. It returns at once.
func (m *Manager) LinkChanged(up bool, addrs []netip.Addr) {
	m.asked.mu.Lock()
	m.asked.link = &linkReport{up, slices.Clone(addrs)}
	m.asked.mu.Unlock()
	m.asked.poke()
}

// takeLink acts on news of the network.
func (m *Manager) takeLink(now time.Time) {
	m.asked.mu.Lock()
	news := m.asked.link
	m.asked.link = nil
	m.asked.mu.Unlock()
	if news == nil {
		return
	}
	first := !m.link.known
	broken := m.link.down() || slices.ContainsFunc(m.link.last.addrs, func(a netip.Addr) bool { return !slices.Contains(news.addrs, a) })
	m.link.known, m.link.last = true, *news
	if first {
		return
	}
	m.link.changed = now
	for _, d := range m.dials {
		d.void = true
		if broken {
			d.cancel() // or it would wait for an answer to what was never sent
		}
	}
	for _, c := range m.pool.list() {
		if !needsLink(c.Remote) {
			continue
		}
		if ip, ok := ipOf(c.Local); ok && !ip.IsLoopback() && !ip.IsUnspecified() && !slices.Contains(news.addrs, ip.WithZone("")) {
			m.lose(c)
		} else {
			m.ping(c)
		}
	}
	if news.up {
		m.breaker.reset()
		m.memory.forgive()
		m.round.next = now
	}
}

// lose closes a connection that went with the network.
func (m *Manager) lose(c *member) {
	if !c.Inbound && !m.isHeld(c.Peer) && !m.link.lost(c.Peer) {
		m.link.again = append(m.link.again, c.Peer)
	}
	m.shut(c)
}

// ping asks whether a connection still works.
func (m *Manager) ping(c *member) {
	if m.parts.Pinger == nil {
		return
	}
	conn := c.Connection
	m.work.Go(func() {
		ctx, cancel := context.WithTimeout(m.ctx, pingLimit)
		defer cancel()
		if err := m.parts.Pinger.Ping(ctx, conn); err == nil {
			return
		}
		m.report(func(now time.Time) {
			if c := m.pool.conns[conn.ID]; c != nil && !c.closing {
				m.lose(c)
			}
		})
	})
}
