package tarikey

import (
	"encoding/hex"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/oasisprotocol/curve25519-voi/curve"
)

// KeySize is the length in bytes of a public key, of a secret key and of a
// shared point.
const KeySize = 32

// PublicKey is a compressed Ristretto point. It can be compared with == and be
// a map key. The zero value means "no key" and is refused by every operation.
type PublicKey struct{ b [KeySize]byte }

// ParsePublicKey reads 32 bytes. It refuses any encoding but the canonical one
// and the identity point, with a *KeyError.
func ParsePublicKey(data []byte) (PublicKey, error) {
	p, err := ParsePoint(data)
	return p.key, err
}

// Point is a public key with its point on the curve, for who multiplies it more
// than once: decoding costs a tenth of a DH.
type Point struct {
	key   PublicKey
	point *curve.RistrettoPoint
}

// ParsePoint is ParsePublicKey.
func ParsePoint(data []byte) (Point, error) {
	point, err := decodePoint(data)
	if err != nil {
		return Point{}, &KeyError{"public key", err}
	}
	return Point{PublicKey{[KeySize]byte(data)}, point}, nil
}

// PublicKey returns the key.
func (p Point) PublicKey() PublicKey { return p.key }

// PublicKeyFromHex reads the 64 hexadecimal characters in which Tari writes
// public keys; it accepts both cases.
func PublicKeyFromHex(text string) (PublicKey, error) {
	data, err := decodeHex(text)
	if err != nil {
		return PublicKey{}, &KeyError{"public key", err}
	}
	return ParsePublicKey(data)
}

// decodePoint is the one place where foreign bytes become a curve point.
func decodePoint(data []byte) (*curve.RistrettoPoint, error) {
	if len(data) != KeySize {
		return nil, ErrLength
	}
	compressed := curve.CompressedRistretto(data)
	point := curve.NewRistrettoPoint()
	if _, err := point.SetCompressed(&compressed); err != nil {
		return nil, ErrNotCanonical
	}
	if point.IsIdentity() {
		return nil, ErrIdentityPoint
	}
	return point, nil
}

func decodeHex(text string) ([]byte, error) {
	if len(text) != 2*KeySize {
		return nil, ErrLength
	}
	data, err := hex.DecodeString(text)
	if err != nil {
		return nil, ErrNotHex
	}
	return data, nil
}

// Bytes returns a copy of the 32 bytes.
func (k PublicKey) Bytes() []byte { return k.b[:] }

// String is 64 lower-case hexadecimal characters.
func (k PublicKey) String() string { return hex.EncodeToString(k.b[:]) }

// IsZero reports whether k is the zero value, that is, no key at all.
func (k PublicKey) IsZero() bool { return k == PublicKey{} }

// MarshalText is String; the zero value is an empty text.
func (k PublicKey) MarshalText() ([]byte, error) {
	if k.IsZero() {
		return []byte{}, nil
	}
	return []byte(k.String()), nil
}

// UnmarshalText reads what MarshalText wrote.
func (k *PublicKey) UnmarshalText(text []byte) error {
	if len(text) == 0 {
		*k = PublicKey{}
		return nil
	}
	parsed, err := PublicKeyFromHex(string(text))
	if err != nil {
		return err
	}
	*k = parsed
	return nil
}

// peerIDPrefix is all of a Tari peer id but its key: an identity multihash
// (0x00) of 36 bytes that are go-libp2p's protobuf PublicKey, with field 1 the
// key type 4 and field 2 the 32 key bytes.
const peerIDPrefix = "\x00\x24\x08\x04\x12\x20"

// PeerID is go-libp2p's name of the peer. It contains the key.
func (k PublicKey) PeerID() peer.ID { return peer.ID(peerIDPrefix + string(k.b[:])) }

// PublicKeyFromPeerID is the inverse of PeerID. A peer id of another kind of
// key is a *KeyError with ErrNotTariKey.
func PublicKeyFromPeerID(id peer.ID) (PublicKey, error) {
	if len(id) != len(peerIDPrefix)+KeySize || id[:len(peerIDPrefix)] != peerIDPrefix {
		return PublicKey{}, &KeyError{"peer id", ErrNotTariKey}
	}
	return ParsePublicKey([]byte(id[len(peerIDPrefix):]))
}
