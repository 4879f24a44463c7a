package peerbook

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestNetgroup(t *testing.T) {
	const onion = "vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd"
	service := Netgroup(mustAddr("/onion3/" + onion + ":1"))
	for text, want := range map[string]string{
		"/ip4/80.1.2.3/tcp/1":                    "ip4:80.1",
		"/ip4/80.1.200.3/tcp/2":                  "ip4:80.1",
		"/ip6/::ffff:80.1.2.3/tcp/1":             "ip4:80.1",
		"/ip6/2001:db8:1::1/tcp/1":               "ip6:2001:0db8",
		"/ip6/2001:db8:2::1/tcp/1":               "ip6:2001:0db8",
		"/dns4/a.Seeds.example.com/tcp/1":        "dns:example.com",
		"/dns6/localhost/tcp/1":                  "dns:localhost",
		"/dns4/b.example.com./tcp/1":             "dns:example.com",
		"/onion3/" + onion + ":18141":            service,
		"/memory/7":                              "other:/memory/7",
		"/unix/" + onion:                         "other:/unix/" + onion,
		"/p2p-circuit":                           "other:/p2p-circuit",
		"/onion/aaimaq4ygg2iegci:80/p2p-circuit": "other:/onion/aaimaq4ygg2iegci:80/p2p-circuit",
	} {
		if got := Netgroup(mustAddr(text)); got != want {
			t.Errorf("%s is in %s, want %s", text, got, want)
		}
	}
	if Netgroup(nil) == "" || len(service) != len("onion3:")+70 {
		t.Errorf("no address: %q, a service: %q", Netgroup(nil), service)
	}
}

func TestQuality(t *testing.T) {
	seen := now.Add(-time.Minute)
	for _, c := range []struct {
		a     Address
		want  int
		retry time.Duration // after the failure; 0: at once
	}{
		{Address{}, 50, 0},
		{Address{LastSeen: now}, 1000, 0},
		{Address{LastSeen: now, Took: 250 * time.Millisecond}, 998, 0},
		{Address{LastSeen: now, Took: time.Hour}, 900, 0},
		{Address{LastSeen: seen}, 940, 0},
		{Address{LastSeen: now.Add(time.Hour)}, 1000, 0},
		{Address{LastSeen: now.Add(-1000 * time.Hour)}, 200, 0},
		{Address{LastFail: now, Failures: 1}, 49, 30 * time.Second},
		{Address{LastFail: now, Failures: 2}, 48, time.Minute},
		{Address{LastFail: now, Failures: 4, LastSeen: seen}, 46, 4 * time.Minute},
		{Address{LastFail: now, Failures: 10}, 40, 15360 * time.Second},
		{Address{LastFail: now, Failures: 11}, 39, 6 * time.Hour},
		{Address{LastFail: now, Failures: 1 << 31}, 0, 6 * time.Hour},
		{Address{LastFail: now}, 49, 30 * time.Second}, // of an older book
	} {
		if got := c.a.Quality(now); got != c.want {
			t.Errorf("%+v has quality %d, want %d", c.a, got, c.want)
		}
		if got := c.a.RetryAt(); c.retry == 0 && !got.IsZero() || c.retry != 0 && got.Sub(now) != c.retry {
			t.Errorf("%+v can be dialed again at %v, want after %v", c.a, got, c.retry)
		}
	}
}

func numbers(candidates []Candidate) map[tarikey.PublicKey]bool {
	out := map[tarikey.PublicKey]bool{}
	for _, c := range candidates {
		out[c.Key] = true
	}
	return out
}

