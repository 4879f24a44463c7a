package tarikey

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/crypto/pb"
)

// KeyType is the number of Ristretto keys in go-libp2p's protobuf PublicKey.
// Tari's own libp2p nodes use 4, and peer ids agree with theirs.
const KeyType = 4

// signatureSize is R followed by s.
const signatureSize = 2 * KeySize

func init() {
	crypto.PubKeyUnmarshallers[KeyType] = func(data []byte) (crypto.PubKey, error) {
		k, err := ParsePublicKey(data)
		if err != nil {
			return nil, err
		}
		return libp2pPublic{k}, nil
	}
	crypto.PrivKeyUnmarshallers[KeyType] = func(data []byte) (crypto.PrivKey, error) {
		k, err := ParseSecretKey(data)
		if err != nil {
			return nil, err
		}
		return libp2pSecret{k}, nil
	}
}

// Libp2p is the key in go-libp2p's clothes. Its Verify takes what the other
// side's Libp2p().Sign made: a Schnorr signature in a domain of its own, which
// can never pass for one of Tari's.
func (k PublicKey) Libp2p() crypto.PubKey { return libp2pPublic{k} }

// Libp2p is the key in go-libp2p's clothes; see PublicKey.Libp2p.
func (k SecretKey) Libp2p() crypto.PrivKey { return libp2pSecret{k} }

type libp2pPublic struct{ key PublicKey }

func (p libp2pPublic) Raw() ([]byte, error) { return p.key.Bytes(), nil }
func (p libp2pPublic) Type() pb.KeyType     { return KeyType }
func (p libp2pPublic) Equals(other crypto.Key) bool {
	o, ok := other.(libp2pPublic)
	return ok && o.key == p.key
}

func (p libp2pPublic) Verify(data, sig []byte) (bool, error) {
	if len(sig) != signatureSize {
		return false, fmt.Errorf("tarikey: signature of %d bytes, want %d", len(sig), signatureSize)
	}
	nonce, err := ParsePublicKey(sig[:KeySize])
	if err != nil {
		return false, ErrBadSignature
	}
	parsed := Signature{Nonce: nonce, S: [KeySize]byte(sig[KeySize:])}
	if err := p.key.Verify(libp2pChallenge(p.key, nonce, data), parsed); err != nil {
		return false, err
	}
	return true, nil
}

type libp2pSecret struct{ key SecretKey }

func (s libp2pSecret) Raw() ([]byte, error)     { return s.key.Bytes(), nil }
func (s libp2pSecret) Type() pb.KeyType         { return KeyType }
func (s libp2pSecret) GetPublic() crypto.PubKey { return libp2pPublic{s.key.public} }
func (s libp2pSecret) Equals(other crypto.Key) bool {
	o, ok := other.(libp2pSecret)
	return ok && o.key.Equal(s.key)
}

func (s libp2pSecret) Sign(data []byte) ([]byte, error) {
	sig, err := s.key.Sign(func(nonce PublicKey) [64]byte {
		return libp2pChallenge(s.key.public, nonce, data)
	})
	if err != nil {
		return nil, err
	}
	return append(sig.Nonce.Bytes(), sig.S[:]...), nil
}

func libp2pChallenge(key, nonce PublicKey, data []byte) [64]byte {
	hash := NewDomainHash(64, "com.github.tari-libp2p.tarikey", 1, "libp2p")
	return [64]byte(hash.Chain(key.b[:]).Chain(nonce.b[:]).Chain(data).Sum())
}
