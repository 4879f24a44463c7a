package identityproto

import (
	"slices"
	"testing"
)

// TestRelayedAsRust: what the Rust node made of claims from their owners holds for claims that are passed on, as far as they have that
// part; and one that is accepted is passed on unchanged.
func TestRelayedAsRust(t *testing.T) {
	accepted := 0
	for _, v := range rustAnswers(t) {
		m, err := decodeModern(unhex(t, v.Message))
		if err != nil {
			continue
		}
		r := &Relayed{Addresses: m.addresses, Features: m.features}
		if s := m.signature; s != nil {
			r.Signature = &RelayedSignature{Version: s.version, S: s.s, Nonce: s.nonce, UpdatedAt: s.updatedAt}
		}
		c, err := r.Claim(key(t, v.Key), Rules{}, now)
		switch kind := kindOf(err); {
		case kind != 0:
			own := slices.Contains(rustErrors[kind], v.Error)
			other := slices.ContainsFunc([]Kind{KindProtocols, KindUserAgentSize, KindUserAgent, KindProtocolText}, func(k Kind) bool { return slices.Contains(rustErrors[k], v.Error) })
			if !own && !other {
				t.Errorf("%q: %v; Rust: %q", v.Twist, err, v.Error)
			}
		case v.Error == "":
			accepted++
			again, err := c.Relay().Claim(c.Key, Rules{}, now)
			if err != nil || !slices.Equal(texts(again.Addresses), texts(c.Addresses)) || *again.Signature != *c.Signature || len(c.Protocols) > 0 || c.UserAgent != "" {
				t.Errorf("%q: passed on as %+v, %v", v.Twist, again, err)
			}
		}
	}
	if accepted < 50 {
		t.Errorf("only %d claims were accepted", accepted)
	}
	if (&Claim{}).Relay() != nil {
		t.Error("an unsigned claim is passed on")
	}
}
