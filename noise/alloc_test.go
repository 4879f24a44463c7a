//go:build !race

package noise

import (
	"bytes"
	"net"
	"runtime"
	"sync"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"
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

// TestQuietConnections counts what a connection holds while its reader waits: no buffer, also not after it had one.
func TestQuietConnections(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("sockets that cannot be asked")
	}
	const pairs, most = 50, 3 << 10 // bytes an end
	var conns []*Conn
	var readers sync.WaitGroup
	before := heap()
	for range pairs {
		a, b := tcpPair(t)
		wrapped, err := manet.WrapNetConn(b) // as transports of go-libp2p do it
		if err != nil {
			t.Fatal(err)
		}
		c, s := newPair(t, a, wrapped)
		conns = append(conns, c, s)
	}
	arrived := make(chan int, 1)
	for i, c := range conns {
		readers.Go(func() {
			p := make([]byte, 1)
			for n := 1; n > 0; {
				n, _ = c.Read(p)
				arrived <- n
			}
		})
		if _, err := conns[i^1].Write([]byte{1}); err != nil {
			t.Fatal(err)
		}
		<-arrived
	}
	used := int(heap()-before) / len(conns)
	t.Logf("%d bytes an end", used)
	if used > most {
		t.Errorf("%d bytes an end, want %d at most", used, most)
	}
	go func() {
		for range conns {
			<-arrived
		}
	}()
	for _, c := range conns {
		c.Close()
	}
	readers.Wait()
}

// heap is what is in use, without what pools hold.
func heap() int64 {
	runtime.GC()
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
