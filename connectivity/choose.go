package connectivity

import (
	"cmp"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// groupShare is which part of the pool one network may have: a third, connections and dials together.
const groupShare = 3

// groupLimit is how many places of the pool one network may have.
func (m *Manager) groupLimit() int { return max(1, m.cfg.Pool/groupShare) }

// choose gives at most count candidates to dial, in that order, with the addresses to dial them at. While there is no connection,
// those reached last (the anchors) and the seeds go first. The others are found by first choosing
// a network and then a peer in it, so that having many peers in few networks gains nothing; every other choice is made among peers that
// were reached before.
func (m *Manager) choose(count int, now time.Time) []Candidate {
	c := &chooser{m: m, now: now, share: m.shares(), count: count, taken: map[peer.ID]bool{}, doors: map[string]bool{}}
	var usual, seeds []Candidate
	for _, one := range m.parts.Candidates.Candidates() {
		switch {
		case m.isHeld(one.ID), m.dials[one.ID] != nil, m.pool.has(one.ID), m.memory.waits(one.ID, now):
		case one.Seed:
			seeds = append(seeds, one)
		default:
			usual = append(usual, one)
		}
	}
	m.rng.Shuffle(len(seeds), func(i, k int) { seeds[i], seeds[k] = seeds[k], seeds[i] })
	if m.pool.count().Nodes == 0 {
		c.take(anchorsOf(usual)...)
		c.take(seeds...)
	}
	c.takeSpread(usual)
	c.take(seeds...)
	return c.chosen
}

// anchorsOf are the candidates reached last.
func anchorsOf(all []Candidate) []Candidate {
	var reached []Candidate
	for _, c := range all {
		if !c.Reached.IsZero() {
			reached = append(reached, c)
		}
	}
	slices.SortStableFunc(reached, func(a, b Candidate) int { return b.Reached.Compare(a.Reached) })
	return reached[:min(len(reached), anchorCount)]
}

// shares is how many places of the pool each network group has, connections and dials together.
func (m *Manager) shares() map[string]int {
	share := map[string]int{}
	for _, c := range m.pool.list() {
		if !c.Inbound && !c.Client {
			group := netgroup(c.Remote)
			share[group]++
			for _, g := range c.named {
				if g != group {
					share[g]++
				}
			}
		}
	}
	for _, d := range m.dials {
		for _, g := range d.groups {
			share[g]++
		}
	}
	return share
}

// chooser fills a list of candidates within the groups' shares.
type chooser struct {
	m      *Manager
	now    time.Time
	share  map[string]int
	count  int
	chosen []Candidate
	taken  map[peer.ID]bool
	doors  map[string]bool // where those chosen will knock on a stranger's word
}

func (c *chooser) full() bool { return len(c.chosen) >= c.count }

// group is the network in which the candidate would be dialed: that of its first address that need not wait and whose network has a
// place left. "" if there is none. On a stranger's word no door is knocked at twice.
func (c *chooser) group(one Candidate) (string, []ma.Multiaddr) {
	most := c.m.groupLimit()
	group := ""
	var addrs []ma.Multiaddr
	var knocks []string
	for _, a := range c.m.memory.rested(one.ID, one.Addrs, c.now) {
		if c.m.link.down() && needsLink(a) {
			continue
		}
		doors := one.doors(a)
		if slices.ContainsFunc(doors, func(d string) bool {
			return c.doors[d] || slices.Contains(knocks, d) || !c.m.memory.mayKnock(d, c.now)
		}) {
			continue
		}
		g := netgroup(a)
		if group == "" && c.share[g] < most {
			group = g
		}
		if g == group {
			addrs, knocks = append(addrs, a), append(knocks, doors...)
		}
	}
	return group, addrs
}

// take takes these, as far as there is room.
func (c *chooser) take(all ...Candidate) {
	for _, one := range all {
		if group, addrs := c.group(one); group != "" && !c.full() && !c.taken[one.ID] {
			c.add(group, Candidate{ID: one.ID, Addrs: addrs, Unproven: one.Unproven})
		}
	}
}

func (c *chooser) add(group string, one Candidate) {
	c.share[group]++
	c.taken[one.ID] = true
	for _, d := range one.doors(one.Addrs...) {
		c.doors[d] = true
	}
	c.chosen = append(c.chosen, one)
}

// network is the candidates of one group, or those of one that were reached before.
type network struct{ members []Candidate }

// takeSpread takes candidates from networks chosen at random.
func (c *chooser) takeSpread(all []Candidate) {
	met, every := c.networks(all, true), c.networks(all, false)
	preferMet := c.m.pool.count().Nodes < c.m.cfg.Min
	for !c.full() && len(every) > 0 {
		from := &every
		if len(met) > 0 && (preferMet || c.m.rng.IntN(2) == 0) {
			from = &met
		}
		i := c.m.rng.IntN(len(*from))
		if !c.takeFrom((*from)[i]) {
			*from = slices.Delete(*from, i, i+1)
		}
	}
}

// networks sorts candidates into their groups.
func (c *chooser) networks(all []Candidate, met bool) []*network {
	var out []*network
	index := map[string]*network{}
	for _, one := range all {
		if c.taken[one.ID] || met && one.Reached.IsZero() {
			continue
		}
		group, _ := c.group(one)
		if group == "" {
			continue
		}
		n := index[group]
		if n == nil {
			n = new(network)
			index[group] = n
			out = append(out, n)
		}
		n.members = append(n.members, one)
	}
	for _, n := range out { // at random, but those that failed least first
		c.m.rng.Shuffle(len(n.members), func(i, k int) { n.members[i], n.members[k] = n.members[k], n.members[i] })
		slices.SortStableFunc(n.members, func(a, b Candidate) int {
			return cmp.Compare(c.m.memory.level(a.ID), c.m.memory.level(b.ID))
		})
	}
	return out
}

// takeFrom takes one candidate of a network, and reports whether there was one.
func (c *chooser) takeFrom(n *network) bool {
	for len(n.members) > 0 {
		one := n.members[0]
		n.members = n.members[1:]
		if c.taken[one.ID] {
			continue
		}
		if group, addrs := c.group(one); group != "" {
			c.add(group, Candidate{ID: one.ID, Addrs: addrs, Unproven: one.Unproven})
			return true
		}
	}
	return false
}
