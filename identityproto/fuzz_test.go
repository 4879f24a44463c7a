package identityproto

import (
	"bytes"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// alice signed the vectors that the corpora begin with.
const alice = "c4f9de2fa17e3bab9e5c8057e89ec34585b9a78d3106880be5f7e4a4a3cd7c1a"

func aliceKey(f *testing.F) tarikey.PublicKey { return key(f, alice) }

// FuzzFrame reads frames off a connection.
func FuzzFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		m, err := readFrame(r)
		if err == nil && len(b)-r.Len() != 3+len(m) {
			t.Errorf("read %d bytes for a message of %d", len(b)-r.Len(), len(m))
		}
		if len(m) > MaxMessage {
			t.Errorf("a message of %d bytes", len(m))
		}
	})
}

// FuzzClaim reads claims. One that is accepted means the same when it is written and read again.
func FuzzClaim(f *testing.F) {
	k := aliceKey(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeMessage(b, k, Rules{}, now)
		if err != nil {
			if kindOf(err) == 0 {
				t.Error("an error without a kind")
			}
			return
		}
		again, err := DecodeMessage(EncodeMessage(c), k, Rules{}, now)
		if err != nil || again.UserAgent != c.UserAgent || len(again.Addresses) != len(c.Addresses) {
			t.Errorf("written and read again: %+v, %v", again, err)
		}
		if c.Signature.UpdatedAt.After(now.Add(24 * time.Hour)) {
			t.Error("a claim of the future")
		}
	})
}

// FuzzSeedMessage reads claims of the seed dialect.
func FuzzSeedMessage(f *testing.F) {
	k := aliceKey(f)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := decodeSeed(b, k, Rules{AllowTestAddresses: true})
		if err != nil {
			return
		}
		if len(c.UserAgent) > maxSeedUserAgent || !printable(c.UserAgent) || c.Features > FeatureNode {
			t.Errorf("accepted %+v", c)
		}
		if _, err := decodeSeed(encodeSeed(c), k, Rules{AllowTestAddresses: true}); err != nil {
			t.Errorf("written and read again: %v", err)
		}
	})
}

// FuzzAddress reads addresses as they stand in claims.
func FuzzAddress(f *testing.F) {
	f.Fuzz(func(t *testing.T, b []byte) {
		a, err := decodeAddress(b)
		if err != nil {
			// What a claim may hold must not fail for want of a Go form, but for one case.
			if parts, ok := components(b); ok && checkShape(parts) == nil && (!isDNS(parts[0].code) || len(parts[0].value) > 0) {
				t.Errorf("%x: %v", b, err)
			}
			return
		}
		if !bytes.Equal(a.Bytes(), b) {
			t.Errorf("%x is written as %x", b, a.Bytes())
		}
		if Usable(a, false) && (CheckShape(a) != nil || !IsExternal(a)) {
			t.Errorf("%s is usable", a)
		}
	})
}

// FuzzStored reads claims as a peer book keeps them, each under its own key: the
// ones in testdata/claims.jsonl, twisted or not, are where it begins.
func FuzzStored(f *testing.F) {
	for _, v := range rustAnswers(f) {
		f.Add(append(unhex(f, v.Key), unhex(f, v.Message)...))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		var c, back Claim
		if err := c.UnmarshalBinary(b); err != nil {
			if kindOf(err) == 0 {
				t.Error("an error without a kind")
			}
			return
		}
		again, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		if err := back.UnmarshalBinary(again); err != nil {
			t.Fatalf("written and read again: %v", err)
		}
		if (c.Signature == nil) != (back.Signature == nil) || kindOf(c.verify()) != kindOf(back.verify()) {
			t.Errorf("%+v came back as %+v", c, back)
		}
	})
}

// verify is VerifySignature on the day of the tests.
func (c *Claim) verify() error { return c.VerifySignature(now) }
