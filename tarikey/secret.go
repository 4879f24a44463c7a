package tarikey

import (
	"crypto/rand"
	"crypto/subtle"
	"fmt"
	"io"
	"log/slog"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
)

// SecretKey is a node's Ristretto scalar. Nothing prints it: Bytes is the only
// way to its value. The zero value means "no key".
type SecretKey struct {
	_      [0]func() // no ==: Equal takes the same time whatever differs
	b      [KeySize]byte
	public PublicKey
}

// GenerateKey draws a key from 64 bytes of random, or of crypto/rand if random
// is nil.
func GenerateKey(random io.Reader) (SecretKey, error) {
	if random == nil {
		random = rand.Reader
	}
	var wide [64]byte
	if _, err := io.ReadFull(random, wide[:]); err != nil {
		return SecretKey{}, fmt.Errorf("tarikey: generate: %w", err)
	}
	return newSecretKey(reduceWide(wide))
}

// ParseSecretKey reads 32 bytes, a little-endian scalar below the group order
// and not zero; anything else is a *KeyError.
func ParseSecretKey(data []byte) (SecretKey, error) {
	if len(data) != KeySize {
		return SecretKey{}, &KeyError{"secret key", ErrLength}
	}
	s, err := scalar.NewFromCanonicalBytes(data)
	if err != nil {
		return SecretKey{}, &KeyError{"secret key", ErrNotCanonical}
	}
	return newSecretKey(s)
}

// IsScalar reports whether data is what ParseSecretKey reads, or zero: what the S of a signature may be. It computes no public key.
func IsScalar(data []byte) bool {
	_, err := scalar.NewFromCanonicalBytes(data)
	return err == nil
}

// SecretKeyFromHex reads 64 hexadecimal characters.
func SecretKeyFromHex(text string) (SecretKey, error) {
	data, err := decodeHex(text)
	if err != nil {
		return SecretKey{}, &KeyError{"secret key", err}
	}
	return ParseSecretKey(data)
}

func newSecretKey(s *scalar.Scalar) (SecretKey, error) {
	if s.Equal(scalar.New()) == 1 {
		return SecretKey{}, &KeyError{"secret key", ErrZeroScalar}
	}
	return SecretKey{b: scalarBytes(s), public: basePoint(s)}, nil
}

// Public is the key pair's other half; it is computed once, with the key.
func (k SecretKey) Public() PublicKey { return k.public }

// Bytes returns a copy of the secret: 32 bytes, little endian.
func (k SecretKey) Bytes() []byte { return k.b[:] }

// IsZero reports whether k is the zero value, that is, no key at all.
func (k SecretKey) IsZero() bool { return k.public.IsZero() }

// Equal compares in constant time.
func (k SecretKey) Equal(other SecretKey) bool {
	return subtle.ConstantTimeCompare(k.b[:], other.b[:]) == 1
}

// DH returns the compressed point secret·remote, raw: a hash over it, where a
// protocol wants one, is the caller's. A zero key on either side is
// ErrIdentityPoint.
func (k SecretKey) DH(remote PublicKey) ([KeySize]byte, error) {
	point, err := ParsePoint(remote.b[:])
	if err != nil {
		return [KeySize]byte{}, err
	}
	return k.DHPoint(point)
}

// DHPoint is DH with a key from ParsePoint.
func (k SecretKey) DHPoint(remote Point) ([KeySize]byte, error) {
	if remote.point == nil {
		return [KeySize]byte{}, &KeyError{"public key", ErrIdentityPoint}
	}
	shared := curve.NewRistrettoPoint().Mul(remote.point, k.scalar())
	if shared.IsIdentity() { // only a zero secret gets here
		return [KeySize]byte{}, &KeyError{"secret key", ErrIdentityPoint}
	}
	return compress(shared), nil
}

func (k SecretKey) scalar() *scalar.Scalar {
	s, err := scalar.NewFromCanonicalBytes(k.b[:])
	if err != nil {
		panic("tarikey: a SecretKey holds a canonical scalar") // made only by newSecretKey
	}
	return s
}

func basePoint(s *scalar.Scalar) PublicKey {
	point := curve.NewRistrettoPoint().MulBasepoint(curve.RISTRETTO_BASEPOINT_TABLE, s)
	return PublicKey{compress(point)}
}

func compress(point *curve.RistrettoPoint) [KeySize]byte {
	return [KeySize]byte(*curve.NewCompressedRistretto().SetRistrettoPoint(point))
}

// reduceWide takes 64 little-endian bytes modulo the group order, Tari's way
// from a hash or from randomness to a scalar.
func reduceWide(wide [64]byte) *scalar.Scalar {
	s, err := scalar.NewFromBytesModOrderWide(wide[:])
	if err != nil {
		panic("tarikey: 64 bytes always reduce")
	}
	return s
}

func scalarBytes(s *scalar.Scalar) (out [KeySize]byte) {
	if err := s.ToBytes(out[:]); err != nil {
		panic("tarikey: a scalar always fits 32 bytes")
	}
	return out
}

// hidden is what stands for the secret wherever somebody prints it.
func (k SecretKey) hidden() string {
	if k.IsZero() {
		return "secret key (none)"
	}
	return "secret key of " + k.public.String()
}

// String names the key by its public half.
func (k SecretKey) String() string { return k.hidden() }

// GoString is String.
func (k SecretKey) GoString() string { return k.hidden() }

// Format is String for every verb: %x must not print the bytes either.
func (k SecretKey) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, k.hidden()) }

// LogValue is String.
func (k SecretKey) LogValue() slog.Value { return slog.StringValue(k.hidden()) }

// MarshalText is String, so that JSON and the like hide the secret too. There
// is no UnmarshalText: a secret is read by SecretKeyFromHex, on purpose.
func (k SecretKey) MarshalText() ([]byte, error) { return []byte(k.hidden()), nil }

// MarshalJSON is String in quotes.
func (k SecretKey) MarshalJSON() ([]byte, error) { return []byte(`"` + k.hidden() + `"`), nil }
