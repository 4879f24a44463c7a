//go:build interop

package interop

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math/big"
	"math/rand/v2"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// question is one item of the Rust programs' "checks" command, and what our
// own code answers to it.
type question struct {
	item map[string]any
	ours any
}

// TestDifferential asks the crates of both eras and our own code the same
// questions about random and crafted keys, signatures and claims; every answer
// must be the same. The seed of the random numbers is in the log.
func TestDifferential(t *testing.T) {
	for _, e := range []era{modern, seed} {
		t.Run(e.name, func(t *testing.T) {
			rust := startRust(t, e)
			at := uint64(time.Now().UnixNano())
			t.Logf("seed %d", at)
			rnd := rand.New(rand.NewPCG(at, 0))

			questions := append(pointQuestions(rnd, 2500), scalarQuestions(e, rnd, 2500)...)
			questions = append(questions, keyQuestions(t, rnd, 1000)...)
			if e == modern {
				questions = append(questions, claimQuestions(t, rnd, 2000)...)
			}
			differences := 0
			for len(questions) > 0 {
				n := min(500, len(questions))
				differences += compare(t, rust, questions[:n])
				questions = questions[n:]
			}
			if e == modern {
				differences += verifyRustClaims(t, rust, rnd, 2000)
			}
			if differences > 0 {
				t.Errorf("%d differences", differences)
			}
		})
	}
}

// compare asks the Rust peer and counts the answers that are not ours.
func compare(t *testing.T, rust *rustPeer, questions []question) (differences int) {
	t.Helper()
	items := make([]map[string]any, len(questions))
	for i, q := range questions {
		items[i] = q.item
	}
	answers := rust.do("checks", map[string]any{"items": items}).Answers
	if len(answers) != len(questions) {
		t.Fatalf("%d answers to %d questions", len(answers), len(questions))
	}
	for i, q := range questions {
		ours, err := json.Marshal(q.ours)
		if err != nil {
			t.Fatal(err)
		}
		if string(ours) == string(answers[i]) {
			continue
		}
		if differences++; differences <= 5 {
			t.Errorf("%v:\n  ours %s\n  Rust %s", q.item, ours, answers[i])
		}
	}
	return differences
}

func randomBytes(rnd *rand.Rand, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rnd.Uint32())
	}
	return b
}

// littleEndian is n as 32 bytes, the lowest first.
func littleEndian(n *big.Int) []byte {
	b := n.FillBytes(make([]byte, 32))
	for i, j := 0, 31; i < j; i, j = i+1, j-1 {
		b[i], b[j] = b[j], b[i]
	}
	return b
}

var (
	fieldOrder = new(big.Int).Sub(new(big.Int).Lsh(big.NewInt(1), 255), big.NewInt(19))
	groupOrder = func() *big.Int {
		n, _ := new(big.Int).SetString("27742317777372353535851937790883648493", 10)
		return n.Add(n, new(big.Int).Lsh(big.NewInt(1), 252))
	}()
)

// around lists the encodings of n-3 … n+3.
func around(n *big.Int) [][]byte {
	var out [][]byte
	for d := int64(-3); d <= 3; d++ {
		if m := new(big.Int).Add(n, big.NewInt(d)); m.Sign() >= 0 {
			out = append(out, littleEndian(m))
		}
	}
	return out
}

// pointQuestions: which 32 bytes are a public key? The identity point is left
// out: the crate decodes it and refuses it later, we refuse it at once.
func pointQuestions(rnd *rand.Rand, n int) []question {
	var candidates [][]byte
	candidates = append(candidates, around(fieldOrder)...)
	candidates = append(candidates, around(new(big.Int).Lsh(big.NewInt(1), 255))...)
	for b := 1; b < 256; b++ { // small numbers: many are points, half of them negative
		candidates = append(candidates, littleEndian(big.NewInt(int64(b))))
	}
	for len(candidates) < n {
		valid := tarikeyFrom(rnd).Public().Bytes()
		flipped := append([]byte(nil), valid...)
		flipped[rnd.IntN(32)] ^= 1 << rnd.IntN(8)
		candidates = append(candidates, valid, flipped, randomBytes(rnd, 32), randomBytes(rnd, rnd.IntN(40)))
	}
	var out []question
	for _, c := range candidates {
		if isZero(c) {
			continue
		}
		_, err := tarikey.ParsePublicKey(c)
		out = append(out, question{map[string]any{"op": "point", "hex": hex.EncodeToString(c)}, err == nil})
	}
	return out
}

