package yamux

import pool "github.com/libp2p/go-buffer-pool"

// minChunk is the smallest chunk of a buffer: small bodies share one, so that a
// peer that sends single bytes does not cost more memory than it sends.
const minChunk = 2048

// buffer is a queue of bytes in pooled chunks. The zero value is empty.
type buffer struct {
	chunks [][]byte // chunks[head] is being read, the last may still grow
	head   int
	off    int // what was read of chunks[head]
	size   int // unread bytes
}

// write copies p to the end.
func (b *buffer) write(p []byte) {
	b.size += len(p)
	if last := len(b.chunks) - 1; last >= b.head {
		c := b.chunks[last]
		n := copy(c[len(c):cap(c)], p)
		b.chunks[last] = c[:len(c)+n]
		p = p[n:]
	}
	if len(p) > 0 {
		c := pool.Get(max(len(p), minChunk))
		b.chunks = append(b.chunks, c[:copy(c, p)])
	}
}

// read moves bytes to p.
func (b *buffer) read(p []byte) int {
	n := 0
	for n < len(p) && b.head < len(b.chunks) {
		c := b.chunks[b.head]
		k := copy(p[n:], c[b.off:])
		n, b.off = n+k, b.off+k
		if b.off == len(c) {
			b.drop()
		}
	}
	b.size -= n
	return n
}

// drop gives the chunk at the head back.
func (b *buffer) drop() {
	pool.Put(b.chunks[b.head])
	b.chunks[b.head] = nil
	b.head, b.off = b.head+1, 0
	switch {
	case b.head == len(b.chunks):
		b.chunks, b.head = b.chunks[:0], 0
	case b.head >= 32 && b.head >= len(b.chunks)/2:
		n := copy(b.chunks, b.chunks[b.head:])
		clear(b.chunks[n:])
		b.chunks, b.head = b.chunks[:n], 0
	}
}

// discard gives everything back.
func (b *buffer) discard() {
	for b.head < len(b.chunks) {
		b.drop()
	}
	*b = buffer{}
}
