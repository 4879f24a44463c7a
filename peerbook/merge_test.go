package peerbook

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

var now = time.UnixMilli(1_700_000_000_000)

// given builds addresses from a compact form.
func given(source Source, ns ...int) (all []Address) {
	for _, n := range ns {
		all = append(all, Address{Addr: addr(n), Source: source})
	}
	return all
}

func TestMergeWhichAddressesStay(t *testing.T) {
	for _, c := range []struct {
		name     string
		old      []Address
		oldClaim int64 // 0: none
		news     []Address
		newClaim int64
		want     []int
	}{
		{"unknown peer", nil, 0, given(Claimed, 1, 2), 5, []int{1, 2}},
		{"no claims: all", given(Relayed, 1), 0, given(Relayed, 2), 0, []int{1, 2}},
		{"a first claim: all", given(Relayed, 1), 0, given(Claimed, 2), 5, []int{2, 1}},
		{"a newer claim replaces", given(Claimed, 1, 2), 5, given(Claimed, 2, 3), 6, []int{2, 3}},
		{"but not what is configured", append(given(Configured, 9), given(Claimed, 1)...), 5, given(Claimed, 2), 6, []int{9, 2}},
		{"of the same second: all", given(Claimed, 1), 5, given(Claimed, 2), 5, []int{1, 2}},
		{"an older claim adds nothing", given(Claimed, 1), 5, given(Claimed, 2), 4, []int{1}},
		{"a newer claim of nothing usable", given(Claimed, 1), 5, nil, 6, []int{1}},
		{"ten at most", given(Claimed, 1, 2, 3, 4, 5, 6), 0, given(Claimed, 7, 8, 9, 10, 11, 12), 0, []int{1, 2, 3, 4, 5, 6, 7, 8, 9, 10}},
		{"twice the same", nil, 0, given(Claimed, 1, 1, 2), 5, []int{1, 2}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var old *Record
			if c.old != nil {
				old = &Record{Key: key(1), Addresses: c.old}
				if c.oldClaim != 0 {
					old.Claim = claim(t, 1, c.oldClaim, 1)
				}
			}
			news := Record{Key: key(1), Addresses: c.news}
			if c.newClaim != 0 {
				news.Claim = claim(t, 1, c.newClaim, 2)
			}
			sameAddrs(t, *merge(old, news, now), c.want...)
		})
	}
}

func TestMergeSourcesAndStatistics(t *testing.T) {
	failed := Address{Addr: addr(1), Source: Claimed, LastFail: at(1000), Failure: "refused", Attempts: 2, Failures: 2}
	old := &Record{Key: key(1), Addresses: []Address{failed}}

	r := merge(old, Record{Key: key(1), Addresses: given(Relayed, 1)}, now)
	if !reflect.DeepEqual(r.Addresses[0], failed) {
		t.Errorf("a relayed address changed %+v to %+v", failed, r.Addresses[0])
	}
	r = merge(old, Record{Key: key(1), Addresses: given(Configured, 1)}, now)
	if r.Addresses[0].Source != Configured || r.Addresses[0].Failures != 2 {
		t.Errorf("a configured address: %+v", r.Addresses[0])
	}
	seen := Address{Addr: addr(1), Source: Relayed, LastSeen: at(2000), Attempts: 3}
	r = merge(old, Record{Key: key(1), Addresses: []Address{seen}}, now)
	if got := r.Addresses[0]; got.Failures != 0 || !got.LastSeen.Equal(at(2000)) || got.Source != Claimed {
		t.Errorf("newer statistics: %+v", got)
	}
	stale := Address{Addr: addr(1), LastSeen: at(500), Attempts: 3}
	r = merge(old, Record{Key: key(1), Addresses: []Address{stale}}, now)
	if got := r.Addresses[0]; got.Failures != 2 {
		t.Errorf("older statistics: %+v", got)
	}
}

func TestMergeClaimedFields(t *testing.T) {
	first := claim(t, 1, 10, 1)
	r := merge(nil, Record{Key: key(1), Claim: first, Features: 3, Protocols: first.Protocols, UserAgent: "new", Network: "igor"}, now)
	older := claim(t, 1, 9, 2)
	r2 := merge(r, Record{Key: key(1), Claim: older, Features: 0, UserAgent: "old", Network: "localnet", LastSeen: now}, now)
	if r2.UserAgent != "new" || r2.Network != "igor" || r2.Features != 3 || r2.Claim.Signature.UpdatedAt.Unix() != 10 {
		t.Errorf("an older claim was believed: %+v", r2)
	}
	if !r2.LastSeen.Equal(now) {
		t.Errorf("met at %v, want %v", r2.LastSeen, now)
	}
	wallet := unsigned(1, 2)
	r3 := merge(r, Record{Key: key(1), Claim: wallet, Features: 0, UserAgent: "seed era"}, now)
	if r3.Claim == nil || r3.Claim.Signature.UpdatedAt.Unix() != 10 || r3.UserAgent != "seed era" || r3.Features != identityproto.FeatureClient {
		t.Errorf("an unsigned claim: %+v", r3)
	}
	r4 := merge(r, Record{Key: key(1), Seed: true}, now)
	if !r4.Seed || r4.UserAgent != "new" || r4.Features != 3 || r4.Network != "igor" || len(first.Protocols) == 0 || !slices.Equal(r4.Protocols, first.Protocols) {
		t.Errorf("news of nothing wiped something out: %+v", r4)
	}
}

func TestRemovedPeersAndHearsay(t *testing.T) {
	gone := &Record{Key: key(1), Removed: at(5), Ban: Ban{Generation: 3}}
	if r := merge(gone, Record{Key: key(1), Addresses: given(Relayed, 1), Claim: claim(t, 1, 1, 1)}, now); r != gone {
		t.Errorf("hearsay brought a removed peer back: %+v", r)
	}
	for name, news := range map[string]Record{
		"configured": {Key: key(1), Addresses: given(Configured, 1)},
		"a seed":     {Key: key(1), Seed: true},
		"met":        {Key: key(1), LastSeen: now},
	} {
		if r := merge(gone, news, now); !r.Removed.IsZero() || r.Ban.Generation != 3 {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestBestAddressFirst(t *testing.T) {
	got := sortAddresses([]Address{
		{Addr: addr(1), LastFail: at(900), Failures: 1},
		{Addr: addr(2), LastFail: at(100), Failures: 1},
		{Addr: addr(3), Source: Claimed},
		{Addr: addr(4), Source: Configured},
		{Addr: addr(5), LastSeen: at(100)},
		{Addr: addr(6), LastSeen: at(200), LastFail: at(150)},
		{Addr: addr(7), LastSeen: at(300), LastFail: at(800)},
	}, now)
	sameAddrs(t, Record{Addresses: got}, 6, 5, 4, 3, 7, 2, 1)
}
