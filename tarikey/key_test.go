package tarikey

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/gtank/ristretto255"
)

func newKey(t testing.TB) SecretKey {
	t.Helper()
	k, err := GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func TestGenerateKey(t *testing.T) {
	if a, b := newKey(t), newKey(t); a.Equal(b) || a.Public() == b.Public() {
		t.Error("two keys are the same")
	}
	// 64 bytes of one value, reduced: keys that tari_crypto makes of them.
	for b, want := range map[byte]string{
		1: "5c7f0fec164142986ada18df7c0950d93827925ece06b0e6a1247b6a3a304c7c",
		2: "c2a0394cab5ff3b6b51335386d8fb473cf03db714258bc17a10165783b3cf46c",
		3: "7ea58bc60b5832b9cb3af09a10c2e2320e332b89d0db8c69b72d0e9cad3e1370",
		4: "14e30a1d1ade0402fcdf0441a1efba8b976dfae49f8539c2fc35a253ef210661",
	} {
		k, err := GenerateKey(bytes.NewReader(bytes.Repeat([]byte{b}, 64)))
		if err != nil || k.Public().String() != want {
			t.Errorf("key %d: %s, %v; want %s", b, k.Public(), err, want)
		}
	}
	if _, err := GenerateKey(bytes.NewReader(make([]byte, 63))); err == nil {
		t.Error("a key out of 63 bytes")
	}
	if _, err := GenerateKey(bytes.NewReader(make([]byte, 64))); !errors.Is(err, ErrZeroScalar) {
		t.Errorf("a key out of zeros: %v", err)
	}
}

func TestRefusedText(t *testing.T) {
	good := newKey(t).Public().String()
	for text, want := range map[string]error{
		"":               ErrLength,
		good[:62]:        ErrLength,
		good + "00":      ErrLength,
		"zz" + good[2:]:  ErrNotHex,
		" " + good[1:64]: ErrNotHex,
	} {
		if _, err := PublicKeyFromHex(text); !errors.Is(err, want) {
			t.Errorf("public key %q: %v, want %v", text, err, want)
		}
		_, err := SecretKeyFromHex(text)
		if !errors.Is(err, want) {
			t.Errorf("secret key %q: %v, want %v", text, err, want)
		}
		if len(text) > 60 && strings.Contains(err.Error(), text[10:40]) {
			t.Errorf("the error repeats the key: %v", err)
		}
	}
	for _, n := range []int{0, 31, 33} {
		if _, err := ParsePublicKey(make([]byte, n)); !errors.Is(err, ErrLength) {
			t.Errorf("public key of %d bytes: %v", n, err)
		}
		if _, err := ParseSecretKey(make([]byte, n)); !errors.Is(err, ErrLength) {
			t.Errorf("secret key of %d bytes: %v", n, err)
		}
	}
	if k, err := PublicKeyFromHex(strings.ToUpper(good)); err != nil || k.String() != good {
		t.Errorf("upper case: %v, %v", k, err)
	}
	for _, text := range []string{"", "00", strings.Repeat("0", 25), strings.Repeat("g", 26)} {
		if _, err := ParseNodeID(text); err == nil {
			t.Errorf("node id %q parsed", text)
		}
	}
}

func TestSecretKeyStaysSecret(t *testing.T) {
	k := newKey(t)
	secrets := []string{fmt.Sprintf("%x", k.Bytes()), fmt.Sprintf("%X", k.Bytes()), fmt.Sprintf("%d", k.Bytes()), string(k.Bytes())}
	var out strings.Builder
	holder := struct{ Key SecretKey }{k}
	for _, verb := range []string{"%v", "%+v", "%#v", "%s", "%q", "%x", "%X", "%d", "%o", "%b", "%t"} {
		fmt.Fprintf(&out, verb+verb+verb+verb, k, &k, holder, []SecretKey{k})
	}
	slog.New(slog.NewTextHandler(&out, nil)).Info("text", "key", k, "holder", holder)
	slog.New(slog.NewJSONHandler(&out, nil)).Info("json", "key", k, "holder", holder)
	encoded, err := json.Marshal(map[string]any{"key": k, "holder": holder})
	if err != nil {
		t.Fatal(err)
	}
	out.Write(encoded)
	text, _ := k.MarshalText()
	out.Write(text)
	out.WriteString(k.String() + k.GoString())
	for _, s := range secrets {
		if strings.Contains(out.String(), s) {
			t.Errorf("the secret was printed: %s", out.String())
		}
	}
	if !strings.Contains(k.String(), k.Public().String()) {
		t.Errorf("String says %q", k)
	}
	if (SecretKey{}).String() == k.String() || !(SecretKey{}).IsZero() {
		t.Error("the zero key is not told apart")
	}
}

func TestPublicKeyText(t *testing.T) {
	k := newKey(t).Public()
	encoded, err := json.Marshal(map[PublicKey]PublicKey{k: k})
	if err != nil {
		t.Fatal(err)
	}
	var decoded map[PublicKey]PublicKey
	if err := json.Unmarshal(encoded, &decoded); err != nil || decoded[k] != k {
		t.Errorf("%s: %v, %v", encoded, decoded, err)
	}
	if err := json.Unmarshal([]byte(`"abc"`), &k); !errors.Is(err, ErrLength) {
		t.Errorf("bad text: %v", err)
	}
	var none PublicKey
	if err := none.UnmarshalText(nil); err != nil || !none.IsZero() {
		t.Errorf("empty text: %v", err)
	}
	id := k.NodeID()
	text, _ := id.MarshalText()
	var again NodeID
	if err := again.UnmarshalText(text); err != nil || again != id || !strings.HasPrefix(id.String(), id.Short()) || len(id.Short()) != 16 {
		t.Errorf("node id %s, %s: %v", text, id.Short(), err)
	}
	if id.Compare(id) != 0 || (NodeID{1}).Compare(NodeID{0, 2}) != 1 || (Distance{0, 2}).Compare(Distance{1}) != -1 {
		t.Error("node ids and distances are ordered by their bytes")
	}
}

func TestZeroKeysAreRefused(t *testing.T) {
	k := newKey(t)
	if _, err := k.DH(PublicKey{}); !errors.Is(err, ErrIdentityPoint) {
		t.Errorf("DH with the zero public key: %v", err)
	}
	if _, err := (SecretKey{}).DH(k.Public()); !errors.Is(err, ErrIdentityPoint) {
		t.Errorf("DH of the zero secret key: %v", err)
	}
	hash := func(PublicKey) [64]byte { return [64]byte{1} }
	if _, err := (SecretKey{}).Sign(hash); !errors.Is(err, ErrZeroScalar) {
		t.Errorf("signature of the zero secret key: %v", err)
	}
	sig, err := k.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	if err := (PublicKey{}).Verify(hash(sig.Nonce), sig); !errors.Is(err, ErrBadSignature) {
		t.Errorf("verified for the zero public key: %v", err)
	}
}

// challengeOver hashes what a Schnorr challenge must cover.
func challengeOver(message string, k PublicKey) func(PublicKey) [64]byte {
	return func(nonce PublicKey) [64]byte {
		h := NewDomainHash(64, "com.example.test", 1, "")
		return [64]byte(h.Chain(k.Bytes()).Chain(nonce.Bytes()).Chain([]byte(message)).Sum())
	}
}

func TestSignAndVerify(t *testing.T) {
	k := newKey(t)
	hash := challengeOver("hello", k.Public())
	sig, err := k.Sign(hash)
	if err != nil {
		t.Fatal(err)
	}
	challenge := hash(sig.Nonce)
	if err := k.Public().Verify(challenge, sig); err != nil {
		t.Fatal(err)
	}
	refused := func(name string, k PublicKey, challenge [64]byte, sig Signature) {
		if err := k.Verify(challenge, sig); !errors.Is(err, ErrBadSignature) {
			t.Errorf("%s: %v", name, err)
		}
	}
	refused("another key", newKey(t).Public(), challenge, sig)
	refused("another message", k.Public(), challengeOver("hallo", k.Public())(sig.Nonce), sig)
	refused("another nonce", k.Public(), challenge, Signature{newKey(t).Public(), sig.S})
	refused("no nonce", k.Public(), challenge, Signature{S: sig.S})
	for i := range sig.S {
		changed := sig
		changed.S[i] ^= 1
		refused(fmt.Sprintf("bit in byte %d of s", i), k.Public(), challenge, changed)
	}
	// s + l is the same scalar in another encoding.
	order := [32]byte(append([]byte{0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14}, append(make([]byte, 15), 0x10)...))
	plus, carry := sig, 0
	for i := range plus.S {
		carry += int(sig.S[i]) + int(order[i])
		plus.S[i], carry = byte(carry), carry>>8
	}
	refused("s plus the group order", k.Public(), challenge, plus)
}

// constant is a random source that is broken.
type constant struct{}

func (constant) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func TestNonceSurvivesBrokenRandomness(t *testing.T) {
	k := newKey(t)
	one, err1 := k.sign(constant{}, challengeOver("one", k.Public()))
	two, err2 := k.sign(constant{}, challengeOver("two", k.Public()))
	if err := errors.Join(err1, err2); err != nil {
		t.Fatal(err)
	}
	if one.Nonce == two.Nonce {
		t.Error("two messages share a nonce: the secret key is public")
	}
	a, err1 := k.Sign(challengeOver("one", k.Public()))
	b, err2 := k.Sign(challengeOver("one", k.Public()))
	if err := errors.Join(err1, err2); err != nil || a.Nonce == b.Nonce {
		t.Errorf("a nonce is not random: %v", err)
	}
}

// Two libraries with nothing in common agree on keys and shared points.
func TestAgreesWithAnotherLibrary(t *testing.T) {
	for range 50 {
		a, b := newKey(t), newKey(t)
		s, err := ristretto255.NewScalar().SetCanonicalBytes(a.Bytes())
		if err != nil {
			t.Fatal(err)
		}
		if got := ristretto255.NewIdentityElement().ScalarBaseMult(s).Bytes(); !bytes.Equal(got, a.Public().Bytes()) {
			t.Fatalf("public key %s, other library %x", a.Public(), got)
		}
		p, err := ristretto255.NewIdentityElement().SetCanonicalBytes(b.Public().Bytes())
		if err != nil {
			t.Fatal(err)
		}
		shared, err := a.DH(b.Public())
		if want := p.ScalarMult(s, p).Bytes(); err != nil || !bytes.Equal(shared[:], want) {
			t.Fatalf("DH %x, %v; other library %x", shared, err, want)
		}
		if back, err := b.DH(a.Public()); err != nil || back != shared {
			t.Fatalf("the other side has %x, %v", back, err)
		}
	}
}

func FuzzParsePublicKey(f *testing.F) {
	for _, file := range []string{"modern.json", "seed.json"} {
		v := load(f, file)
		for _, k := range v.Keys {
			f.Add(unhex(f, k.PublicKey))
			f.Add(unhex(f, k.SecretKey))
		}
		for _, k := range v.InvalidKeys.Points {
			f.Add(unhex(f, k.Hex))
		}
		for _, s := range v.Signatures {
			f.Add(unhex(f, s.PublicNonce))
			f.Add(unhex(f, s.PublicNonce)[:31])
			f.Add(append(unhex(f, s.PublicNonce), 0))
		}
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		k, err := ParsePublicKey(data)
		identity := ristretto255.NewIdentityElement()
		other, otherErr := ristretto255.NewIdentityElement().SetCanonicalBytes(data)
		valid := otherErr == nil && other.Equal(identity) == 0
		if (err == nil) != valid {
			t.Fatalf("%x: %v, other library %v", data, err, valid)
		}
		if err != nil {
			if !k.IsZero() {
				t.Fatalf("a refused key is %s", k)
			}
			return
		}
		if !bytes.Equal(k.Bytes(), data) {
			t.Fatalf("%x parsed as %s", data, k)
		}
		if again, err := PublicKeyFromPeerID(k.PeerID()); err != nil || again != k {
			t.Fatalf("%s by its peer id: %s, %v", k, again, err)
		}
	})
}

func TestIsScalar(t *testing.T) {
	hexed := func(text string) []byte {
		data, err := hex.DecodeString(text)
		if err != nil {
			t.Fatal(err)
		}
		return data
	}
	for _, test := range []struct {
		name string
		data []byte
		want bool
	}{
		{"zero", make([]byte, KeySize), true},
		{"group order less one", hexed("ecd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"), true},
		{"group order", hexed("edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010"), false},
		{"all ones", bytes.Repeat([]byte{0xff}, KeySize), false},
		{"short", make([]byte, KeySize-1), false},
		{"long", make([]byte, KeySize+1), false},
		{"none", nil, false},
	} {
		if got := IsScalar(test.data); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}
