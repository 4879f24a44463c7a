//go:build interop

package interop

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// pattern is the byte stream that the Rust programs compute too: splitmix64
// from a seed, each number as eight little-endian bytes.
type pattern struct {
	state uint64
	word  [8]byte
	used  int
}

func newPattern(seed uint64) *pattern { return &pattern{state: seed, used: 8} }

// Read fills b; it never fails.
func (p *pattern) Read(b []byte) (int, error) {
	for i := range b {
		if p.used == 8 {
			p.state += 0x9e3779b97f4a7c15
			z := p.state
			z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
			z = (z ^ z>>27) * 0x94d049bb133111eb
			binary.LittleEndian.PutUint64(p.word[:], z^z>>31)
			p.used = 0
		}
		b[i] = p.word[p.used]
		p.used++
	}
	return len(b), nil
}

// patternMessage is the message with this index in a series.
func patternMessage(seed uint64, index, size int) []byte {
	body := make([]byte, size)
	_, _ = newPattern(seed + uint64(index)<<32).Read(body)
	return body
}

func sha256Hex(b []byte) string {
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:])
}
