package tarikey

import (
	"encoding/binary"
	"hash"
	"strconv"

	"golang.org/x/crypto/blake2b"
)

// DomainHash is tari_crypto's domain-separated BLAKE2b. What is hashed is
//
//	u64LE(len(tag)) ‖ tag, then for each chunk u64LE(len(chunk)) ‖ chunk
//
// with tag = domain ‖ ".v" ‖ decimal version ‖ "." ‖ label.
type DomainHash struct{ h hash.Hash }

// NewDomainHash starts a hash of size bytes, 32 or 64; an empty label leaves
// its dot out too. Another size is a mistake in the program, and panics.
func NewDomainHash(size int, domain string, version int, label string) *DomainHash {
	if size != 32 && size != 64 {
		panic("tarikey: a domain hash has 32 or 64 bytes")
	}
	h, err := blake2b.New(size, nil)
	if err != nil {
		panic("tarikey: BLAKE2b: " + err.Error())
	}
	tag := domain + ".v" + strconv.Itoa(version)
	if label != "" {
		tag += "." + label
	}
	return (&DomainHash{h}).Chain([]byte(tag))
}

// Chain adds one chunk with its length before it, and returns d.
func (d *DomainHash) Chain(chunk []byte) *DomainHash {
	var length [8]byte
	binary.LittleEndian.PutUint64(length[:], uint64(len(chunk)))
	d.h.Write(length[:])
	d.h.Write(chunk)
	return d
}

// Sum returns the digest.
func (d *DomainHash) Sum() []byte { return d.h.Sum(nil) }
