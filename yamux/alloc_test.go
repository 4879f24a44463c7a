//go:build !race

package yamux

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestAllocations: moving data allocates nothing once buffers are warm.
func TestAllocations(t *testing.T) { allocations(t, tcpPair) }

// TestAllocationsSealed is the same over Noise.
func TestAllocationsSealed(t *testing.T) { allocations(t, sealedPair) }

func allocations(t *testing.T, connect func(testing.TB) (net.Conn, net.Conn)) {
	a, b := connect(t)
	c, s := start(t, a, true, Config{}), start(t, b, false, Config{})
	defer s.Close()
	defer c.Close()
	st := open(t, c)
	write(t, st, "x")
	other := accept(t, s)
	want(t, other, "x")
	for _, size := range []int{100, 1000, 64 << 10} {
		msg, buf := make([]byte, size), make([]byte, size)
		n := testing.AllocsPerRun(500, func() {
			st.SetDeadline(time.Now().Add(safety)) // a new one each time
			st.Write(msg)
			io.ReadFull(other, buf)
		})
		if n >= 1 { // a garbage collection may empty the pools
			t.Errorf("%d bytes: %.1f allocations", size, n)
		}
	}
}
