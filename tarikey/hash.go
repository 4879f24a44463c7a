package tarikey

import (
	"encoding/binary"
	"strconv"

	"golang.org/x/crypto/blake2b"
)

// DomainHash is tari_crypto's domain-separated BLAKE2b. What is hashed is
//
//	u64LE(len(tag)) ‖ tag, then for each chunk u64LE(len(chunk)) ‖ chunk
//
// with tag = domain ‖ ".v" ‖ decimal version ‖ "." ‖ label. It is kept until Sum: such hashes are over a few hundred bytes, and hashing all at
// once needs no state on the heap.
type DomainHash struct {
	size  int
	input []byte
}

// domainHashRoom is enough for the hash over a shared secret, of which there are three in each handshake.
const domainHashRoom = 96

// NewDomainHash starts a hash of size bytes, 32 or 64; an empty label leaves
// its dot out too. Another size is a mistake in the program, and panics.
func NewDomainHash(size int, domain string, version int, label string) *DomainHash {
	if size != 32 && size != 64 {
		panic("tarikey: a domain hash has 32 or 64 bytes")
	}
	input := append(make([]byte, 8, domainHashRoom), domain...)
	input = append(input, ".v"...)
	input = strconv.AppendInt(input, int64(version), 10)
	if label != "" {
		input = append(append(input, '.'), label...)
	}
	binary.LittleEndian.PutUint64(input, uint64(len(input)-8))
	return &DomainHash{size, input}
}

// Chain adds one chunk with its length before it, and returns d.
func (d *DomainHash) Chain(chunk []byte) *DomainHash {
	d.input = append(binary.LittleEndian.AppendUint64(d.input, uint64(len(chunk))), chunk...)
	return d
}

// Sum returns the digest.
func (d *DomainHash) Sum() []byte {
	if d.size == 32 {
		sum := blake2b.Sum256(d.input)
		return sum[:]
	}
	sum := blake2b.Sum512(d.input)
	return sum[:]
}
