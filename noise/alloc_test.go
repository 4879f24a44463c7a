//go:build !race

package noise

import (
	"bytes"
	"net"
	"testing"
)

// loop is a connection to itself: what is written can be read. It allocates nothing once its buffer is large enough.
type loop struct {
	net.Conn
	buf bytes.Buffer
}

func (l *loop) Write(p []byte) (int, error) { return l.buf.Write(p) }
func (l *loop) Read(p []byte) (int, error)  { return l.buf.Read(p) }

// TestNoAllocations sends frames of several sizes. (The race detector's build makes sync.Pool forget, so this file leaves it out.)
func TestNoAllocations(t *testing.T) {
	for _, size := range []int{1, 100, smallBuffer, MaxPlaintext, 3 * MaxPlaintext} {
		tx, rx := keyed(8)
		c := &loop{}
		out, in := make([]byte, size), make([]byte, size)
		allocs := testing.AllocsPerRun(100, func() {
			if _, err := tx.write(c, out); err != nil {
				t.Fatal(err)
			}
			for n := 0; n < size; {
				k, err := rx.read(c, in)
				if err != nil {
					t.Fatal(err)
				}
				n += k
			}
		})
		if allocs != 0 {
			t.Errorf("%v allocations for a write of %d and its reads, want 0", allocs, size)
		}
	}
}
