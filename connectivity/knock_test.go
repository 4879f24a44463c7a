package connectivity

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// knocks are the dials at one IP address: when, and at how many of its ports.
func (w *world) knocks(ip string) (at []time.Time) {
	for _, d := range w.dialed() {
		ports := 0
		for _, a := range d.to {
			if door(a) == ip {
				ports++
			}
		}
		if ports > 1 {
			w.t.Errorf("%d addresses at %s in one dial", ports, ip)
		}
		if ports > 0 {
			at = append(at, d.at)
		}
	}
	return at
}

// hearsay adds peers that claim addresses where nobody has reached them.
func (w *world) hearsay(name string, count int, down bool, addrs func(i int) []ma.Multiaddr) (ids []peer.ID) {
	for i := range count {
		ids = append(ids, w.add(fmt.Sprint(name, i), &host{addrs: addrs(i), hearsay: true, down: down}))
	}
	return ids
}

func port(ip string, n int) ma.Multiaddr { return ma.StringCast(fmt.Sprintf("/ip4/%s/tcp/%d", ip, n)) }

// TestOneKnock: a hundred strangers claim to be at somebody's address, at ports of all kinds, while we look for peers urgently. He is
// dialed once in ten minutes, and whoever was reached there before is not kept from us by that.
func TestOneKnock(t *testing.T) {
	const victim = "5.6.7.8"
	inWorld(t, 0, Config{}, func(w *world) {
		w.hearsay("liar", 100, true, func(i int) []ma.Multiaddr {
			return []ma.Multiaddr{port(victim, 1000+i), port(victim, 2000+i), ma.StringCast(fmt.Sprintf("/ip6/64:ff9b::506:708/tcp/%d", 3000+i))}
		})
		proven := w.add("proven", &host{addrs: []ma.Multiaddr{port(victim, 1)}, reached: time.Now()})
		w.add("friend", &host{addrs: []ma.Multiaddr{ipAddr(3, 3)}})
		w.start()
		w.pass(61 * time.Minute)
		if !w.connected(proven) {
			t.Error("the peer that was there before is not connected")
		}
		at := w.knocks(victim)
		at = slices.DeleteFunc(at, func(when time.Time) bool {
			return slices.ContainsFunc(w.dialed(), func(d dialed) bool { return d.at.Equal(when) && d.id == proven })
		})
		if len(at) < 3 || len(at) > 7 {
			t.Errorf("%d knocks in an hour", len(at))
		}
		t.Logf("%d knocks in an hour", len(at))
		for i := 1; i < len(at); i++ {
			if gap := at[i].Sub(at[i-1]); gap < knockAgain {
				t.Errorf("knocked again after %v", gap)
			}
		}
	})
}

// TestAnOpenDoor: where one stranger is found to be, the next is looked for without delay.
func TestAnOpenDoor(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		ids := w.hearsay("neighbour", 3, false, func(i int) []ma.Multiaddr { return []ma.Multiaddr{port("5.6.7.8", 1+i)} })
		w.start()
		w.pass(2 * time.Minute)
		for _, id := range ids {
			if !w.connected(id) {
				t.Errorf("%s is not connected", id)
			}
		}
	})
}

// TestAKnockThatNeverLeft: what was dialed while the network went is dialed again soon after it is back.
func TestAKnockThatNeverLeft(t *testing.T) {
	inWorld(t, 0, Config{}, func(w *world) {
		ids := w.hearsay("stranger", 3, true, func(i int) []ma.Multiaddr { return []ma.Multiaddr{ipAddr(i, i)} })
		for _, id := range ids {
			w.hosts[id].silent = true
		}
		w.start()
		w.turnLink(false)
		w.pass(30 * time.Second)
		if n := len(w.dialed()); n != len(ids) {
			t.Fatalf("%d dials", n)
		}
		w.turnLink(true)
		for _, id := range ids {
			w.turn(id, false)
		}
		w.pass(time.Minute)
		w.turnLink(false)
		w.pass(2 * time.Minute)
		for _, id := range ids {
			if !w.connected(id) {
				t.Errorf("%s is not connected: %v", id, w.dialed())
			}
		}
	})
}

func TestDoor(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/1": "1.2.3.4", "/ip6/::ffff:1.2.3.4/tcp/2": "1.2.3.4", "/ip6/64:ff9b::102:304/tcp/3": "1.2.3.4", "/ip6/2a01:4f8::1/tcp/1": "2a01:4f8::1",
		"/ip4/127.0.0.1/tcp/1": "", "/ip4/10.0.0.1/tcp/1": "", "/ip6/fe80::1/tcp/1": "",
		"/dns4/a.B.example/tcp/1": "b.example", "/dns6/b.example./tcp/9": "b.example",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1":  "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd",
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:22": "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd",
	} {
		if got := door(ma.StringCast(text)); got != want {
			t.Errorf("%s: %q, want %q", text, got, want)
		}
	}
}
