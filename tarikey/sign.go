package tarikey

import (
	"crypto/rand"
	"fmt"
	"io"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// Signature is Tari's Schnorr signature: a public nonce R and a scalar s with
//
//	s·G = R + e·P
//
// where e is the 64-byte challenge modulo the group order.
type Signature struct {
	Nonce PublicKey
	S     [KeySize]byte // little endian
}

// Sign signs whatever challenge hashes; the hash must cover the nonce it is
// given. challenge is called twice and must be a pure function: the first call
// only mixes the message into the secret nonce, so that a broken random source
// cannot make two messages share one, which would give the key away.
func (k SecretKey) Sign(challenge func(nonce PublicKey) [64]byte) (Signature, error) {
	return k.sign(rand.Reader, challenge)
}

func (k SecretKey) sign(random io.Reader, challenge func(PublicKey) [64]byte) (Signature, error) {
	if k.IsZero() {
		return Signature{}, &KeyError{"secret key", ErrZeroScalar}
	}
	var seed [64]byte
	if _, err := io.ReadFull(random, seed[:]); err != nil {
		return Signature{}, fmt.Errorf("tarikey: sign: %w", err)
	}
	message := challenge(k.public)
	hash := NewDomainHash(64, "com.github.tari-libp2p.tarikey", 1, "nonce")
	wide := hash.Chain(k.b[:]).Chain(seed[:]).Chain(message[:]).Sum()
	return k.signWithNonce(reduceWide([64]byte(wide)), challenge)
}

// signWithNonce is the signature equation itself; Rust's vectors come in here.
func (k SecretKey) signWithNonce(nonce *scalar.Scalar, challenge func(PublicKey) [64]byte) (Signature, error) {
	sig := Signature{Nonce: basePoint(nonce)}
	if sig.Nonce.IsZero() {
		return Signature{}, &KeyError{"secret key", ErrZeroScalar}
	}
	e := reduceWide(challenge(sig.Nonce))
	s := scalar.New().Mul(e, k.scalar())
	sig.S = scalarBytes(s.Add(s, nonce))
	return sig, nil
}

// Verify checks sig against the challenge, whose hash the caller has computed
// over sig.Nonce. Every refusal is ErrBadSignature: a zero key or nonce, an S
// that is not canonical, an equation that does not hold.
func (k PublicKey) Verify(challenge [64]byte, sig Signature) error {
	point, err := decodePoint(k.b[:])
	if err != nil {
		return ErrBadSignature
	}
	nonce, err := decodePoint(sig.Nonce.b[:])
	if err != nil {
		return ErrBadSignature
	}
	s, err := scalar.NewFromCanonicalBytes(sig.S[:])
	if err != nil {
		return ErrBadSignature
	}
	minusE := reduceWide(challenge)
	minusE.Neg(minusE)
	// Nothing here is secret, so the faster variable-time routine will do.
	got := curve.NewRistrettoPoint().DoubleScalarMulBasepointVartime(minusE, point, s)
	if got.Equal(nonce) != 1 {
		return ErrBadSignature
	}
	return nil
}
