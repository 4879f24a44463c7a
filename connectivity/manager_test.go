package connectivity

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestPoolAndFloor: the floor is reached at once, the pool at the next refresh, and no more than that.
func TestPoolAndFloor(t *testing.T) {
	for _, tc := range []struct{ pool, floor, wantFloor, wantPool int }{
		{0, 0, 8, 12},
		{5, 2, 2, 5},
		{5, 9, 4, 5}, // a floor above the pool is below it
	} {
		inWorld(t, 40, Config{Pool: tc.pool, Floor: tc.floor}, func(w *world) {
			w.start()
			w.pass(30 * time.Second)
			if n := len(w.outbound()); n < tc.wantFloor || n > w.cfg.Pool {
				w.t.Errorf("%d connections after 30 s, floor %d", n, tc.wantFloor)
			}
			w.pass(time.Hour)
			if n := len(w.outbound()); n < tc.wantPool || n > tc.wantPool+2 {
				w.t.Errorf("%d connections after an hour, pool %d", n, tc.wantPool)
			}
			for range 5 { // lost ones are replaced
				w.turn(w.outbound()[0], true)
			}
			w.pass(10 * time.Minute)
			if n := len(w.outbound()); n < tc.wantPool {
				w.t.Errorf("%d connections after a loss, pool %d", n, tc.wantPool)
			}
			w.checkPace()
		})
	}
}

// TestRefresh: a pool above the floor is topped up at the next refresh and not before.
func TestRefresh(t *testing.T) {
	inWorld(t, 40, Config{Refresh: 10 * time.Minute}, func(w *world) {
		w.start()
		w.pass(25 * time.Minute)
		w.turn(w.outbound()[0], true)
		w.pass(4 * time.Minute)
		if n := len(w.outbound()); n >= w.cfg.Pool {
			w.t.Errorf("%d connections before the refresh", n)
		}
		w.pass(2 * time.Minute)
		if n := len(w.outbound()); n != w.cfg.Pool {
			w.t.Errorf("%d connections after the refresh", n)
		}
	})
}

// TestStates: the states of tari_comms, each told once.
func TestStates(t *testing.T) {
	inWorld(t, 0, Config{Min: 3}, func(w *world) {
		w.start()
		if s := w.m.Status(); s.State != Initializing {
			w.t.Errorf("at first %v", s.State)
		}
		w.pass(30 * time.Second)
		wallet := w.comeIn(Connection{Peer: "wallet", Inbound: true, Client: true})
		w.pass(time.Second)
		nodes := w.comeIn(Connection{Peer: "a", Inbound: true}, Connection{Peer: "b", Inbound: true}, Connection{Peer: "b", Inbound: true})
		w.pass(time.Second)
		if s := w.m.Status(); s.Nodes != 2 || s.Clients != 1 || s.Inbound != 4 || s.Outbound != 0 {
			w.t.Errorf("status %+v", s)
		}
		nodes = append(nodes, w.comeIn(Connection{Peer: "c", Inbound: true})...)
		w.pass(time.Second)
		more := w.comeIn(Connection{Peer: "d", Inbound: true}) // online as before: nothing to tell
		w.pass(time.Second)
		for _, id := range slices.Concat(more, nodes, wallet) {
			w.cut(id)
			w.pass(time.Second)
		}
		want := []State{Degraded, Degraded, Online, Degraded, Degraded, Degraded, Offline}
		if got := w.states(); !slices.Equal(got, want) {
			w.t.Errorf("states %v, want %v", got, want)
		}
	})
}

// TestInitializing ends with the first failure, or with a refresh if there is nobody to dial.
func TestInitializing(t *testing.T) {
	for count, after := range map[int]time.Duration{0: 61 * time.Second, 3: 2 * time.Second} {
		inWorld(t, count, Config{}, func(w *world) {
			for _, id := range w.ids {
				w.hosts[id].down = true
			}
			w.start()
			w.pass(after)
			if got := w.states(); !slices.Equal(got, []State{Offline}) {
				w.t.Errorf("%d peers: %v", count, got)
			}
		})
	}
}

