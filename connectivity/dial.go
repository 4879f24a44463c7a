package connectivity

import (
	"context"
	"math"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// overdial is how many dials an urgent round has for each connection that we lack, if all dials worked (tari_comms' figure); roundMax is
// the most that it has.
const (
	overdial = 2.5
	roundMax = 30
)

// The pause between two urgent rounds of dialing, and that before a dial is repeated which failed because the network had just
// changed: our choice.
const (
	roundGap         = 5 * time.Second
	retryAfterChange = time.Second
)

// dial is one under way.
type dial struct {
	cancel context.CancelFunc
	groups []string // the networks that it goes to
	doors  []string // where it knocks on a stranger's word
	round  bool     // part of a round
	again  bool     // to a peer that was lost with the network
	void   bool     // the network changed meanwhile: its failure means nothing
}

// round is a batch of dials that fill the pool.
type round struct {
	queue  []Candidate // still to be dialed
	open   int         // under way
	good   int         // connected
	bad    int         // failed for a reason that counts
	topUp  bool        // a round that is not urgent is wanted
	urgent bool        // it is to reach the floor, not more
	next   time.Time   // the next urgent one, not before
}

// urgent: fewer nodes than the floor.
func (m *Manager) urgent() bool { return m.pool.outbound() < m.cfg.Floor }

// dialHeld dials the peers under Hold that have no connection. Neither the breaker nor a missing network keeps it from that, only the
// peer's own back-off and the pace.
func (m *Manager) dialHeld(now time.Time) {
	for _, id := range m.held() {
		if m.dials[id] == nil && !m.pool.has(id) && !m.memory.waits(id, now) && m.mayDial(now, m.cfg.Dials.InFlight) {
			m.begin(Candidate{ID: id}, &dial{}, now)
		}
	}
}

// dialAgain dials the peers that were lost with the network, whatever the pool lacks.
func (m *Manager) dialAgain(now time.Time) {
	if m.link.down() {
		return
	}
	var wait []peer.ID
	for _, id := range m.link.again {
		switch {
		case m.isHeld(id), m.dials[id] != nil, slices.ContainsFunc(m.pool.list(), func(c *member) bool { return c.Peer == id }):
		case m.pool.has(id) || m.memory.waits(id, now) || !m.mayDial(now, m.cfg.Dials.InFlight):
			wait = append(wait, id)
		default:
			m.begin(Candidate{ID: id}, &dial{again: true}, now)
		}
	}
	m.link.again = wait
}

// mayDial reports whether another dial may begin.
func (m *Manager) mayDial(now time.Time, most int) bool {
	return len(m.dials) < most && !now.Before(m.pace.free())
}

// dialPool fills the pool: below the floor at once and with more dials than connections are lacking, else at each refresh, calmly.
func (m *Manager) dialPool(now time.Time) {
	for {
		if len(m.round.queue) == 0 && m.round.open == 0 {
			m.startRound(now)
		}
		m.feed(now)
		if !m.endRound(now) {
			return
		}
	}
}

// feed begins dials of the round, as many as may be under way.
func (m *Manager) feed(now time.Time) {
	target := m.target()
	for len(m.round.queue) > 0 {
		if m.pool.outbound() >= target {
			m.round.queue = nil
			break
		}
		if !m.mayDial(now, m.poolDials()) {
			return
		}
		c := m.round.queue[0]
		m.round.queue = m.round.queue[1:]
		if m.dials[c.ID] != nil || m.pool.has(c.ID) {
			continue
		}
		groups := make([]string, 0, len(c.Addrs))
		for _, a := range c.Addrs {
			groups = append(groups, netgroup(a))
		}
		slices.Sort(groups)
		m.begin(c, &dial{groups: slices.Compact(groups), doors: c.doors(c.Addrs...), round: true}, now)
	}
}

// target is how many nodes the running round is to reach.
func (m *Manager) target() int {
	if m.round.urgent {
		return m.cfg.Floor
	}
	return m.cfg.Pool
}

// poolDials is how many dials may be under way while a round is made: as many as will fill the pool, by the share of them that
// succeeded so far. Those that turn out to be too many go on: a dial given up in the middle of the handshake is an offence at the other
// end.
func (m *Manager) poolDials() int {
	return min(m.cfg.Dials.InFlight, int(math.Ceil(float64(m.cfg.Pool-m.pool.outbound())/m.tally.share())))
}

// startRound chooses whom to dial, if it is time for that.
func (m *Manager) startRound(now time.Time) {
	m.round.urgent = m.urgent()
	lack := m.target() - m.pool.outbound()
	due := m.round.urgent && !now.Before(m.round.next)
	if lack <= 0 || m.breaker.open(now) || !due && !m.round.topUp {
		m.round.topUp = m.round.topUp && lack > 0
		return
	}
	m.round.topUp, m.round.good, m.round.bad = false, 0, 0
	m.round.next = now.Add(roundGap)
	count := lack
	if m.round.urgent && !m.breaker.trial() {
		count = min(roundMax, int(math.Ceil(float64(lack)*overdial/m.tally.rate())))
	}
	m.round.queue = m.choose(count, now)
}

// endRound draws the conclusions of a round when its last dial has ended, and reports whether it has.
func (m *Manager) endRound(now time.Time) bool {
	if len(m.round.queue) > 0 || m.round.open > 0 || m.round.good+m.round.bad == 0 {
		return false
	}
	m.breaker.ended(m.round.good > 0, now)
	m.tried = true
	m.round.good, m.round.bad = 0, 0
	m.round.next = now.Add(roundGap)
	return true
}

// begin starts a dial.
func (m *Manager) begin(c Candidate, d *dial, now time.Time) {
	m.pace.take(now)
	ctx, cancel := context.WithTimeout(m.ctx, m.cfg.Dials.Limit)
	d.cancel, d.void = cancel, m.link.unsettled(now)
	m.dials[c.ID] = d
	for _, door := range d.doors {
		m.memory.knock(door, now)
	}
	if d.round {
		m.round.open++
	}
	m.work.Go(func() {
		defer cancel()
		failed, err := m.parts.Dialer.Dial(ctx, peer.AddrInfo{ID: c.ID, Addrs: c.Addrs})
		m.report(func(now time.Time) { m.ended(c.ID, d, failed, err, now) })
	})
}

// ended takes the outcome of a dial.
func (m *Manager) ended(id peer.ID, d *dial, failed []ma.Multiaddr, err error, now time.Time) {
	delete(m.dials, id)
	if d.round {
		m.round.open--
		switch {
		case err == nil:
			m.round.good++
		case !d.void:
			m.round.bad++
		}
	}
	if err == nil {
		m.memory.reached(id, now)
		m.tally.note(true)
		m.breaker.reset()
		m.arrived(id, d, now)
		return
	}
	m.tried = true
	if d.void {
		m.interrupted(id, d, now)
		return
	}
	if m.isHeld(id) {
		m.emit(DialFailed{Peer: id, Err: err})
	}
	m.tally.note(false)
	// As long as we have no connection at all it may be our own fault.
	s := m.pool.count()
	alone := s.Nodes+s.Clients == 0
	m.memory.failed(id, failed, alone, m.longest(id, alone), now)
	if !alone && m.parts.Failures != nil {
		m.parts.Failures.DialFailed(id, failed, err)
	}
}

// arrived takes note of the network that a dial has led into. Where names lead shows only then: who is one too many there is let go.
func (m *Manager) arrived(id peer.ID, d *dial, now time.Time) {
	for _, c := range m.pool.list() {
		if c.Peer != id || c.Inbound {
			continue
		}
		c.named = d.groups
		m.memory.open(door(c.Remote))
		group := netgroup(c.Remote)
		if d.round && !slices.Contains(d.groups, group) && m.shares()[group] > m.groupLimit() && !c.Client && !m.needed(c) {
			m.shut(c)
			m.memory.failed(id, nil, false, m.longest(id, false), now)
		}
	}
}

// interrupted has a dial repeated that failed while the network came or went: soon if it is there, for much needs a second to work.
func (m *Manager) interrupted(id peer.ID, d *dial, now time.Time) {
	for _, door := range d.doors {
		m.memory.open(door)
	}
	wait := retryAfterChange
	if m.link.down() {
		wait = m.cfg.Backoff.Offline
	}
	m.memory.failed(id, nil, true, wait, now)
	if d.again && !m.link.lost(id) {
		m.link.again = append(m.link.again, id)
	}
}

// longest is the longest that a peer waits after a failure.
func (m *Manager) longest(id peer.ID, alone bool) time.Duration {
	switch {
	case !m.isHeld(id):
		return m.cfg.Backoff.Max
	case alone:
		return min(m.cfg.Backoff.HeldMax, m.cfg.Backoff.Offline)
	default:
		return m.cfg.Backoff.HeldMax
	}
}
