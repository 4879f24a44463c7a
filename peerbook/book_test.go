package peerbook

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

func TestClaimed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{})
		c := claim(t, 1, time.Now().Unix(), 1, 2)
		c2 := *c
		c2.Addresses = append(slices.Clone(c.Addresses), mustAddr("/ip4/10.0.0.1/tcp/1"))
		must(t, c2.Sign(secretKey(1), time.Now()))
		must(t, b.Claimed(&c2, Meeting{Network: "igor", Dialed: addr(2), Took: time.Second}))

		r := get(t, b, 1)
		sameAddrs(t, r, 2, 1) // the private one is not kept
		if !r.LastSeen.Equal(time.Now()) || !r.AddedAt.Equal(time.Now()) || r.Network != "igor" || r.UserAgent != "test/1" {
			t.Errorf("record %+v", r)
		}
		if a := r.Addresses[0]; a.Attempts != 1 || a.Took != time.Second || !a.LastSeen.Equal(time.Now()) || a.Source != Claimed {
			t.Errorf("the address that was dialed: %+v", a)
		}
		if len(r.Claim.Addresses) != 3 || r.Claim.VerifySignature(time.Now()) != nil {
			t.Errorf("the claim as it was signed: %+v", r.Claim)
		}
		if r.NodeID() != key(1).NodeID() || r.PeerID() != id(1) {
			t.Error("the ids are not the key's")
		}

		time.Sleep(time.Minute)
		must(t, b.Claimed(unsigned(2, 3), Meeting{Network: "stibbons"}))
		if r := get(t, b, 2); r.Claim != nil || !r.Addresses[0].LastSeen.IsZero() {
			t.Errorf("an unsigned claim of a peer that came to us: %+v", r)
		}
		test := unsigned(3)
		test.Addresses = append(test.Addresses, mustAddr("/memory/7"))
		must(t, b.Claimed(test, Meeting{Rules: identityproto.Rules{AllowTestAddresses: true}}))
		if r := get(t, b, 3); len(r.Addresses) != 1 {
			t.Errorf("test addresses: %+v", r)
		}
		if b.Claimed(nil, Meeting{}) == nil || b.Claimed(&identityproto.Claim{}, Meeting{}) == nil || b.Put(Record{}) == nil {
			t.Error("a record without a key")
		}

		want := b.List(nil)
		must(t, b.Close())
		if got := openOn(t, store, Config{}).List(nil); !reflect.DeepEqual(got, want) {
			t.Errorf("after a restart\ngot  %+v\nwant %+v", got, want)
		}
	})
}

func TestDialed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Datastore: newStore()}
		b := openOn(t, store, Config{})
		must(t, b.Put(Record{Key: key(1), Addresses: given(Configured, 1, 2)}))
		syncs := store.syncs
		for range 3 {
			time.Sleep(time.Second)
			must(t, b.Dialed(id(1), addr(1), 0, errors.New("refused\nby peer")))
		}
		r := get(t, b, 1)
		sameAddrs(t, r, 2, 1)
		if a := r.Addresses[1]; a.Failures != 3 || a.Attempts != 3 || a.Failure != "refused by peer" || !a.LastFail.Equal(time.Now()) {
			t.Errorf("after three failures: %+v", a)
		}
		must(t, b.Dialed(id(1), addr(1), 20*time.Millisecond, nil))
		r = get(t, b, 1)
		sameAddrs(t, r, 1, 2)
		if a := r.Addresses[0]; a.Failures != 0 || a.Attempts != 4 || a.Failure != "" || a.Took != 20*time.Millisecond {
			t.Errorf("after a success: %+v", a)
		}
		must(t, b.Dialed(id(2), addr(1), 0, nil))
		must(t, b.Dialed(id(1), addr(9), 0, nil))
		must(t, b.Dialed(id(1), nil, 0, nil))
		if _, ok := b.Get(id(2)); ok || len(get(t, b, 1).Addresses) != 2 {
			t.Error("a dial made something known")
		}
		if store.syncs != syncs {
			t.Errorf("statistics were synced %d times", store.syncs-syncs)
		}
		if err := b.Dialed("no Tari peer", addr(1), 0, nil); err == nil {
			t.Error("no error for another kind of peer")
		}
		must(t, b.Close())
		if got := get(t, openOn(t, store, Config{}), 1); !reflect.DeepEqual(got, r) {
			t.Errorf("after a restart\ngot  %+v\nwant %+v", got, r)
		}
	})
}