// TestReap: exactly the excess of a direction is closed, of those that are old enough, have few streams and are not needed, the longest
// idle first.
func TestReap(t *testing.T) {
	for _, tc := range []struct {
		limit int
		left  string
	}{
		{6, "[protected busy held used idle3 other way young]"},
		{5, "[protected busy held used other way young]"},
		{1, "[protected busy held other way young]"},
	} {
		reapTo(t, tc.limit, true, tc.left)
		reapTo(t, tc.limit, false, tc.left)
	}
}

func reapTo(t *testing.T, limit int, inbound bool, want string) {
	inWorld(t, 0, Config{Reap: Reap{Inbound: limit, Outbound: limit}}, func(w *world) {
		w.start("held")
		conn := func(name string, streams int) Connection {
			return Connection{Peer: peer.ID(name), Inbound: inbound, Streams: streams, Protected: name == "protected"}
		}
		w.comeIn(conn("protected", 0), conn("busy", 3), conn("held", 0), conn("used", 2), conn("idle1", 0), conn("idle2", 0), conn("idle3", 0))
		w.comeIn(Connection{Peer: "other way", Inbound: !inbound})
		w.pass(19 * time.Minute)
		if n := len(w.Connections()); n != 8 {
			w.t.Errorf("%d connections before they are old enough", n)
		}
		w.comeIn(conn("young", 0))
		w.pass(5 * time.Minute)
		var left []string
		for _, c := range w.Connections() {
			left = append(left, string(c.Peer))
		}
		if got := fmt.Sprint(left); got != want {
			w.t.Errorf("limit %d, inbound %v: left %v, want %v", limit, inbound, got, want)
		}
	})
}

// TestReapDefaults: 50 that we dialed and 400 that others did stay.
func TestReapDefaults(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		w.start()
		for i := range 60 {
			w.comeIn(Connection{Peer: peer.ID(fmt.Sprint("out", i))})
		}
		for i := range 410 {
			w.comeIn(Connection{Peer: peer.ID(fmt.Sprint("in", i)), Inbound: true})
		}
		w.pass(30 * time.Minute)
		if s := w.m.Status(); s.Outbound != 50 || s.Inbound != 400 {
			w.t.Errorf("%d outbound, %d inbound", s.Outbound, s.Inbound)
		}
	})
}

// TestSeeds: they come first when there is nobody, are not dialed otherwise as long as there are others, and make room when the pool is
// full without them.
func TestSeeds(t *testing.T) {
	inWorld(t, 40, Config{SeedAge: 5 * time.Minute, Dials: Dials{InFlight: 1}}, func(w *world) {
		seed := w.add("seed", &host{addrs: w.hosts[w.ids[0]].addrs, seed: true})
		w.start()
		w.pass(time.Second)
		if w.dialed()[0].id != seed {
			w.t.Errorf("dialed %s first", w.dialed()[0].id)
		}
		w.pass(4 * time.Minute)
		if !w.connected(seed) {
			w.t.Error("the seed is not connected at first")
		}
		w.pass(10 * time.Minute) // the pool with the seed is 12: it counts, and stays
		if !w.connected(seed) || len(w.outbound()) != w.cfg.Pool {
			w.t.Errorf("seed %v, %d connections", w.connected(seed), len(w.outbound()))
		}
		w.comeIn(Connection{Peer: "another"})
		w.pass(2 * time.Minute)
		if w.connected(seed) {
			w.t.Error("the seed was not released from a full pool")
		}
		w.turn(w.outbound()[0], true)
		w.turn(w.outbound()[1], true)
		w.pass(10 * time.Minute)
		if w.count(seed) != 1 || len(w.outbound()) != w.cfg.Pool {
			w.t.Errorf("the seed was dialed %d times, %d connections", w.count(seed), len(w.outbound()))
		}
	})
}