func TestCandidates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openOn(t, newStore(), Config{})
		wide := func(n int) ma.Multiaddr { return mustAddr(fmt.Sprintf("/ip4/81.%d.0.1/tcp/1", n)) }
		for n := range 8 {
			must(t, b.Put(Record{Key: key(n), Addresses: []Address{{Addr: wide(n), Source: Relayed}}}))
		}
		must(t, b.Dialed(id(5), wide(5), time.Millisecond, nil))
		must(t, b.Dialed(id(6), wide(6), 0, errors.New("refused")))
		must(t, b.Ban(id(1), time.Hour, "spam"))
		must(t, b.Remove(id(2)))
		must(t, b.Put(Record{Key: key(8)})) // has no address

		got := b.Candidates(Wanted{})
		if len(got) != 5 || got[0].Key != key(5) || got[0].Quality != 1000 || len(got[0].Dial) != 1 {
			t.Errorf("%d candidates, %+v", len(got), got)
		}
		if got := b.Candidates(Wanted{Waiting: true}); len(got) != 6 || got[5].Key != key(6) || got[5].Dial[0].RetryAt().IsZero() {
			t.Errorf("with those that wait: %+v", got)
		}
		time.Sleep(30 * time.Second)
		if got := numbers(b.Candidates(Wanted{})); len(got) != 6 || !got[key(6)] {
			t.Errorf("after the wait: %v", got)
		}
		must(t, b.Dialed(id(6), wide(6), 0, errors.New("refused again")))
		time.Sleep(59 * time.Second)
		if got := numbers(b.Candidates(Wanted{})); got[key(6)] {
			t.Error("the second wait is not longer than the first")
		}
		if got := b.Candidates(Wanted{Max: 2}); len(got) != 2 || got[0].Key != key(5) {
			t.Errorf("the best two: %+v", got)
		}
		only := Wanted{Keep: func(r Record) bool { return r.Key != key(5) }, Dialable: func(a ma.Multiaddr) bool { return !a.Equal(wide(0)) }}
		if got := numbers(b.Candidates(only)); len(got) != 3 || got[key(0)] || got[key(5)] {
			t.Errorf("filtered: %v", got)
		}
	})
}

// An address that always fails has no quality left, and is dialed again all the same.
func TestCandidateOfLastResort(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	failed := Address{Addr: addr(1), Source: Claimed, LastFail: time.Now().Add(-7 * time.Hour), Attempts: 60, Failures: 60}
	must(t, b.Put(Record{Key: key(1), Addresses: []Address{failed}}))
	if got := b.Candidates(Wanted{}); len(got) != 1 || got[0].Quality != 0 {
		t.Errorf("candidates %+v", got)
	}
}

// Whoever owns one network gets four places, however many peers and addresses
// it says it has.
func TestCandidatesOfOneNetgroup(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	for n := range 50 {
		must(t, b.Put(Record{Key: key(n), Addresses: given(Relayed, 2*n, 2*n+1)})) // all in 80.1
	}
	elsewhere := mustAddr("/ip6/2a01:4f8::1/tcp/1")
	must(t, b.Put(Record{Key: key(100), Addresses: []Address{{Addr: elsewhere, Source: Relayed}}}))
	// One foot in the full network, one outside of it.
	must(t, b.Put(Record{Key: key(101), Addresses: []Address{{Addr: addr(1)}, {Addr: mustAddr("/ip4/99.9.9.9/tcp/1")}}}))
	must(t, b.Put(Record{Key: key(102), Addresses: given(Relayed, 3)}))
	must(t, b.Dialed(id(102), addr(3), 0, nil)) // the one that was reached has the first place
	for range 20 {
		got := b.Candidates(Wanted{})
		in := 0
		for _, c := range got {
			for _, a := range c.Dial {
				if Netgroup(a.Addr) == "ip4:80.1" {
					in++
					break
				}
			}
		}
		if in != MaxPerNetgroup || !numbers(got)[key(100)] || got[0].Key != key(102) {
			t.Fatalf("%d candidates of one network in %d", in, len(got))
		}
	}
	if got := b.Candidates(Wanted{Taken: addrs(1, 2, 3)}); len(got) != 2 {
		t.Errorf("%d candidates with three places taken", len(got))
	}
	if got := b.Candidates(Wanted{Taken: addrs(1, 2, 3, 4, 5)}); len(got) != 1 || got[0].Key != key(100) {
		t.Errorf("%d candidates with all places taken", len(got))
	}
	if got := b.Candidates(Wanted{PerNetgroup: -1}); len(got) != 53 {
		t.Errorf("%d candidates without a limit", len(got))
	}
}
