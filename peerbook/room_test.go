package peerbook

import (
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// in is an address in the nth netgroup.
func in(group, n int) []Address {
	return []Address{{Addr: ma.StringCast(fmt.Sprintf("/ip4/90.%d.%d.%d/tcp/1", group, n/250, n%250)), Source: Relayed}}
}

func TestWhoStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		connected := map[peer.ID]bool{id(5): true, id(1005): true}
		b := openOn(t, store, Config{MaxPeers: 100, Connected: func(p peer.ID) bool { return connected[p] }})
		must(t, b.Put(Record{Key: key(0), Seed: true}))
		must(t, b.Protect(id(1), true))
		must(t, b.Allow(id(2), true))
		must(t, b.Put(Record{Key: key(3), Addresses: given(Configured, 3)}))
		must(t, b.Ban(id(4), 1000*time.Hour, "spam"))
		must(t, b.Put(Record{Key: key(5), Addresses: in(0, 5)})) // connected, though never seen
		must(t, b.Put(Record{Key: key(6), Addresses: in(1, 6)})) // where the flood will come from, but reached
		must(t, b.Dialed(id(6), in(1, 6)[0].Addr, 0, nil))
		must(t, b.Put(Record{Key: key(7), Addresses: in(0, 7)}))
		must(t, b.Remove(id(7)))
		must(t, b.Put(Record{Key: key(8)})) // nothing at all is known of it
		must(t, b.Ban(id(9), time.Hour, "short"))
		time.Sleep(2 * time.Hour)
		for n := range 400 { // a flood
			time.Sleep(time.Second)
			must(t, b.Put(Record{Key: key(1000 + n), Addresses: in(1, n)}))
		}
		for n, want := range []bool{true, true, true, true, true, true, true, true, false, false} {
			if got := b.peers[key(n)] != nil; got != want {
				t.Errorf("peer %d kept: %v, want %v", n, got, want)
			}
		}
		if b.peers[key(1005)] == nil || b.peers[key(1004)] != nil || len(b.peers) > 100 || len(b.nodes) != len(b.peers) {
			t.Errorf("%d records, %d node ids", len(b.peers), len(b.nodes))
		}
		must(t, b.Protect(id(1), false))
		connected = nil
		for n := range 400 {
			must(t, b.Put(Record{Key: key(3000 + n), Addresses: in(2, n)}))
		}
		if b.peers[key(1)] != nil || b.peers[key(1005)] != nil {
			t.Error("neither protected nor connected any more, and still kept")
		}
	})
}

// A flood from one network pushes out itself, not those who were there.
func TestFloodFromOneNetwork(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := openOn(t, newStore(), Config{MaxPeers: 200})
		const honest = 100
		for n := range honest {
			must(t, b.Put(Record{Key: key(n), Addresses: in(n%50, n)}))
		}
		for n := range 600 {
			time.Sleep(time.Second)
			must(t, b.Put(Record{Key: key(1000 + n), Addresses: in(200+n%2, n)}))
		}
		left := 0
		for n := range honest {
			if _, ok := b.Get(id(n)); ok {
				left++
			}
		}
		if left != honest {
			t.Errorf("%d of %d honest peers are left", left, honest)
		}
		if n := b.Stats().Peers; n < 190 || n > 200 {
			t.Errorf("%d peers", n)
		}
	})
}

func TestCollect(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{MaxPeers: 10})
		for n := range 5 {
			must(t, b.Put(Record{Key: key(n), Addresses: in(n, n)}))
		}
		must(t, b.Ban(id(1), 30*time.Hour, "spam"))
		for n := range 3 {
			must(t, b.Remove(id(n)))
		}
		collect := func(want int) {
			t.Helper()
			if n, err := b.Collect(); n != want || err != nil {
				t.Errorf("%d records collected, %v; want %d", n, err, want)
			}
		}
		collect(0)
		time.Sleep(24*time.Hour + time.Second)
		collect(2)
		time.Sleep(6 * time.Hour)
		collect(1)
		if keys := storedKeys(t, store); len(keys) != 3 {
			t.Errorf("the store has %q", keys)
		}
		for n := range 12 { // seeds cannot be refused; when they are no longer, there are too many
			must(t, b.Put(Record{Key: key(100 + n), Seed: true}))
		}
		if got := b.Stats().Peers; got != 12 {
			t.Errorf("%d peers: the seeds, and none of those that can go", got)
		}
		must(t, b.Close())
		if _, err := b.Collect(); !errors.Is(err, ErrClosed) {
			t.Errorf("Collect: %v", err)
		}
	})
}
