package connectivity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// What the eclipse is made of.
const (
	honestPeers  = 500
	honestGroups = 250
	attackers    = 5000
	attackGroups = 16
)

// gossip is a world in which the node knows only whom it was told of.
type gossip struct {
	*world
	dice   *rand.Rand
	honest []peer.ID
	evil   []peer.ID
	known  []peer.ID
	seen   map[peer.ID]bool
}

func (g *gossip) Candidates() (out []Candidate) {
	g.mu.Lock()
	defer g.mu.Unlock()
	for _, id := range g.known {
		h := g.hosts[id]
		c := Candidate{ID: id, Addrs: h.addrs, Reached: h.reached}
		if h.reached.IsZero() {
			c.Unproven = h.addrs
		}
		out = append(out, c)
	}
	return out
}

func (g *gossip) learn(id peer.ID) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if !g.seen[id] {
		g.seen[id] = true
		g.known = append(g.known, id)
	}
}

// TestEclipse: 500 honest peers, of which three in ten are down at any time, and 5,000 attackers in 16 networks, who are always there,
// never hang up, come to us by themselves, and tell us only of each other, while the honest tell us of everybody. From six hours after
// the start on, and after a day, at least half of the connections that we chose are to honest peers.
func TestEclipse(t *testing.T) {
	seeds := eclipseSeeds
	if os.Getenv("TARI_LIBP2P_LONG") != "" {
		seeds = 25
	}
	if seeds == 0 {
		t.Skip("takes too long under the race detector")
	}
	early, worst := 1.0, 1.0
	for seed := range seeds {
		synctest.Test(t, func(t *testing.T) {
			e, w := eclipse(t, uint64(seed))
			early, worst = min(early, e), min(worst, w)
		})
	}
	t.Logf("row: %d honest peers and %d attackers in %d networks, 24 simulated hours | ≥ 50 %% of our own connections honest | %d worlds: at worst %.0f %%, %.0f %% in the first six hours",
		honestPeers, attackers, attackGroups, seeds, 100*worst, 100*early)
}

// eclipse returns the least share of honest connections in the first six hours, and after.
func eclipse(t *testing.T, seed uint64) (early, worst float64) {
	g := &gossip{world: newWorld(t, seed, 0, Config{}), dice: rand.New(rand.NewPCG(seed, 3)), seen: map[peer.ID]bool{}}
	for i := range honestPeers {
		g.honest = append(g.honest, g.add(fmt.Sprintf("honest%d", i), &host{addrs: slicesOf(ipAddr(50+i%honestGroups, i)), down: g.dice.IntN(10) < 3}))
	}
	for i := range attackers {
		g.evil = append(g.evil, g.add(fmt.Sprintf("evil%d", i), &host{addrs: slicesOf(ipAddr(20+i%attackGroups, i))}))
	}
	for _, id := range g.honest[:10] { // where we start from
		g.learn(id)
	}
	g.m = Start(Parts{g, g, g, g, g, g, g}, g.cfg)
	early, worst = 1, 1
	sum := 0.0
	const minutes, settled = 24 * 60, 6 * 60
	for minute := range minutes {
		g.pass(time.Minute)
		g.talk()
		share := g.share()
		sum += share
		if minute < settled {
			early = min(early, share)
		} else {
			worst = min(worst, share)
		}
	}
	g.m.Close()
	t.Logf("seed %d: honest %.0f %% of our connections on average, %.0f %% at worst (%.0f %% in the first six hours), %.0f %% after a day",
		seed, 100*sum/minutes, 100*worst, 100*early, 100*g.share())
	if worst < 0.5 || len(g.outbound()) < g.cfg.Floor {
		t.Errorf("honest %.0f %% at worst, %d connections at the end", 100*worst, len(g.outbound()))
	}
	return early, worst
}

// talk is a minute of gossip and of honest peers going and coming.
func (g *gossip) talk() {
	for _, id := range g.outbound() {
		for range 20 {
			if evil(id) || g.dice.IntN(honestPeers+attackers) >= honestPeers {
				g.learn(g.evil[g.dice.IntN(attackers)])
			} else {
				g.learn(g.honest[g.dice.IntN(honestPeers)])
			}
		}
	}
	for range 10 {
		g.learn(g.evil[g.dice.IntN(attackers)])
	}
	id := g.honest[g.dice.IntN(honestPeers)]
	g.turn(id, g.dice.IntN(10) < 3)
}

func evil(id peer.ID) bool { return strings.HasPrefix(string(id), "evil") }

// share is which part of our connections is to honest peers.
func (g *gossip) share() float64 {
	all, good := g.outbound(), 0
	for _, id := range all {
		if !evil(id) {
			good++
		}
	}
	return float64(good) / float64(max(1, len(all)))
}