// TestHold: dialed first, again at once, and left alone after the last release.
func TestHold(t *testing.T) {
	inWorld(t, 40, Config{}, func(w *world) {
		id := w.ids[39]
		w.start(id)
		release := w.m.Hold(id)
		w.pass(10 * time.Minute)
		if !w.connected(id) {
			w.t.Error("not connected")
		}
		release()
		release() // counts once
		w.drop(id)
		w.pass(2 * time.Second)
		if !w.connected(id) {
			w.t.Error("not redialed at once")
		}
		w.pass(10 * time.Minute)
		w.turn(id, true)
		w.pass(20 * time.Second)
		var failed DialFailed
		for _, e := range w.told() {
			if f, ok := e.(DialFailed); ok {
				failed = f
			}
		}
		if failed.Peer != id || failed.Err == nil {
			w.t.Errorf("told %+v", failed)
		}
	})
	inWorld(t, 40, Config{Dials: Dials{InFlight: 1}}, func(w *world) {
		w.start(w.ids[39])
		w.pass(time.Minute)
		if w.dialed()[0].id != w.ids[39] {
			w.t.Errorf("dialed %s first", w.dialed()[0].id)
		}
	})
	inWorld(t, 1, Config{}, func(w *world) {
		w.hosts[w.ids[0]].banned = time.Now().Add(time.Hour) // no candidate
		w.start()
		release := w.m.Hold(w.ids[0])
		w.pass(time.Minute)
		release()
		n := w.dialCount()
		w.pass(time.Hour / 2)
		if n == 0 || w.dialCount() != n {
			w.t.Errorf("%d dials while held, then %d", n, w.dialCount()-n)
		}
	})
}

// TestGroups: who has many addresses in few networks gets a third of the pool for each at most.
func TestGroups(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		for i := range 60 {
			w.add(fmt.Sprint("peer", i), &host{addrs: slicesOf(ipAddr(20+i%2, i))})
		}
		w.start()
		w.pass(time.Hour)
		groups := map[string]int{}
		for _, c := range w.Connections() {
			groups[netgroup(c.Remote)]++
		}
		if len(groups) != 2 || groups["20.20.0.0/16"] != 4 || groups["20.21.0.0/16"] != 4 {
			w.t.Errorf("groups %v", groups)
		}
	})
}

// TestNamesOfOneDomain: nor does who has many names in one domain get more, wherever they lead.
func TestNamesOfOneDomain(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		for i := range 60 {
			name := ma.StringCast(fmt.Sprintf("/dns4/p%d.example.com/tcp/1", i))
			w.add(fmt.Sprint("peer", i), &host{addrs: slicesOf(name), at: ipAddr(20+i, 1)})
		}
		w.start()
		w.pass(time.Hour)
		if n := len(w.outbound()); n != 4 {
			w.t.Errorf("%d connections to one domain", n)
		}
	})
}

// TestNamesOfOneHost: nor who has a domain for each peer, all of which lead to one network, which shows only when they are dialed.
func TestNamesOfOneHost(t *testing.T) {
	for _, honest := range []int{0, 30} {
		inWorld(t, honest, Config{}, func(w *world) {
			for i := range 60 {
				name := ma.StringCast(fmt.Sprintf("/dns4/example%d.com/tcp/1", i))
				w.add(fmt.Sprint("peer", i), &host{addrs: slicesOf(name), at: ipAddr(0, i)})
			}
			w.start()
			w.pass(time.Hour)
			for range 12 { // at any time
				w.pass(10 * time.Minute)
				groups := map[string]int{}
				for _, c := range w.Connections() {
					groups[netgroup(c.Remote)]++
				}
				if n := groups["20.0.0.0/16"]; n > 4 || honest == 0 && n != 4 || honest > 0 && len(w.outbound()) < w.cfg.Pool-1 {
					w.t.Errorf("%d honest: %d connections to one network, %d in all", honest, n, len(w.outbound()))
				}
			}
			w.checkPace()
		})
	}
}

