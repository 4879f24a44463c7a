package tarikey

import "testing"

func BenchmarkDH(b *testing.B) {
	k, remote := newKey(b), newKey(b).Public()
	for b.Loop() {
		if _, err := k.DH(remote); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerify(b *testing.B) {
	k := newKey(b)
	hash := challengeOver("hello", k.Public())
	sig, err := k.Sign(hash)
	if err != nil {
		b.Fatal(err)
	}
	challenge := hash(sig.Nonce)
	for b.Loop() {
		if err := k.Public().Verify(challenge, sig); err != nil {
			b.Fatal(err)
		}
	}
}
