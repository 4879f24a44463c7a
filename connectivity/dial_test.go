package connectivity

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

func slicesOf[T any](all ...T) []T { return all }

// allDown makes everybody unreachable.
func (w *world) allDown(silent bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.ids {
		w.hosts[id].down, w.hosts[id].silent = true, silent
	}
}

// TestDialLimits: dials in a minute, at a time, and the time of one.
func TestDialLimits(t *testing.T) {
	for _, tc := range []struct {
		dials  Dials
		most   int // dials within 55 s
		silent bool
	}{
		{Dials{PerMinute: 7}, 7, false},
		{Dials{InFlight: 3}, 3, true},
		{Dials{InFlight: 3, Limit: 10 * time.Second}, 18, true},
		{Dials{}, 60, false},
		{Dials{}, 12, true}, // as many as would fill the pool
	} {
		inWorld(t, 200, Config{Dials: tc.dials}, func(w *world) {
			w.allDown(tc.silent)
			w.start(w.ids[:3]...)
			w.pass(55 * time.Second)
			if n := w.dialCount(); n > tc.most || n < tc.most*2/3 {
				w.t.Errorf("%+v, silent %v: %d dials, want up to %d", tc.dials, tc.silent, n, tc.most)
			}
			w.pass(time.Hour)
			w.checkPace()
		})
	}
}

// TestBreaker: after three rounds in which nobody answered there is a pause, then one trial, and a success ends it.
func TestBreaker(t *testing.T) {
	for _, tc := range []struct {
		cfg    Breaker
		rounds int
		pause  time.Duration
	}{
		{Breaker{}, 3, 2 * time.Minute},
		{Breaker{Rounds: 1, Pause: 10 * time.Minute}, 1, 10 * time.Minute},
	} {
		inWorld(t, 500, Config{Breaker: tc.cfg, Dials: Dials{PerMinute: 1000}}, func(w *world) {
			w.allDown(false)
			w.start()
			w.pass(time.Minute)
			n := w.dialCount()
			if s := w.m.Status(); n != tc.rounds*roundMax || !s.Paused {
				w.t.Fatalf("%d dials in %d rounds, status %+v", n, tc.rounds, s)
			}
			w.pass(tc.pause - time.Minute)
			if w.dialCount() != n {
				w.t.Errorf("%d dials during the pause", w.dialCount()-n)
			}
			w.pass(time.Minute)
			if trial := w.dialCount() - n; trial != w.cfg.Floor || !w.m.Status().Paused {
				w.t.Errorf("%d dials in the trial, status %+v", trial, w.m.Status())
			}
			for _, id := range w.ids {
				w.turn(id, false)
			}
			w.pass(tc.pause)
			if s := w.m.Status(); s.Paused || s.State != Online {
				w.t.Errorf("status %+v", s)
			}
		})
	}
}

// TestBreakerAndHold: a peer under Hold is dialed during the pause, and its success ends that.
func TestBreakerAndHold(t *testing.T) {
	inWorld(t, 500, Config{Breaker: Breaker{Pause: time.Hour}, Dials: Dials{PerMinute: 1000}}, func(w *world) {
		w.allDown(false)
		w.start(w.ids[0])
		w.pass(10 * time.Minute)
		for _, id := range w.ids {
			w.turn(id, false)
		}
		w.pass(time.Minute)
		if s := w.m.Status(); s.Paused || s.Nodes < w.cfg.Floor {
			w.t.Errorf("status %+v", s)
		}
	})
}

// TestBackoff: a peer that fails waits twice as long each time, up to a limit, and up to a quarter more or less.
func TestBackoff(t *testing.T) {
	for _, tc := range []struct {
		name        string
		cfg         Backoff
		held, alone bool
		first, most time.Duration
		least       int // gaps
	}{
		{"pool", Backoff{}, false, false, 5 * time.Second, 30 * time.Minute, 12},
		{"figures", Backoff{First: time.Minute, Max: 4 * time.Minute}, false, false, time.Minute, 4 * time.Minute, 20},
		{"held", Backoff{}, true, false, 5 * time.Second, 2 * time.Minute, 40},
		{"held figure", Backoff{HeldMax: 20 * time.Second}, true, false, 5 * time.Second, 20 * time.Second, 100},
		{"held and alone", Backoff{}, true, true, 5 * time.Second, 30 * time.Second, 100},
		{"alone figure", Backoff{Offline: 10 * time.Second}, true, true, 5 * time.Second, 10 * time.Second, 300},
	} {
		t.Run(tc.name, func(t *testing.T) {
			inWorld(t, 1, Config{Backoff: tc.cfg}, func(w *world) {
				id := w.ids[0]
				w.allDown(false)
				if !tc.alone {
					w.start()
					w.comeIn(Connection{Peer: "somebody", Inbound: true})
				} else {
					w.start()
				}
				if tc.held {
					w.m.Hold(id)
				}
				w.pass(6 * time.Hour)
				gaps := w.gaps(id)
				if len(gaps) < tc.least {
					w.t.Fatalf("%d gaps", len(gaps))
				}
				want := tc.first
				for i, gap := range gaps {
					// The dial itself takes up to 1 s, and a peer of the pool waits for the next round besides.
					slack := time.Second + 150*time.Millisecond
					if !tc.held {
						slack += w.cfg.Refresh + w.cfg.Breaker.Pause
					}
					if gap < want*3/4 || gap > want*5/4+slack {
						w.t.Errorf("gap %d is %v, want about %v", i, gap, want)
					}
					want = min(2*want, tc.most)
				}
				if !slices.ContainsFunc(gaps, func(g time.Duration) bool { return g != gaps[len(gaps)-1] }) {
					w.t.Error("no jitter")
				}
			})
		})
	}
}

