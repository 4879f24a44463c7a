package tari

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func addrs(texts ...string) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, s := range texts {
		out = append(out, ma.StringCast(s))
	}
	return out
}

func testClaim(t *testing.T, cfg Config) *ownClaim {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	cfg.Key = key
	return newOwnClaim(cfg)
}

// Signing again only when the signed part changes keeps the time of the signature, which others compare.
func TestTheClaimIsSignedAgainOnlyWhenItMust(t *testing.T) {
	o := testClaim(t, Config{Public: addrs("/ip4/1.2.3.4/tcp/18189")})
	at := func(s int64) time.Time { return time.Unix(1_700_000_000+s, 0) }
	step := func(what string, now int64, protocols []protocol.ID, wantSigned int64) *identityproto.Claim {
		t.Helper()
		c, err := o.current(nil, protocols, at(now))
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if !c.Signature.UpdatedAt.Equal(at(wantSigned)) {
			t.Errorf("%s: signed at %v, want %v", what, c.Signature.UpdatedAt, at(wantSigned))
		}
		if err := c.VerifySignature(at(now)); err != nil {
			t.Errorf("%s: %v", what, err)
		}
		return c
	}
	first := step("first", 1, []protocol.ID{"a"}, 1)
	if step("nothing new", 2, []protocol.ID{"a"}, 1) != first {
		t.Error("made anew for nothing")
	}
	if c := step("a protocol more", 3, []protocol.ID{"a", "b"}, 1); len(c.Protocols) != 2 || len(first.Protocols) != 1 {
		t.Errorf("protocols %v, and %v in the claim handed out before", c.Protocols, first.Protocols)
	}
	o.setPublic(addrs("/ip4/1.2.3.5/tcp/18189"))
	step("another address", 4, []protocol.ID{"a", "b"}, 4)
	o.setFeatures(identityproto.FeatureClient)
	step("other features", 5, []protocol.ID{"a", "b"}, 5)
	step("nothing new", 6, []protocol.ID{"a", "b"}, 5)
}

func TestWhatIsClaimed(t *testing.T) {
	onion := "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"
	for name, c := range map[string]struct {
		public, listening, want []ma.Multiaddr
		test                    bool
	}{
		"public only":             {addrs("/ip4/1.2.3.4/tcp/1"), addrs("/ip4/5.6.7.8/tcp/1"), addrs("/ip4/1.2.3.4/tcp/1"), false},
		"where we listen":         {nil, addrs("/ip4/127.0.0.1/tcp/1", "/ip4/5.6.7.8/tcp/1", "/ip4/10.0.0.1/tcp/1"), addrs("/ip4/5.6.7.8/tcp/1"), false},
		"internal ones never":     {addrs("/ip4/192.168.1.2/tcp/1", "/memory/7", onion), nil, addrs(onion), false},
		"internal ones in a test": {nil, addrs("/ip4/127.0.0.1/tcp/1", "/memory/7"), addrs("/ip4/127.0.0.1/tcp/1", "/memory/7"), true},
		"no form that would ban":  {addrs("/ip4/1.2.3.4/udp/1", "/ip4/1.2.3.4/tcp/0", "/dns/a.b/tcp/1", "/ip4/1.2.3.4/tcp/1/ws"), nil, nil, true},
		"at most five":            {addrs("/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4", "/ip4/1.1.1.1/tcp/5", "/ip4/1.1.1.1/tcp/6"), nil, addrs("/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4", "/ip4/1.1.1.1/tcp/5"), false},
		"nothing is fine as well": {nil, nil, nil, false},
	} {
		o := testClaim(t, Config{Public: c.public, AllowTestAddresses: c.test})
		claim, err := o.current(c.listening, nil, time.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if !slices.EqualFunc(claim.Addresses, c.want, ma.Multiaddr.Equal) {
			t.Errorf("%s: claimed %v, want %v", name, claim.Addresses, c.want)
		}
	}
}

func TestWhichProtocolsAreClaimed(t *testing.T) {
	number := func(n, size int) (ids []protocol.ID) {
		for i := range n {
			id := fmt.Sprintf("%02d", i)
			ids = append(ids, protocol.ID(id+strings.Repeat("x", size-len(id))))
		}
		return ids
	}
	for name, c := range map[string]struct {
		offered []protocol.ID
		want    int
	}{
		"all":                      {number(20, 10), 20},
		"the first twenty":         {number(30, 10), 20},
		"as many as fit a frame":   {number(20, 50), 17},
		"none too long":            {number(3, 51), 0},
		"none with a comma":        {[]protocol.ID{"a,b", "ok"}, 1},
		"none that cannot be read": {[]protocol.ID{"a\n", "ü", "", "ok"}, 1},
	} {
		o := testClaim(t, Config{Public: addrs("/ip4/1.2.3.4/tcp/1"), UserAgent: DefaultUserAgent})
		claim, err := o.current(nil, c.offered, time.Now())
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(claim.Protocols) != c.want {
			t.Errorf("%s: %d of %d claimed, want %d", name, len(claim.Protocols), len(c.offered), c.want)
		}
		if _, err := identityproto.EncodeFrame(claim); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAClaimThatEverybodyWouldRefuse(t *testing.T) {
	for _, agent := range []string{strings.Repeat("x", 51), "new\nline", "ü"} {
		o := testClaim(t, Config{UserAgent: agent})
		if _, err := o.current(nil, nil, time.Now()); err == nil {
			t.Errorf("user agent %q is claimed", agent)
		}
	}
}

// A host hands out the claim that SetPublic and SetStreamHandler leave behind, to the next peer that connects.
func TestAChangedClaimReachesTheNextPeer(t *testing.T) {
	a := startHost(t, Config{})
	b, c := startHost(t, Config{}), startHost(t, Config{})
	connect(t, a, b)
	a.SetPublic(addrs("/ip4/1.2.3.4/tcp/9"))
	a.SetFeatures(identityproto.FeatureClient)
	a.SetStreamHandler("/test/new", serveEcho)
	connect(t, a, c)
	eventually(t, "c has the claim", func() bool { _, ok := c.Claim(a.ID()); return ok })
	claim, _ := c.Claim(a.ID())
	if claim.Features != identityproto.FeatureClient || !claim.Supports("/test/new") || claim.Addresses[0].String() != "/ip4/1.2.3.4/tcp/9" {
		t.Errorf("c got %+v", claim)
	}
	if _, known := b.Claim(c.ID()); known {
		t.Error("b has a claim of a peer it is not connected to")
	}
}
