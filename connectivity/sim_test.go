package connectivity

import (
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// seedEnv runs one seed of the simulation again.
const seedEnv = "TARI_LIBP2P_SIM_SEED"

// TestSimulation lives through worlds where peers come and go, hang up, are banned for a while, never answer, and where our own network
// fails: at all times the limits hold, and when the world is well again the node is.
func TestSimulation(t *testing.T) {
	first, count := uint64(1), uint64(simSeeds)
	if os.Getenv("TARI_LIBP2P_LONG") != "" {
		count = 10_000
	}
	if text := os.Getenv(seedEnv); text != "" {
		seed, err := strconv.ParseUint(text, 10, 64)
		if err != nil {
			t.Fatal(err)
		}
		first, count = seed, 1
	}
	for seed := first; seed < first+count && !t.Failed(); seed++ {
		synctest.Test(t, func(t *testing.T) { simulate(t, seed) })
		if t.Failed() {
			t.Logf("again with %s=%d", seedEnv, seed)
		}
	}
	if t.Failed() {
		return
	}
	t.Logf("row: the node's connections, dials, bans and links, simulated | no rule broken in 10,000 worlds | %d worlds", count)
}

// TestSimulationRepeats: the same seed gives the same dials at the same times, or a failure could not be looked into.
func TestSimulationRepeats(t *testing.T) {
	for seed := uint64(1); seed <= 5; seed++ {
		var histories [2][]string
		for i := range histories {
			synctest.Test(t, func(t *testing.T) {
				for _, d := range simulate(t, seed).dials {
					histories[i] = append(histories[i], d.at.Format(time.RFC3339Nano)+" "+string(d.id))
				}
			})
			slices.Sort(histories[i]) // dials of one moment have no order
		}
		if len(histories[0]) < 20 || !slices.Equal(histories[0], histories[1]) {
			t.Fatalf("seed %d: %d and %d dials", seed, len(histories[0]), len(histories[1]))
		}
	}
}

func simulate(t *testing.T, seed uint64) *world {
	dice := rand.New(rand.NewPCG(seed, 1))
	w := newWorld(t, seed, 0, Config{})
	for i := range 20 + dice.IntN(20) {
		h := &host{addrs: []ma.Multiaddr{ipAddr(20+i/2, i)}, down: dice.IntN(4) == 0, silent: dice.IntN(3) == 0}
		h.hangsUp = dice.IntN(10) == 0
		h.seed = dice.IntN(10) == 0
		h.hearsay = !h.seed && dice.IntN(2) == 0
		w.add(fmt.Sprintf("p%03d", i), h)
	}
	held := w.ids[:dice.IntN(4)]
	for _, id := range held {
		w.hosts[id].hangsUp = false
	}
	w.start(held...)
	w.turnLink(false)
	began := time.Now()
	for time.Since(began) < time.Hour {
		w.pass(time.Duration(dice.Int64N(int64(3 * time.Minute))))
		w.happen(dice)
	}
	// All is well again: everybody is up, nobody is banned, and old failures have had their time.
	w.turnLink(false)
	for _, id := range w.ids {
		w.mu.Lock()
		w.hosts[id].banned = time.Time{}
		w.mu.Unlock()
		w.turn(id, false)
	}
	w.pass(45 * time.Minute)
	w.verify(held)
	w.close()
	return w
}

// happen makes one thing happen.
func (w *world) happen(dice *rand.Rand) {
	id := w.ids[dice.IntN(len(w.ids))]
	switch dice.IntN(8) {
	case 0, 1:
		w.turn(id, true)
	case 2, 3:
		w.turn(id, false)
	case 4: // a ban ends the connections
		w.turn(id, true)
		w.turn(id, false)
		w.mu.Lock()
		w.hosts[id].banned = time.Now().Add(time.Duration(dice.IntN(20)) * time.Minute)
		w.mu.Unlock()
	case 5:
		w.turnLink(true)
		noted := w.notes()
		w.pass(time.Duration(dice.Int64N(int64(2 * time.Minute))))
		if w.notes() != noted {
			w.t.Error("a failure without a network was held against a peer")
		}
		w.turnLink(false)
	case 6:
		w.comeIn(Connection{Peer: peer.ID(fmt.Sprint("stranger", dice.IntN(10))), Inbound: true, Client: dice.IntN(2) == 0})
	case 7: // everybody is gone for a while
		for _, id := range w.ids {
			w.turn(id, true)
		}
		w.pass(time.Duration(dice.Int64N(int64(10 * time.Minute))))
		for _, id := range w.ids {
			w.turn(id, dice.IntN(4) == 0)
		}
	}
	w.pass(time.Millisecond)
}

func (w *world) notes() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.noted)
}

// verify looks at a world that has been well for a while.
func (w *world) verify(held []peer.ID) {
	w.t.Helper()
	w.checkPace()
	s := w.m.Status()
	if s.State != Online || s.NoLink || s.Paused {
		w.t.Errorf("not well: %+v", s)
	}
	if out := len(w.outbound()); s.Outbound < w.cfg.Floor || out < s.Outbound {
		w.t.Errorf("connected to %d by dialing, status says %+v", out, s)
	}
	for _, id := range held {
		if !w.connected(id) {
			w.t.Errorf("%s is under Hold and not connected", id)
		}
	}
	if states := w.states(); len(states) == 0 || states[len(states)-1] != s.State {
		w.t.Errorf("the last event of %v is not the state %v", states, s.State)
	}
	groups := map[string]int{}
	for _, c := range w.Connections() {
		if !c.Inbound && !w.m.isHeld(c.Peer) {
			groups[netgroup(c.Remote)]++
		}
	}
	for g, n := range groups {
		if n > w.cfg.Pool/groupShare {
			w.t.Errorf("%d connections into %s", n, g)
		}
	}
	dials := w.dialed()
	for i := range dials {
		if d := dials[i]; i > 0 && d.at.Before(dials[i-1].at) {
			w.t.Error("dials out of order")
		}
	}
}