// TestBackoffDoesNotForget: one success does not make up for many failures; lasting connections do.
func TestBackoffDoesNotForget(t *testing.T) {
	inWorld(t, 1, Config{}, func(w *world) {
		id := w.ids[0]
		w.comeInBefore(id)
		w.pass(10 * time.Minute)
		w.turn(id, false)
		w.pass(5 * time.Minute)
		if !w.connected(id) {
			w.t.Fatal("not connected")
		}
		w.turn(id, true)
		w.pass(10 * time.Second)
		n := w.count(id)
		w.pass(time.Minute)
		if w.count(id) > n+1 {
			w.t.Errorf("%d dials within a minute after a success of five", w.count(id)-n)
		}
		w.turn(id, false)
		w.pass(4 * time.Hour) // of connection
		w.turn(id, true)
		n = w.count(id)
		w.pass(time.Minute)
		if w.count(id) < n+3 {
			w.t.Errorf("%d dials within a minute after hours of connection", w.count(id)-n)
		}
	})
}

// comeInBefore starts a world with a peer under Hold that is down, and somebody else connected.
func (w *world) comeInBefore(held ...peer.ID) {
	w.allDown(false)
	w.start(held...)
	w.comeIn(Connection{Peer: "somebody", Inbound: true})
}

// TestHangsUp: a peer that ends each connection at once is dialed less and less.
func TestHangsUp(t *testing.T) {
	inWorld(t, 1, Config{}, func(w *world) {
		w.hosts[w.ids[0]].hangsUp = true
		w.start(w.ids[0])
		w.pass(time.Hour)
		if n := w.count(w.ids[0]); n < 10 || n > 60 {
			w.t.Errorf("%d dials in an hour", n)
		}
	})
}

// TestAddresses: an address that failed is left out while the peer has another, and only addresses of one network are dialed at a time.
func TestAddresses(t *testing.T) {
	onion := ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:18141")
	addrs := slicesOf(ipAddr(30, 1), ipAddr(30, 2), onion)
	inWorld(t, 0, Config{}, func(w *world) {
		w.start()
		c := &chooser{m: w.m, now: time.Now(), share: map[string]int{}}
		one := Candidate{ID: "x", Addrs: addrs}
		if g, got := c.group(one); g != "20.30.0.0/16" || len(got) != 2 {
			w.t.Errorf("%s %v", g, got)
		}
		c.share["20.30.0.0/16"] = 4
		if g, got := c.group(one); len(got) != 1 || !got[0].Equal(onion) {
			w.t.Errorf("%s %v", g, got)
		}
		c.share = map[string]int{}
		w.m.memory.failed("x", addrs[:2], false, time.Hour, c.now)
		if g, got := c.group(one); len(got) != 1 || !got[0].Equal(onion) {
			w.t.Errorf("%s %v", g, got)
		}
		w.m.memory.failed("x", addrs[2:], false, time.Hour, c.now)
		if g, _ := c.group(one); g != "" {
			w.t.Errorf("%s though all failed", g)
		}
		if g, _ := c.group(Candidate{ID: "y", Addrs: addrs}); g != "20.30.0.0/16" {
			w.t.Error("what failed for one peer is held against another at the same address")
		}
	})
}

func TestNetgroup(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/1.2.3.4/tcp/5":             "1.2.0.0/16",
		"/ip6/::ffff:1.2.3.4/tcp/5":      "1.2.0.0/16",
		"/ip6/64:ff9b::102:304/tcp/5":    "1.2.0.0/16",
		"/ip6/2001:db8:1:2::3/tcp/5":     "2001:db8::/32",
		"/dns4/seed.example.com/tcp/5":   "example.com",
		"/dns6/a.b.Example.COM./tcp/5":   "example.com",
		"/dnsaddr/localhost/tcp/5":       "localhost",
		"/ip4/127.0.0.1/tcp/5":           "/ip4/127.0.0.1/tcp/5",
		"/ip4/192.168.0.7/tcp/5":         "/ip4/192.168.0.7/tcp/5",
		"/memory/7":                      "/memory/7",
		"/ip4/9.8.7.6/tcp/5/p2p-circuit": "9.8.0.0/16",
	} {
		if got := netgroup(ma.StringCast(text)); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}

func TestTally(t *testing.T) {
	var all tally
	if r := all.rate(); r != 0.25 {
		t.Errorf("with no data %v", r)
	}
	for range 2 * tallied {
		all.note(false)
	}
	if r := all.rate(); r != 0.1 {
		t.Errorf("after failures %v", r)
	}
	for range tallied {
		all.note(true)
	}
	if r := all.rate(); r < 0.95 || r > 1 || len(all.outcomes) != tallied {
		t.Errorf("after successes %v", r)
	}
}

// TestMemoryIsBounded: strangers cannot fill it.
func TestMemoryIsBounded(t *testing.T) {
	m := map[int]*trouble{}
	now := time.Now()
	for i := range maxRemembered + 100 {
		entry(m, i).until = now.Add(time.Duration(i))
	}
	if len(m) != maxRemembered || m[50] != nil || m[100] == nil {
		t.Errorf("%d entries", len(m))
	}
}