func isZero(b []byte) bool {
	for _, x := range b {
		if x != 0 {
			return false
		}
	}
	return true
}

// scalarQuestions: which 32 bytes are a secret key? Zero is left out: the crate
// takes it, we do not. The crate of 2020 also takes numbers above the group
// order and reduces them; no peer of that era is ever sent one.
func scalarQuestions(e era, rnd *rand.Rand, n int) []question {
	candidates := append(around(groupOrder), around(new(big.Int).Lsh(big.NewInt(1), 252))...)
	candidates = append(candidates, around(new(big.Int).Lsh(groupOrder, 1))...)
	for len(candidates) < n {
		top := randomBytes(rnd, 32)
		top[31] &= 0x1f
		candidates = append(candidates, tarikeyFrom(rnd).Bytes(), top, randomBytes(rnd, 32), randomBytes(rnd, rnd.IntN(40)))
	}
	var out []question
	for _, c := range candidates {
		if isZero(c) {
			continue
		}
		_, err := tarikey.ParseSecretKey(c)
		if e == seed && err != nil && len(c) == 32 {
			continue
		}
		out = append(out, question{map[string]any{"op": "scalar", "hex": hex.EncodeToString(c)}, err == nil})
	}
	return out
}

// tarikeyFrom makes a secret key out of the test's own random numbers.
func tarikeyFrom(rnd *rand.Rand) tarikey.SecretKey {
	for {
		b := randomBytes(rnd, 32)
		b[31] &= 0x0f
		if sk, err := tarikey.ParseSecretKey(b); err == nil {
			return sk
		}
	}
}

func keyQuestions(t *testing.T, rnd *rand.Rand, n int) []question {
	t.Helper()
	var out []question
	for range n {
		sk := tarikeyFrom(rnd)
		out = append(out,
			question{map[string]any{"op": "public_key", "secret": hex.EncodeToString(sk.Bytes())}, sk.Public().String()},
			question{map[string]any{"op": "node_id", "public_key": sk.Public().String()}, sk.Public().NodeID().String()})
	}
	return out
}

func randomAddress(rnd *rand.Rand) ma.Multiaddr {
	port := 1 + rnd.IntN(65535)
	switch rnd.IntN(4) {
	case 0:
		return ma.StringCast(fmt.Sprintf("/ip4/%d.%d.%d.%d/tcp/%d", 1+rnd.IntN(223), rnd.IntN(256), rnd.IntN(256), rnd.IntN(256), port))
	case 1:
		return ma.StringCast(fmt.Sprintf("/ip6/2001:%x::%x/tcp/%d", rnd.IntN(65536), rnd.IntN(65536), port))
	case 2:
		return ma.StringCast(fmt.Sprintf("/dns4/host%d.example.com/tcp/%d", rnd.IntN(1000), port))
	default:
		return ma.StringCast(fmt.Sprintf("/memory/%d", port))
	}
}

func randomClaim(rnd *rand.Rand) *identityproto.Claim {
	c := &identityproto.Claim{Features: identityproto.Features(rnd.IntN(4))}
	for range rnd.IntN(6) {
		c.Addresses = append(c.Addresses, randomAddress(rnd))
	}
	return c
}

