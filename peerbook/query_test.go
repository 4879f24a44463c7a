package peerbook

import (
	"cmp"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// crowded is a book of 200 nodes and wallets; every tenth is banned, every
// tenth removed.
func crowded(t *testing.T) *Book {
	t.Helper()
	b := openOn(t, newStore(), Config{})
	for n := range 200 {
		must(t, b.Put(Record{Key: key(n), Features: identityproto.Features(n % 2 * 3), Addresses: given(Relayed, n)}))
		switch n % 10 {
		case 3:
			must(t, b.Ban(id(n), time.Hour, "spam"))
		case 7:
			must(t, b.Remove(id(n)))
		}
	}
	return b
}

func isNode(r Record) bool { return r.Features == identityproto.FeatureNode }

func TestClosestReallyAre(t *testing.T) {
	b := crowded(t)
	for range 20 {
		var to tarikey.NodeID
		for i := range to {
			to[i] = byte(rand.Uint32())
		}
		for _, keep := range []func(Record) bool{nil, isNode} {
			var want []tarikey.PublicKey // by hand
			for n := range 200 {
				if n%10 != 3 && n%10 != 7 && (keep == nil || n%2 == 1) {
					want = append(want, key(n))
				}
			}
			slices.SortFunc(want, func(x, y tarikey.PublicKey) int {
				nx, ny := x.NodeID(), y.NodeID()
				for i := range to {
					if c := cmp.Compare(nx[i]^to[i], ny[i]^to[i]); c != 0 {
						return c
					}
				}
				return 0
			})
			got := b.Closest(to, 8, keep)
			if len(got) != 8 {
				t.Fatalf("%d records", len(got))
			}
			for i, r := range got {
				if r.Key != want[i] {
					t.Errorf("number %d to %s is %s, want %s", i, to, r.NodeID(), want[i].NodeID())
				}
			}
		}
	}
	if got := b.Closest(key(7).NodeID(), 1000, nil); len(got) != 160 || got[0].Key == key(7) {
		t.Errorf("%d records", len(got))
	}
	if got := b.Closest(key(8).NodeID(), 1, nil); got[0].Key != key(8) {
		t.Error("a peer is not the closest to itself")
	}
}

func TestRandom(t *testing.T) {
	b := crowded(t)
	seen := map[tarikey.PublicKey]int{}
	const rounds, n = 400, 8
	for range rounds {
		got := b.Random(n, isNode)
		if len(got) != n {
			t.Fatalf("%d records", len(got))
		}
		for _, r := range got {
			seen[r.Key]++
			if r.Banned(time.Now()) || !isNode(r) {
				t.Errorf("%+v", r)
			}
		}
	}
	// 60 nodes: 100 less 20 banned and 20 removed. Each is expected 53 times; 10 or 150 times is a chance of one in millions.
	for k, times := range seen {
		if times < 10 || times > 150 {
			t.Errorf("%s came %d times of %d", k, times, rounds)
		}
	}
	if len(seen) != 60 || len(b.Random(0, nil)) != 0 || len(b.Random(1000, nil)) != 160 {
		t.Errorf("%d peers seen", len(seen))
	}
}

func TestResolve(t *testing.T) {
	b := crowded(t)
	k := key(8)
	for _, text := range []string{k.String(), strings.ToUpper(k.String()), k.String()[:20], k.NodeID().String(), k.NodeID().Short()} {
		if r, err := b.Resolve(text); err != nil || r.Key != k {
			t.Errorf("Resolve(%q): %v", text, err)
		}
	}
	for text, want := range map[string]error{
		"": ErrBadPeer, "xyz": ErrBadPeer, k.String() + "0": ErrBadPeer,
		key(7).String(): ErrNoPeer, key(7).NodeID().String(): ErrNoPeer, key(1000).String(): ErrNoPeer,
	} {
		if _, err := b.Resolve(text); !errors.Is(err, want) {
			t.Errorf("Resolve(%q): %v, want %v", text, err, want)
		}
	}
	many := 0
	for _, digit := range "0123456789abcdef" {
		if _, err := b.Resolve(string(digit)); errors.Is(err, ErrManyPeers) {
			many++
		}
	}
	if many == 0 {
		t.Error("one digit names one of 180 peers")
	}
	if r, ok := b.GetNode(k.NodeID()); !ok || r.Key != k {
		t.Error("GetNode does not find it")
	}
	for _, n := range []int{7, 1000} {
		if _, ok := b.GetNode(key(n).NodeID()); ok {
			t.Errorf("GetNode finds peer %d", n)
		}
	}
}

func TestReached(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	must(t, b.Put(Record{Key: key(1), Addresses: given(Relayed, 1)}))
	must(t, b.Claimed(unsigned(2, 2), Meeting{})) // came to us
	must(t, b.Claimed(unsigned(3, 3), Meeting{Dialed: addr(3)}))
	if never := b.List(func(r Record) bool { return !r.Reached() }); len(never) != 2 || never[0].Key == key(3) || never[1].Key == key(3) {
		t.Errorf("never reached: %+v", never)
	}
}