func TestRemove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{})
		for n := range 3 {
			must(t, b.Claimed(unsigned(n, n), Meeting{}))
		}
		must(t, b.Ban(id(1), 48*time.Hour, "spam"))
		for n := range 2 {
			must(t, b.Remove(id(n)))
			must(t, b.Remove(id(n)))
		}
		must(t, b.Remove(id(7)))
		must(t, b.Put(Record{Key: key(0), Addresses: given(Relayed, 5)}))
		if len(b.List(nil)) != 1 || b.Stats() != (Stats{Peers: 1, Welcome: 1, Banned: 1}) {
			t.Errorf("%d peers, %+v", len(b.List(nil)), b.Stats())
		}
		if _, banned := b.Banned(id(1)); !banned {
			t.Error("Remove lifted a ban")
		}
		must(t, b.Close())
		b = openOn(t, store, Config{})
		if b.Stats() != (Stats{Peers: 1, Welcome: 1, Banned: 1}) {
			t.Errorf("after a restart: %+v", b.Stats())
		}
		must(t, b.Claimed(unsigned(1, 1), Meeting{})) // comes back
		must(t, b.Remove(id(1)))
		must(t, b.Close())

		time.Sleep(25 * time.Hour)
		b = openOn(t, store, Config{})
		if b.peers[key(0)] != nil || b.peers[key(1)] == nil {
			t.Error("after a day a removed record goes, but not while it is banned")
		}
		must(t, b.Close())
		time.Sleep(24 * time.Hour)
		openOn(t, store, Config{})
		if keys := storedKeys(t, store); len(keys) != 2 { // the schema and one peer
			t.Errorf("the store still has %q", keys)
		}
	})
}

func storedKeys(t *testing.T, store ds.Datastore) (keys []string) {
	t.Helper()
	results, err := store.Query(t.Context(), query.Query{KeysOnly: true})
	must(t, err)
	all, err := results.Rest()
	must(t, err)
	for _, e := range all {
		keys = append(keys, e.Key)
	}
	return keys
}

func TestCorruptRecordsAreSetAside(t *testing.T) {
	store := newStore()
	b := openOn(t, store, Config{})
	for n := range 3 {
		must(t, b.Claimed(unsigned(n, n), Meeting{}))
	}
	must(t, b.Close())
	ctx := t.Context()
	bad := map[ds.Key]string{
		peerKey(key(0)):                                 "\x01\x00\x00\x00\x00{}",
		peerPrefix.ChildString("zz/deep"):               "what is this",
		peerPrefix.ChildString(strings.Repeat("0", 64)): "",
	}
	for k, value := range bad {
		must(t, store.Put(ctx, k, []byte(value)))
	}
	b = openOn(t, store, Config{})
	if b.Stats() != (Stats{Peers: 2, Welcome: 2, Corrupt: 3}) {
		t.Errorf("%+v", b.Stats())
	}
	for k, value := range bad {
		if got, err := store.Get(ctx, asideKey(k.String())); err != nil || string(got) != value {
			t.Errorf("%s was set aside as %q, %v", k, got, err)
		}
	}
	must(t, b.Claimed(unsigned(0, 0), Meeting{}))
	must(t, b.Close())
	if got := openOn(t, store, Config{}).Stats(); got != (Stats{Peers: 3, Welcome: 3}) {
		t.Errorf("the next time: %+v", got)
	}
}