func claimItem(op string, c *identityproto.Claim, signature []byte) map[string]any {
	addresses := []string{}
	for _, a := range c.Addresses {
		addresses = append(addresses, hex.EncodeToString(a.Bytes()))
	}
	return map[string]any{
		"op": op, "public_key": c.Key.String(), "features": uint32(c.Features), "addresses": addresses,
		"signature": hex.EncodeToString(signature),
	}
}

// signatureBytes is the protobuf IdentitySignature of the claim.
func signatureBytes(c *identityproto.Claim) []byte {
	s := c.Signature
	var b []byte
	b = protowire.AppendTag(b, 1, protowire.VarintType)
	b = protowire.AppendVarint(b, uint64(s.Version))
	b = protowire.AppendTag(b, 2, protowire.BytesType)
	b = protowire.AppendBytes(b, s.S[:])
	b = protowire.AppendTag(b, 3, protowire.BytesType)
	b = protowire.AppendBytes(b, s.Nonce.Bytes())
	b = protowire.AppendTag(b, 4, protowire.VarintType)
	return protowire.AppendVarint(b, uint64(s.UpdatedAt.Unix()))
}

// claimQuestions: does the signature of our claim hold, as it is and with one
// thing changed?
func claimQuestions(t *testing.T, rnd *rand.Rand, n int) []question {
	t.Helper()
	now := time.Now()
	var out []question
	for range n {
		c := randomClaim(rnd)
		if err := c.Sign(tarikeyFrom(rnd), now.Add(-time.Duration(rnd.IntN(1e6))*time.Second)); err != nil {
			t.Fatal(err)
		}
		switch rnd.IntN(8) {
		case 0:
			c.Features ^= 1
		case 1:
			c.Addresses = append(c.Addresses, randomAddress(rnd))
		case 2:
			c.Signature.UpdatedAt = c.Signature.UpdatedAt.Add(time.Second)
		case 3:
			c.Signature.S[rnd.IntN(31)] ^= 1 << rnd.IntN(8)
		case 4:
			c.Key = tarikeyFrom(rnd).Public()
		case 5:
			c.Signature.Version = byte(rnd.IntN(256))
		}
		out = append(out, question{claimItem("claim", c, signatureBytes(c)), c.VerifySignature(now) == nil})
	}
	return out
}

// verifyRustClaims has the crate sign claims and checks them with our code.
func verifyRustClaims(t *testing.T, rust *rustPeer, rnd *rand.Rand, n int) (differences int) {
	t.Helper()
	for ; n > 0; n -= 500 {
		claims := make([]*identityproto.Claim, min(n, 500))
		items := make([]map[string]any, len(claims))
		for i := range claims {
			sk := tarikeyFrom(rnd)
			claims[i] = randomClaim(rnd)
			claims[i].Key = sk.Public()
			items[i] = claimItem("make_claim", claims[i], nil)
			items[i]["secret"] = hex.EncodeToString(sk.Bytes())
		}
		answers := rust.do("checks", map[string]any{"items": items}).Answers
		for i, c := range claims {
			var made struct {
				PublicKey string `json:"public_key"`
				Signature string `json:"signature"`
				Error     string `json:"error"`
			}
			if err := json.Unmarshal(answers[i], &made); err != nil || made.Error != "" {
				t.Fatalf("%v %s", err, answers[i])
			}
			signature, err := hex.DecodeString(made.Signature)
			if err != nil {
				t.Fatal(err)
			}
			// Through our decoder: the message with the crate's signature in it.
			message := identityproto.EncodeMessage(&identityproto.Claim{Addresses: c.Addresses, Features: c.Features})
			message = protowire.AppendTag(message, 5, protowire.BytesType)
			message = protowire.AppendBytes(message, signature)
			rules := identityproto.Rules{AllowTestAddresses: true, MaxAddresses: 10}
			if _, err := identityproto.DecodeMessage(message, c.Key, rules, time.Now()); err != nil {
				if differences++; differences <= 5 {
					t.Errorf("we refuse what the crate signed: %v", err)
				}
			}
		}
	}
	return differences
}
