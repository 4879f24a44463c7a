package peersync

import (
	"errors"
	"maps"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// keys are those of the peers in an answer.
func keys(a Answer) map[tarikey.PublicKey]bool {
	out := make(map[tarikey.PublicKey]bool)
	for _, p := range a.Peers {
		out[p.Claim.Key] = true
	}
	return out
}

// TestWhatIsTold: what a server passes on, and to whom.
func TestWhatIsTold(t *testing.T) {
	node := signed(t, identityproto.FeatureNode, numbered(1), numbered(2))
	onion := signed(t, identityproto.FeatureNode, "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234")
	client := signed(t, identityproto.FeatureClient, numbered(3))
	asks := newKey(t)
	unsigned := signed(t, identityproto.FeatureNode, numbered(4))
	unsigned.Signature = nil
	all := from(
		node, onion, client, unsigned, nil,
		signed(t, identityproto.FeatureNode),                                          // nowhere
		signed(t, identityproto.FeatureNode, numbered(5), "/ip4/10.0.0.1/tcp/1"),      // internal, in part
		signed(t, identityproto.FeatureNode, numbered(6), "/dns4/a_b.com/tcp/1"),      // a name that is no host name
		signed(t, identityproto.FeatureNode, "/ip4/169.254.169.254/tcp/80"),           // internal
		signed(t, identityproto.FeatureNode, numbered(7), numbered(7)+"/p2p-circuit"), // of no form of a claim
		signedAt(t, asks, time.Now(), identityproto.FeatureNode, numbered(8)),         // who asks
	)
	h := host(t, tari.Config{Key: asks})
	session := served(t, h, Method(all))
	for _, c := range []struct {
		query Query
		want  []*identityproto.Claim
	}{
		{Query{}, []*identityproto.Claim{node, onion}},
		{Query{Clients: true}, []*identityproto.Claim{node, onion, client}},
		{Query{Max: 1}, []*identityproto.Claim{node}},
	} {
		got, err := Ask(t.Context(), session, c.query)
		if err != nil || len(got.Peers) != len(c.want) || got.Items != len(c.want) || got.Invalid != nil {
			t.Fatalf("%+v: %+v, %v", c.query, got, err)
		}
		for i, p := range got.Peers {
			w := c.want[i]
			if p.Claim.Key != w.Key || p.Claim.Features != w.Features || !slices.EqualFunc(p.Claim.Addresses, w.Addresses, ma.Multiaddr.Equal) ||
				!slices.EqualFunc(p.Addrs, w.Addresses, ma.Multiaddr.Equal) || p.Claim.VerifySignature(time.Now()) != nil {
				t.Errorf("%+v: told %+v of %+v", c.query, p.Claim, w)
			}
		}
	}
}

// TestCaps: 500 at most, whatever is asked for.
func TestCaps(t *testing.T) {
	var claims []*identityproto.Claim
	for i := range 510 {
		claims = append(claims, signed(t, identityproto.FeatureNode, numbered(i)))
	}
	h := host(t, tari.Config{})
	session := served(t, h, Method(from(claims...)))
	for asked, want := range map[int]int{0: 500, 3: 3, 10_000: 500} {
		if got, err := Ask(t.Context(), session, Query{Max: asked}); err != nil || len(got.Peers) != want || len(keys(got)) != want {
			t.Errorf("%d of %d, %v", len(got.Peers), want, err)
		}
	}
	few := from(claims...)
	few.MaxPeers = 7
	items := 0
	for _, err := range getPeers.Call(t.Context(), served(t, h, Method(few)), &dhtproto.GetPeersRequest{N: 1 << 31, MaxClaims: 1, MaxAddressesPerClaim: 1}) {
		if err != nil {
			t.Fatal(err)
		}
		items++
	}
	if items != 7 {
		t.Errorf("%d items of 7", items)
	}
}

// TestRequests: what is refused, and what a small limit leaves out.
func TestRequests(t *testing.T) {
	session := served(t, host(t, tari.Config{}), Method(from(signed(t, identityproto.FeatureNode, numbered(1), numbered(2)))))
	for _, c := range []struct {
		claims, addresses uint32
		items             int
		code              rpc.Code
	}{{0, 5, 0, rpc.BadRequest}, {5, 0, 0, rpc.BadRequest}, {0, 0, 0, rpc.BadRequest}, {1, 1, 0, rpc.OK}, {1, 2, 1, rpc.OK}} {
		items, code := 0, rpc.OK
		for _, err := range getPeers.Call(t.Context(), session, &dhtproto.GetPeersRequest{MaxClaims: c.claims, MaxAddressesPerClaim: c.addresses}) {
			if code = rpc.CodeOf(err); err == nil {
				items++
			}
		}
		if items != c.items || code != c.code {
			t.Errorf("%+v: %d items, %v", c, items, code)
		}
	}
}

// TestTestAddresses: internal addresses are passed on and taken where both sides say so.
func TestTestAddresses(t *testing.T) {
	claim := signed(t, identityproto.FeatureNode, "/ip4/127.0.0.1/tcp/1", numbered(1))
	open := from(claim)
	open.AllowTestAddresses = true
	session := served(t, host(t, tari.Config{}), Method(open))
	for allow, want := range map[bool]int{false: 1, true: 2} {
		got, err := Ask(t.Context(), session, Query{AllowTestAddresses: allow})
		if err != nil || len(got.Peers) != 1 || len(got.Peers[0].Addrs) != want || len(got.Peers[0].Claim.Addresses) != 2 {
			t.Errorf("allowed %v: %+v, %v", allow, got, err)
		}
	}
}

// TestFaults: what does not hold is counted, and the rest of the answer is taken.
func TestFaults(t *testing.T) {
	old, key := time.Now().Add(-time.Hour), newKey(t)
	two := itemOf(signedAt(t, key, old, identityproto.FeatureNode, numbered(1)))
	newer := signedAt(t, key, time.Now(), identityproto.FeatureNode, numbered(2))
	two.Peer.Claims = append(two.Peer.Claims, itemOf(newer).Peer.Claims[0], two.Peer.Claims[0])
	spoiled := proto.CloneOf(itemOf(signed(t, identityproto.FeatureNode, numbered(3))))
	spoiled.Peer.Claims = append(spoiled.Peer.Claims, forged(t).Peer.Claims...)

	change := func(f func(*dhtproto.PeerInfo)) *dhtproto.GetPeersResponse {
		item := itemOf(signed(t, identityproto.FeatureNode, numbered(4)))
		f(item.Peer)
		return item
	}
	address := func(raw []byte) *dhtproto.GetPeersResponse {
		return change(func(p *dhtproto.PeerInfo) { p.Claims[0].Addresses = append(p.Claims[0].Addresses, raw) })
	}
	got, err := Ask(t.Context(), served(t, host(t, tari.Config{}), lies(
		two,
		spoiled, forged(t), // two signatures
		change(func(p *dhtproto.PeerInfo) { p.PublicKey = p.PublicKey[:31] }),
		change(func(p *dhtproto.PeerInfo) { p.PublicKey = make([]byte, 32); p.PublicKey[0] = 1 }),
		change(func(p *dhtproto.PeerInfo) { p.Claims[0].IdentitySignature = nil }),
		change(func(p *dhtproto.PeerInfo) { p.Claims[0].PeerFeatures = 8 }),
		address([]byte{0xff}),
		change(func(p *dhtproto.PeerInfo) { p.Claims = nil }),
		change(func(p *dhtproto.PeerInfo) { p.Claims = slices.Repeat(p.Claims, 6) }),
		change(func(p *dhtproto.PeerInfo) { p.Claims[0].Addresses = nil }),
		change(func(p *dhtproto.PeerInfo) { p.Claims[0].Addresses = slices.Repeat(p.Claims[0].Addresses, 6) }),
		address(ma.StringCast("/ip4/1.2.3.4/udp/1").Bytes()),
		address(ma.StringCast("/onion3/aww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234").Bytes()), // checksum
		itemOf(signedAt(t, newKey(t), time.Now().Add(25*time.Hour), identityproto.FeatureNode, numbered(5))),
		itemOf(signed(t, identityproto.FeatureNode, "/ip4/10.0.0.1/tcp/1", "/dns4/localhost/tcp/1", "/ip4/100.64.0.1/tcp/1", "/memory/1")),
	)), Query{})
	want := map[Fault]int{FaultSignature: 2, FaultMalformed: 5, FaultShape: 6, FaultFuture: 1, FaultInternal: 1}
	if err != nil || !maps.Equal(got.Invalid, want) || got.Items != 16 {
		t.Errorf("%d items, %v, want %v; %v", got.Items, got.Invalid, want, err)
	}
	if len(got.Peers) != 1 || got.Peers[0].Claim.Addresses[0].String() != numbered(2) {
		t.Errorf("of two claims the newer one counts: %+v", got.Peers)
	}
}

// TestOffences: answers for which tari_comms_dht bans end the call, and what came before is kept.
func TestOffences(t *testing.T) {
	one, other := itemOf(signed(t, identityproto.FeatureNode, numbered(1))), itemOf(signed(t, identityproto.FeatureNode, numbered(2)))
	six := []*dhtproto.GetPeersResponse{one}
	for range 6 {
		six = append(six, forged(t))
	}
	for name, c := range map[string]struct {
		items []*dhtproto.GetPeersResponse
		max   int
		good  int
	}{
		"more than asked for":  {[]*dhtproto.GetPeersResponse{one, other}, 1, 1},
		"twice":                {[]*dhtproto.GetPeersResponse{one, other, one, forged(t)}, 0, 2},
		"no peer":              {[]*dhtproto.GetPeersResponse{one, {}}, 0, 1},
		"six false signatures": {six, 0, 1},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := Ask(t.Context(), served(t, host(t, tari.Config{}), lies(c.items...)), Query{Max: c.max})
			var offence *OffenceError
			if !errors.As(err, &offence) || offence.BanFor() != 2*time.Hour || len(got.Peers) != c.good {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
	five, err := Ask(t.Context(), served(t, host(t, tari.Config{}), lies(six[:6]...)), Query{})
	if err != nil || five.Invalid[FaultSignature] != 5 {
		t.Errorf("five false signatures: %+v, %v", five, err)
	}
}

// TestLargeItem: an item that is larger than five claims can be is not kept.
func TestLargeItem(t *testing.T) {
	item := itemOf(signed(t, identityproto.FeatureNode, numbered(1)))
	item.Peer.PublicKey = make([]byte, maxItem)
	_, err := Ask(t.Context(), served(t, host(t, tari.Config{}), lies(item)), Query{})
	if rpc.CodeOf(err) != rpc.ProtocolError {
		t.Errorf("%v", err)
	}
}
