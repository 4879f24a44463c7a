package tarikey

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// vectors are what the Rust crates computed; see each file's "origin".
type vectors struct {
	Keys []struct {
		Name      string
		NodeID    string `json:"node_id"`
		PublicKey string `json:"public_key"`
		SecretKey string `json:"secret_key"`
	}
	DH struct {
		DomainSeparationTag string `json:"domain_separation_tag"`
		Pairs               []struct {
			SecretA string `json:"secret_a"`
			PublicB string `json:"public_b"`
			RawDH   string `json:"raw_dh"`
			NoiseDH string `json:"noise_dh"`
		}
	}
	NodeDistance []struct {
		X             string `json:"x_node_id"`
		Y             string `json:"y_node_id"`
		XOR           string
		DistanceBytes string `json:"distance_bytes"`
		Bucket        *int   `json:"bucket_index"`
	} `json:"node_distance"`
	InvalidKeys struct {
		Points, Scalars []struct {
			Hex    string
			NodeID string `json:"node_id"`
		}
	} `json:"invalid_keys"`
	Noncanonical struct {
		Points, Scalars []struct{ Hex string }
	}
	Signatures []struct {
		Name            string
		PublicKey       string `json:"public_key"`
		SecretKey       string `json:"secret_key"`
		SecretNonce     string `json:"secret_nonce"`
		PublicNonce     string `json:"public_nonce"`
		Challenge       string
		ChallengeScalar string `json:"challenge_scalar"`
		Signature       string
	}
}

func load(t testing.TB, name string) (v vectors) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.Keys) == 0 || len(v.DH.Pairs) == 0 || len(v.NodeDistance) == 0 {
		t.Fatalf("%s: vectors are missing", name)
	}
	return v
}

func unhex(t testing.TB, text string) []byte {
	t.Helper()
	data, err := hex.DecodeString(text)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

func secret(t testing.TB, text string) SecretKey {
	t.Helper()
	k, err := SecretKeyFromHex(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func public(t testing.TB, text string) PublicKey {
	t.Helper()
	k, err := PublicKeyFromHex(text)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func bothEras(t *testing.T, check func(t *testing.T, v vectors)) {
	for _, file := range []string{"modern.json", "seed.json"} {
		t.Run(file, func(t *testing.T) { check(t, load(t, file)) })
	}
}

func TestKeysAndNodeIDs(t *testing.T) {
	bothEras(t, func(t *testing.T, v vectors) {
		for _, c := range v.Keys {
			k := secret(t, c.SecretKey)
			if got := k.Public().String(); got != c.PublicKey {
				t.Errorf("%s: public key %s, want %s", c.Name, got, c.PublicKey)
			}
			if got := k.Public().NodeID().String(); got != c.NodeID {
				t.Errorf("%s: node id %s, want %s", c.Name, got, c.NodeID)
			}
			if got := public(t, c.PublicKey); got != k.Public() {
				t.Errorf("%s: parsed public key differs", c.Name)
			}
		}
	})
}

func TestDH(t *testing.T) {
	bothEras(t, func(t *testing.T, v vectors) {
		for _, c := range v.DH.Pairs {
			raw, err := secret(t, c.SecretA).DH(public(t, c.PublicB))
			if err != nil || hex.EncodeToString(raw[:]) != c.RawDH {
				t.Errorf("DH = %x, %v; want %s", raw, err, c.RawDH)
			}
			if c.NoiseDH == "" || v.DH.DomainSeparationTag == "" {
				continue
			}
			hashed := NewDomainHash(32, "com.tari.comms.core", 0, "noise.dh").Chain(raw[:]).Sum()
			if hex.EncodeToString(hashed) != c.NoiseDH {
				t.Errorf("hashed DH = %x, want %s", hashed, c.NoiseDH)
			}
		}
	})
}

func TestNodeDistance(t *testing.T) {
	bothEras(t, func(t *testing.T, v vectors) {
		for _, c := range v.NodeDistance {
			x, errX := ParseNodeID(c.X)
			y, errY := ParseNodeID(c.Y)
			if err := errors.Join(errX, errY); err != nil {
				t.Fatal(err)
			}
			want := c.XOR
			if want == "" {
				want = c.DistanceBytes
			}
			d := x.Distance(y)
			if d.String() != want {
				t.Errorf("distance %s to %s = %s, want %s", c.X, c.Y, d, want)
			}
			if c.Bucket != nil && d.Bucket() != *c.Bucket {
				t.Errorf("bucket of %s = %d, want %d", d, d.Bucket(), *c.Bucket)
			}
		}
	})
}

func TestSignaturesOfRust(t *testing.T) {
	v := load(t, "modern.json")
	if len(v.Signatures) == 0 {
		t.Fatal("no signatures")
	}
	for _, c := range v.Signatures {
		challenge := [64]byte(unhex(t, c.Challenge))
		if got := scalarBytes(reduceWide(challenge)); hex.EncodeToString(got[:]) != c.ChallengeScalar {
			t.Errorf("%s: challenge scalar %x, want %s", c.Name, got, c.ChallengeScalar)
		}
		nonce, err := scalar.NewFromCanonicalBytes(unhex(t, c.SecretNonce))
		if err != nil {
			t.Fatal(err)
		}
		sig, err := secret(t, c.SecretKey).signWithNonce(nonce, func(n PublicKey) [64]byte {
			if n.String() != c.PublicNonce {
				t.Errorf("%s: nonce %s, want %s", c.Name, n, c.PublicNonce)
			}
			return challenge
		})
		if err != nil || hex.EncodeToString(sig.S[:]) != c.Signature {
			t.Errorf("%s: s = %x, %v; want %s", c.Name, sig.S, err, c.Signature)
		}
		if err := public(t, c.PublicKey).Verify(challenge, sig); err != nil {
			t.Errorf("%s: %v", c.Name, err)
		}
	}
}

// Everything that either Rust era calls into question, plus the identity, is
// refused here in both: a key is canonical or it is none.
func TestRefusedKeys(t *testing.T) {
	modern, seed := load(t, "modern.json"), load(t, "seed.json")
	var points, scalars []string
	for _, p := range modern.InvalidKeys.Points {
		points = append(points, p.Hex)
		if got := NodeIDOf(unhex(t, p.Hex)).String(); got != p.NodeID {
			t.Errorf("node id of %s = %s, want %s", p.Hex, got, p.NodeID)
		}
	}
	for _, p := range seed.Noncanonical.Points {
		points = append(points, p.Hex)
	}
	for _, s := range modern.InvalidKeys.Scalars {
		scalars = append(scalars, s.Hex)
	}
	for _, s := range seed.Noncanonical.Scalars {
		scalars = append(scalars, s.Hex)
	}
	if len(points) < 8 || len(scalars) < 4 {
		t.Fatal("vectors are missing")
	}
	for _, text := range points {
		_, err := PublicKeyFromHex(text)
		want := ErrNotCanonical
		if bytes.Equal(unhex(t, text), make([]byte, KeySize)) {
			want = ErrIdentityPoint
		}
		var keyErr *KeyError
		if !errors.Is(err, want) || !errors.As(err, &keyErr) {
			t.Errorf("point %s: %v, want %v", text, err, want)
		}
	}
	for _, text := range scalars {
		if _, err := SecretKeyFromHex(text); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("scalar %s: %v, want %v", text, err, ErrNotCanonical)
		}
	}
	if _, err := ParseSecretKey(make([]byte, KeySize)); !errors.Is(err, ErrZeroScalar) {
		t.Errorf("zero scalar: %v", err)
	}
}
