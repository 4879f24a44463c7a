// Package pattern makes bytes that both ends of a test can compute: the Rust
// peers of package interop make the same ones.
package pattern

import "encoding/binary"

// Stream is splitmix64 from a seed, each number as eight little-endian bytes.
type Stream struct {
	state uint64
	word  [8]byte
	used  int
}

// New returns the stream of a seed.
func New(seed uint64) *Stream { return &Stream{state: seed, used: 8} }

// Read fills b; it never fails.
func (p *Stream) Read(b []byte) (int, error) {
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

// Message is the message of size bytes with this index in the series of a seed.
func Message(seed uint64, index, size int) []byte {
	body := make([]byte, size)
	_, _ = New(seed + uint64(index)<<32).Read(body)
	return body
}
