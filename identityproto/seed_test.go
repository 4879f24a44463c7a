package identityproto

import (
	"bytes"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"

	ma "github.com/multiformats/go-multiaddr"
)

// seedMessage is a claim of us in the seed dialect with addresses as they come.
func seedMessage(addresses ...string) []byte {
	id := us.Public().NodeID()
	b := prost.AppendBytes(nil, 1, id[:])
	for _, a := range addresses {
		b = prost.AppendBytes(b, 2, []byte(a))
	}
	return prost.AppendBytes(b, 4, []byte("/tari/messaging/0.1.0"))
}

// TestSeedAddresses holds addresses against the rules of 0.8.1 (its validate_address).
func TestSeedAddresses(t *testing.T) {
	const good, test, bad = Kind(0), KindNoAddress, KindShape // test: good where test addresses are allowed
	for text, want := range map[string]Kind{
		"/ip4/1.2.3.4/tcp/18189": good, "/ip4/10.0.0.1/tcp/1": good, "/ip4/192.168.1.1/tcp/1": good, "/ip6/2a01::1/tcp/1": good, "/ip6/fd00::1/tcp/1": good,
		"/dns4/a.b/tcp/1": good, "/dns6/a/tcp/1": good, "/dnsaddr/localhost/tcp/1": good,
		"/onion/aaimaq4ygg2iegci:80": good, onionText: good,
		"/onion3/aww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234": good, // no checksum is looked at
		"/ip4/127.0.0.1/tcp/1":                         test,
		"/ip4/169.254.1.1/tcp/1":                       test,
		"/ip4/0.0.0.0/tcp/1":                           test,
		"/ip6/::1/tcp/1":                               test,
		"/ip6/::/tcp/1":                                test,
		"/ip6/fe80::1/tcp/1":                           test,
		"/memory/1":                                    test,
		"/ip4/1.2.3.4/tcp/0":                           bad,
		"/ip4/1.2.3.4/udp/1":                           bad,
		"/ip4/1.2.3.4":                                 bad,
		"/ip4/1.2.3.4/tcp/1/tls":                       bad,
		"/dns4/a.b/tcp/0":                              bad,
		"/dns/a.b/tcp/1":                               bad,
		"/p2p-circuit":                                 bad,
		onionText + "/tcp/1":                           bad,
		"/ip4/1.2.3.4/tcp/1/http-path/somewhere":       bad,
		"/ip6zone/eth0/ip6/fe80::1/tcp/1":              bad,
		"/ip4/1.2.3.4/tcp/1/ws/p2p-circuit":            bad,
		"/tcp/1":                                       bad,
		"/dns4/" + strings.Repeat("a", 300) + "/tcp/1": good,
	} {
		for _, allow := range []bool{false, true} {
			want := want
			if want == test && allow {
				want = good
			}
			c, err := decodeSeed(seedMessage("/ip4/5.6.7.8/tcp/1", text), us.Public(), Rules{AllowTestAddresses: allow})
			if kindOf(err) != want {
				t.Errorf("%s, test addresses %v: %v, want kind %d", text, allow, err, want)
			}
			if err == nil && (len(c.Addresses) != 2 || c.Addresses[1].String() != text) {
				t.Errorf("%s became %v", text, c.Addresses)
			}
			if err != nil && err.(*Error).BanFor() != 0 {
				t.Errorf("%s: banned for %s; 0.8.1 bans for nothing", text, err.(*Error).BanFor())
			}
		}
	}
	for name, c := range map[string]struct {
		message []byte
		kind    Kind
		left    int
	}{
		"no address":               {seedMessage(), KindNoAddress, 0},
		"none that can be read":    {seedMessage("", "nonsense", "/ip4/1.2.3.400/tcp/1", "/onion3/short:1"), KindNoAddress, 0},
		"one of two can be read":   {seedMessage("/nonsense/1", "/ip4/1.2.3.4/tcp/1"), 0, 1},
		"more than we keep":        {seedMessage(many("/ip4/1.2.3.4/tcp/1", 200)...), 0, maxSeedAddresses},
		"not UTF-8":                {seedMessage("/ip4/1.2.3.4/tcp/1", "\xff"), KindDecode, 0},
		"address as a number":      {append(seedMessage("/ip4/1.2.3.4/tcp/1"), 0x10, 1), KindDecode, 0},
		"id of 12 bytes":           {append(seedMessage("/ip4/1.2.3.4/tcp/1"), append([]byte{0x0a, 12}, make([]byte, 12)...)...), KindNodeID, 0},
		"features nobody knows":    {append(seedMessage("/ip4/1.2.3.4/tcp/1"), 0x18, 0xff, 1), 0, 1},
		"an unknown field":         {append(seedMessage("/ip4/1.2.3.4/tcp/1"), 0x78, 1), 0, 1},
		"a user agent of 101":      {prost.AppendBytes(seedMessage("/ip4/1.2.3.4/tcp/1"), 5, bytes.Repeat([]byte("u"), 101)), 0, 1},
		"a user agent with escape": {prost.AppendBytes(seedMessage("/ip4/1.2.3.4/tcp/1"), 5, []byte("\x1b[31m")), 0, 1},
	} {
		claim, err := decodeSeed(c.message, us.Public(), Rules{})
		if kindOf(err) != c.kind {
			t.Errorf("%s: %v, want kind %d", name, err, c.kind)
		}
		if err != nil {
			if err.(*Error).BanFor() != 0 {
				t.Errorf("%s: banned for %s", name, err.(*Error).BanFor())
			}
			continue
		}
		if len(claim.Addresses) != c.left || len(claim.UserAgent) > maxSeedUserAgent || !printable(claim.UserAgent) || claim.Features > FeatureNode {
			t.Errorf("%s: %+v", name, claim)
		}
	}
}

