package connectivity

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// TestLink: when the network goes, connections from its addresses are ended; within 5 s of its return those whom we dialed are dialed
// again; nobody is blamed.
func TestLink(t *testing.T) {
	for _, away := range []time.Duration{time.Second, 20 * time.Second, 10 * time.Minute, 3 * time.Hour} {
		inWorld(t, 40, Config{}, func(w *world) {
			held := w.ids[:2]
			w.start(held...)
			w.turnLink(false)
			local := w.comeIn(Connection{Peer: "local", Inbound: true, Local: ma.StringCast("/ip4/127.0.0.1/tcp/1"), Remote: ma.StringCast("/ip4/127.0.0.1/tcp/2")})
			w.comeIn(Connection{Peer: "stranger", Inbound: true})
			w.pass(30 * time.Minute)
			before := w.outbound()
			w.turnLink(true)
			w.pass(away)
			if away > 3*time.Second {
				if s := w.m.Status(); s.Outbound != 0 || s.Inbound != 1 || !s.NoLink {
					w.t.Errorf("away %v: %+v", away, s)
				}
			}
			w.turnLink(false)
			w.pass(5 * time.Second)
			after := w.outbound()
			if missing := slices.DeleteFunc(before, func(id peer.ID) bool { return slices.Contains(after, id) }); len(missing) != 0 {
				w.t.Errorf("away %v: not redialed within 5 s: %v", away, missing)
			}
			if s := w.m.Status(); s.State != Online || s.NoLink {
				w.t.Errorf("away %v: %+v", away, s)
			}
			if n := w.notes(); n != 0 {
				w.t.Errorf("away %v: %d held against peers", away, n)
			}
			if !slices.ContainsFunc(w.Connections(), func(c Connection) bool { return c.ID == local[0] }) {
				w.t.Error("a connection within the machine was closed")
			}
			for id, trouble := range w.m.memory.peers {
				if trouble.level > 0 {
					w.t.Errorf("away %v: %s is blamed", away, id)
				}
			}
			w.checkPace()
		})
	}
}

// TestFirstDialsFail: right after a network is back much fails that works a second later.
func TestFirstDialsFail(t *testing.T) {
	inWorld(t, 20, Config{}, func(w *world) {
		w.start(w.ids[0])
		w.turnLink(false)
		w.pass(30 * time.Minute)
		n := len(w.outbound())
		w.turnLink(true)
		w.pass(time.Minute)
		w.m.LinkChanged(true, []netip.Addr{netip.MustParseAddr("9.9.9.9")}) // but nothing gets through yet
		w.pass(2 * time.Second)
		w.mu.Lock()
		w.noLink = false
		w.mu.Unlock()
		w.pass(4 * time.Second)
		if got := len(w.outbound()); got < n || w.notes() != 0 {
			w.t.Errorf("%d of %d connections, %d blamed", got, n, w.notes())
		}
	})
}

// TestChangedAddress: with another address the connections from the old one end; the others are kept if they answer a ping in 5 s.
func TestChangedAddress(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		w.start()
		w.turnLink(false)
		old := w.comeIn(Connection{Peer: "old", Inbound: true})
		other := Connection{Inbound: true, Local: ma.StringCast("/ip4/7.7.7.7/tcp/5")}
		good, mute := other, other
		good.Peer, mute.Peer = "good", "mute"
		alive, dead := w.comeIn(good), w.comeIn(mute)
		w.mute[dead[0]] = true
		w.pass(time.Minute)
		w.m.LinkChanged(true, []netip.Addr{netip.MustParseAddr("7.7.7.7")})
		w.pass(3 * time.Second)
		w.wantConns("at once", alive[0], dead[0])
		w.pass(4 * time.Second)
		w.wantConns("after the ping", alive[0])
		_ = old
	})
}

func (w *world) wantConns(when string, want ...string) {
	w.t.Helper()
	var got []string
	for _, c := range w.Connections() {
		got = append(got, c.ID)
	}
	if !slices.Equal(got, want) {
		w.t.Errorf("%s: connections %v, want %v", when, got, want)
	}
}

// TestNoLinkFromTheStart: peers on this machine are dialed all the same, others only if they are under Hold.
func TestNoLinkFromTheStart(t *testing.T) {
	inWorld(t, 5, Config{}, func(w *world) {
		local := w.add("local", &host{addrs: slicesOf(ma.StringCast("/ip4/127.0.0.1/tcp/5"))})
		w.start()
		w.m.LinkChanged(false, nil)
		w.pass(time.Hour)
		if got := w.outbound(); len(got) != 1 || got[0] != local || w.dialCount() != 1 {
			w.t.Errorf("connected to %v with %d dials", got, w.dialCount())
		}
		w.turnLink(false)
		w.pass(5 * time.Second)
		if got := w.outbound(); len(got) != 6 {
			w.t.Errorf("connected to %v", got)
		}
	})
}

// TestDialsInTheAir: a dial that was waiting for an answer when the network went is begun again when it is back.
func TestDialsInTheAir(t *testing.T) {
	inWorld(t, 1, Config{}, func(w *world) {
		w.allDown(true)
		w.start(w.ids[0])
		w.turnLink(false)
		w.pass(time.Second)
		w.turnLink(true)
		w.pass(2 * time.Second)
		w.turn(w.ids[0], false)
		w.turnLink(false)
		w.pass(3 * time.Second)
		if !w.connected(w.ids[0]) {
			w.t.Error("not connected")
		}
	})
}

// TestAlone: what fails while we have no connection at all is held against nobody, and forgiven with the first connection.
func TestAlone(t *testing.T) {
	inWorld(t, 12, Config{}, func(w *world) {
		w.allDown(false)
		w.start(w.ids[0])
		w.pass(2 * time.Hour)
		if n := w.notes(); n != 0 {
			w.t.Errorf("%d failures were noted", n)
		}
		for _, id := range w.ids[1:9] {
			w.turn(id, false)
		}
		w.comeIn(Connection{Peer: "somebody", Inbound: true})
		w.pass(time.Minute)
		if n := len(w.outbound()); n < 8 {
			w.t.Errorf("connected to %d", n)
		}
		if w.notes() == 0 {
			w.t.Error("no failure was noted though we were connected")
		}
	})
}