// TestAnchors: the four longest connections are dialed first after a restart.
func TestAnchors(t *testing.T) {
	inWorld(t, 60, Config{}, func(w *world) {
		w.start()
		w.pass(time.Hour)
		for range 6 { // newer ones come
			w.turn(w.outbound()[0], true)
			w.pass(5 * time.Minute)
		}
		var anchors []peer.ID
		w.mu.Lock()
		for _, c := range w.anchors {
			anchors = append(anchors, c.Peer)
		}
		w.mu.Unlock()
		w.stop()
		before := w.dialCount()
		w.cfg.Dials.InFlight = 1
		w.start()
		w.pass(20 * time.Second)
		var first []peer.ID
		for _, d := range w.dialed()[before : before+anchorCount] {
			first = append(first, d.id)
		}
		slices.Sort(anchors)
		slices.Sort(first)
		if len(anchors) != anchorCount || !slices.Equal(first, anchors) {
			w.t.Errorf("dialed %v first, anchors %v", first, anchors)
		}
	})
}

// TestNobodyReads: events that nobody reads hold nothing up, and the last one is how things are.
func TestNobodyReads(t *testing.T) {
	inWorld(t, 1, Config{}, func(w *world) {
		w.m = Start(Parts{w, w, w, w, nil, nil, nil}, w.cfg)
		for range eventsKept {
			w.turn(w.ids[0], true)
			w.pass(2 * time.Minute)
			w.turn(w.ids[0], false)
			w.pass(20 * time.Minute)
		}
		if n := len(w.m.events); n != eventsKept {
			w.t.Errorf("%d events are kept", n)
		}
		var last Event
		for range eventsKept {
			last = <-w.m.Events()
		}
		if s, ok := last.(StateChanged); !ok || s.State != w.m.Status().State {
			w.t.Errorf("last event %+v, status %+v", last, w.m.Status())
		}
	})
}

// TestClose: with dials that never end under way, twice, and before anything happened.
func TestClose(t *testing.T) {
	inWorld(t, 100, Config{}, func(w *world) {
		for _, id := range w.ids {
			w.hosts[id].down, w.hosts[id].silent = true, true
		}
		w.start(w.ids[0])
		w.pass(20 * time.Second)
		began := time.Now()
		w.m.Close()
		if d := time.Since(began); d > 2*time.Second || w.dialCount() == 0 {
			w.t.Errorf("took %v, %d dials", d, w.dialCount())
		}
		w.m.Close()
		w.m.Changed()
		w.turnLink(true)
	})
	inWorld(t, 1, Config{}, func(w *world) { w.start() })
}

// TestRotation: a full pool gives up a connection from time to time, but none that is wanted, and no anchor.
func TestRotation(t *testing.T) {
	inWorld(t, 40, Config{}, func(w *world) {
		w.start(w.ids[0])
		w.pass(15 * time.Minute)
		before := w.outbound()
		w.mu.Lock()
		anchors := w.anchors
		w.mu.Unlock()
		w.pass(2 * time.Hour)
		after := w.outbound()
		gone := 0
		for _, id := range before {
			if !slices.Contains(after, id) {
				gone++
			}
		}
		if gone < 3 || !w.connected(w.ids[0]) {
			w.t.Errorf("%d were given up, the one under Hold is connected: %v", gone, w.connected(w.ids[0]))
		}
		for _, a := range anchors {
			if !slices.Contains(after, a.Peer) {
				w.t.Errorf("the anchor %s was given up", a.Peer)
			}
		}
		w.mu.Lock()
		for i := range w.conns {
			w.conns[i].Ours = 1
		}
		w.mu.Unlock()
		before = w.outbound()
		w.pass(time.Hour)
		if after := w.outbound(); !slices.Equal(before, after) {
			w.t.Errorf("in use %v, left %v", before, after)
		}
	})
}