func TestListIsOrderedAndFiltered(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	for n := range 20 {
		must(t, b.Put(Record{Key: key(n), Seed: n%2 == 0}))
	}
	all := b.List(nil)
	if len(all) != 20 || !slices.IsSortedFunc(all, func(x, y Record) int { return strings.Compare(x.Key.String(), y.Key.String()) }) {
		t.Error("List is not all, in order")
	}
	if seeds := b.List(func(r Record) bool { return r.Seed }); len(seeds) != 10 {
		t.Errorf("%d seeds", len(seeds))
	}
	for _, text := range []string{key(3).String(), strings.ToUpper(key(3).String()[:20]), key(3).NodeID().String(), key(3).NodeID().Short()} {
		if found := b.Find(text); len(found) != 1 || found[0].Key != key(3) {
			t.Errorf("Find(%q) = %d records", text, len(found))
		}
	}
	if len(b.Find("")) != 20 || len(b.Find("x")) != 0 {
		t.Error("Find takes no prefix for all, and nonsense for nothing")
	}
}

func TestRoomForPeers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{MaxPeers: 10})
		add := func(r Record) {
			time.Sleep(time.Second)
			must(t, b.Put(r))
		}
		add(Record{Key: key(0), Seed: true})
		add(Record{Key: key(1), Addresses: given(Configured, 1)})
		add(Record{Key: key(2)})
		must(t, b.Ban(id(2), time.Hour, "spam"))
		add(Record{Key: key(3), Addresses: []Address{{Addr: addr(3), LastSeen: time.Now(), Attempts: 1}}})
		for n := 4; n < 30; n++ {
			add(Record{Key: key(n), Addresses: given(Relayed, n)})
		}
		for n, want := range map[int]bool{0: true, 1: true, 2: true, 3: true, 4: false, 23: false, 24: true, 29: true} {
			if _, ok := b.Get(id(n)); ok != want {
				t.Errorf("peer %d in the book: %v, want %v", n, ok, want)
			}
		}
		if got := b.Stats().Peers; got != 10 {
			t.Errorf("%d peers", got)
		}
		must(t, b.Close())
		if got := openOn(t, store, Config{}).Stats().Peers; got != 10 {
			t.Errorf("%d peers on disk", got)
		}
	})
}

func TestClosed(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	must(t, b.Put(Record{Key: key(1)}))
	must(t, b.Close())
	must(t, b.Close())
	for name, err := range map[string]error{
		"Put": b.Put(Record{Key: key(2)}), "Claimed": b.Claimed(unsigned(1), Meeting{}), "Ban": b.Ban(id(1), time.Hour, ""),
		"Unban": b.Unban(id(1)), "Remove": b.Remove(id(1)), "Dialed": b.Dialed(id(1), addr(1), 0, nil),
	} {
		if !errors.Is(err, ErrClosed) {
			t.Errorf("%s: %v", name, err)
		}
	}
	get(t, b, 1)
}

func TestLimitsOfRecords(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	huge := unsigned(1, 1)
	huge.UserAgent = strings.Repeat("x", maxRecord)
	if err := b.Claimed(huge, Meeting{}); err == nil {
		t.Error("wrote a record that no start would read")
	}
	if err := b.Put(Record{Key: key(1), Addresses: []Address{{}}}); err == nil {
		t.Error("wrote an address of nothing")
	}
	if _, ok := b.Get(id(1)); ok {
		t.Error("a refused record is in the book")
	}
}

func TestNotATariPeer(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	other := peer.ID("another kind of peer")
	if b.Ban(other, time.Hour, "") == nil || b.Unban(other) == nil || b.Remove(other) == nil {
		t.Error("no error for another kind of peer")
	}
	if _, ok := b.Get(other); ok || !b.InterceptPeerDial(other) {
		t.Error("another kind of peer is known")
	}
}
