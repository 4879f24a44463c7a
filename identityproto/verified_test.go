package identityproto

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestVerified: a claim that is known is taken as it was before, whatever part of it is changed is refused as it was before, and what is
// refused is not remembered.
func TestVerified(t *testing.T) {
	now := time.Now()
	sk, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	claim := &Claim{Features: FeatureNode, UserAgent: "a"}
	if err := claim.Sign(sk, now); err != nil {
		t.Fatal(err)
	}
	var known Verified
	rules := Rules{Verified: &known}
	check := func(c *Claim, key tarikey.PublicKey, at time.Time) error {
		_, err := DecodeMessage(EncodeMessage(c), key, rules, at)
		return err
	}
	for range 2 {
		if err := check(claim, sk.Public(), now); err != nil {
			t.Fatal(err)
		}
		other, _ := tarikey.GenerateKey(nil)
		date, features, scalar := *claim, *claim, *claim
		features.Features = FeatureClient
		sig := *claim.Signature
		sig.UpdatedAt = sig.UpdatedAt.Add(time.Second)
		date.Signature = &sig
		sig2 := *claim.Signature
		sig2.S[0] ^= 1
		scalar.Signature = &sig2
		for name, err := range map[string]error{
			"key": check(claim, other.Public(), now), "date": check(&date, sk.Public(), now),
			"features": check(&features, sk.Public(), now), "scalar": check(&scalar, sk.Public(), now),
		} {
			var e *Error
			if !errors.As(err, &e) || e.Kind != KindSignature || e.BanFor() == 0 {
				t.Errorf("another %s: %v", name, err)
			}
		}
		var e *Error
		if err := check(claim, sk.Public(), now.Add(-48*time.Hour)); !errors.As(err, &e) || e.Kind != KindFuture {
			t.Errorf("two days early: %v", err)
		}
		if len(known.recent) != 1 {
			t.Errorf("%d signatures are remembered", len(known.recent))
		}
	}
}

// TestVerifiedForgets: what was seen lately stays, and there are never more than twice 512.
func TestVerifiedForgets(t *testing.T) {
	var known Verified
	favourite := [64]byte{1}
	known.add(favourite, [32]byte{})
	var all sync.WaitGroup
	for g := range 4 {
		all.Go(func() {
			for i := range 2000 {
				var c [64]byte
				copy(c[1:], fmt.Sprint(g, " ", i))
				known.add(c, [32]byte{})
				if i%100 == 0 && !known.has(favourite, [32]byte{}) {
					t.Error("forgotten, and was asked for")
				}
			}
		})
	}
	all.Wait()
	if n := len(known.recent) + len(known.older); n > 2*verifiedRecent {
		t.Errorf("%d are remembered", n)
	}
	if known.has([64]byte{9}, [32]byte{}) || known.has(favourite, [32]byte{9}) {
		t.Error("knows what nobody added")
	}
}
