package noise

import (
	"golang.org/x/crypto/blake2b"
)

// symmetric is the SymmetricState of the Noise specification (section 5.2) with ChaCha20-Poly1305 and BLAKE2b. What it hashes is short and
// put together on the stack, so that a handshake leaves next to no garbage.
type symmetric struct {
	ck, h [blake2b.Size]byte
	key   key // none before the first mixKey
}

// start is InitializeSymmetric, and mixes the prologue in. The name has 64 bytes at most.
func (s *symmetric) start(protocol string, prologue []byte) {
	copy(s.h[:], protocol)
	s.ck = s.h
	s.mixHash(prologue)
}

func (s *symmetric) mixHash(data []byte) {
	var room [2 * blake2b.Size]byte // for all but a long prologue
	s.h = blake2b.Sum512(append(append(room[:0], s.h[:]...), data...))
}

func (s *symmetric) mixKey(secret []byte) {
	var k [blake2b.Size]byte
	s.ck, k = hkdf(&s.ck, secret)
	s.key = key{}
	s.key.set([32]byte(k[:]))
}

// split returns the keys of the frames: from the initiator to the responder, and back.
func (s *symmetric) split() (first, second [32]byte) {
	a, b := hkdf(&s.ck, nil)
	return [32]byte(a[:]), [32]byte(b[:])
}

// seal is EncryptAndHash, and appends to out.
func (s *symmetric) seal(out, plain []byte) ([]byte, error) {
	begin := len(out)
	if s.key.aead == nil {
		out = append(out, plain...)
	} else {
		nonce, err := s.key.advance()
		if err != nil {
			return nil, err
		}
		out = s.key.aead.Seal(out, nonce, plain, s.h[:])
	}
	s.mixHash(out[begin:])
	return out, nil
}

// open is DecryptAndHash. Its error is ErrBadMessage.
func (s *symmetric) open(data []byte) (plain []byte, err error) {
	if s.key.aead == nil {
		plain = data
	} else {
		nonce, err := s.key.advance()
		if err != nil {
			return nil, err
		}
		if plain, err = s.key.aead.Open(nil, nonce, data, s.h[:]); err != nil {
			return nil, ErrBadMessage
		}
	}
	s.mixHash(data)
	return plain, nil
}

// overhead is how much longer than its plaintext a part of a message is now.
func (s *symmetric) overhead() int {
	if s.key.aead == nil {
		return 0
	}
	return Overhead
}

// hkdf returns the first two outputs of Noise's HKDF (section 4.3).
func hkdf(ck *[blake2b.Size]byte, material []byte) (first, second [blake2b.Size]byte) {
	secret := hmac(ck, material)
	first = hmac(&secret, []byte{1})
	var next [blake2b.Size + 1]byte
	next[copy(next[:], first[:])] = 2
	return first, hmac(&secret, next[:])
}

// hmac is HMAC-BLAKE2b (RFC 2104), of a key that is shorter than a block.
func hmac(key *[blake2b.Size]byte, data []byte) [blake2b.Size]byte {
	const ipad, opad = 0x36, 0x5c
	var room [2 * blake2b.BlockSize]byte
	block := room[:blake2b.BlockSize]
	copy(block, key[:])
	for i := range block {
		block[i] ^= ipad
	}
	inner := blake2b.Sum512(append(block, data...))
	for i := range block {
		block[i] ^= ipad ^ opad
	}
	return blake2b.Sum512(append(block, inner[:]...))
}