// TestSeedKeeps: what is kept of a claim, up to the last byte of it.
func TestSeedKeeps(t *testing.T) {
	long := "/dns4/" + strings.Repeat("a", maxSeedAddress-len("/dns4//tcp/1")) + "/tcp/1"
	message := seedMessage(long, strings.Replace(long, "a", "aa", 1))
	message = prost.AppendBytes(message, 4, []byte("\x7f"))
	for range maxSeedAddresses + 1 {
		message = prost.AppendBytes(message, 4, []byte("p"))
	}
	message = prost.AppendBytes(message, 5, []byte(" \x1f~\x7f"))
	c, err := decodeSeed(message, us.Public(), Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if len(c.Addresses) != 1 || c.Addresses[0].String() != long {
		t.Errorf("addresses of %d and %d bytes: %d are kept", len(long), len(long)+1, len(c.Addresses))
	}
	if len(c.Protocols) != maxSeedAddresses || c.Supports("\x7f") {
		t.Errorf("protocols: %q", c.Protocols)
	}
	if c.UserAgent != " ?~?" {
		t.Errorf("user agent %q", c.UserAgent)
	}
}

func many(text string, n int) (out []string) {
	for range n {
		out = append(out, text)
	}
	return out
}

// TestSeedTruncated ends the stream after each byte of a recorded message.
func TestSeedTruncated(t *testing.T) {
	v := load[seedVectors](t, "seed.json").Session
	message := unhex(t, v.Conversation[1].Hex)
	ours := &Claim{Key: us.Public(), Addresses: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1")}}
	for n := range message {
		if _, err := ExchangeSubstream(t.Context(), saying(message[:n]), ours, key(t, v.B), Rules{AllowTestAddresses: true}); kindOf(err) != KindClosed {
			t.Fatalf("ended after %d bytes: %v", n, err)
		}
	}
}

// TestSeedOurs: a claim that a peer of 2020 would refuse does not leave us.
func TestSeedOurs(t *testing.T) {
	for name, c := range map[string]*Claim{"none": nil, "no address": {Key: us.Public()}} {
		s := saying(nil)
		if _, err := ExchangeSubstream(t.Context(), s, c, us.Public(), Rules{}); kindOf(err) != KindOurs || s.out.Len() != 0 {
			t.Errorf("%s: %v, %d bytes sent", name, err, s.out.Len())
		}
	}
}
