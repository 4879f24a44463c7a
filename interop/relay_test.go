//go:build interop

package interop

import (
	"net"
	"sync"
	"sync/atomic"
	"testing"

	manet "github.com/multiformats/go-multiaddr/net"
)

// relay passes one TCP connection on and counts what each side handed to its
// socket.
type relay struct {
	address               string // where to dial
	fromDialer, fromOther atomic.Int64
	done                  chan struct{} // closed when both directions have ended

	mu    sync.Mutex
	conns []net.Conn // the two sides
	dead  bool       // no more is passed on
}

func startRelay(t testing.TB, target string) *relay {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	r := &relay{address: addr.String(), done: make(chan struct{})}
	t.Cleanup(func() {
		_ = l.Close()
		r.kill() // a test that failed leaves it open
	})
	go func() {
		defer close(r.done)
		dialer, err := l.Accept()
		if err != nil {
			return
		}
		_ = l.Close() // so that nobody waits here for an answer
		defer func() { _ = dialer.Close() }()
		other, err := net.Dial("tcp", target)
		if err != nil {
			return
		}
		defer func() { _ = other.Close() }()
		r.mu.Lock()
		r.conns = []net.Conn{dialer, other}
		dead := r.dead
		r.mu.Unlock()
		if dead {
			return
		}
		var both sync.WaitGroup
		both.Go(func() { pass(other, dialer, &r.fromDialer) })
		both.Go(func() { pass(dialer, other, &r.fromOther) })
		both.Wait()
	}()
	return r
}

// kill resets the connection on both sides, as when a process dies with unread
// bytes, and waits until it is gone. There is nothing to do for one that ended.
func (r *relay) kill() {
	r.mu.Lock()
	r.dead = true
	for _, c := range r.conns {
		_ = c.(*net.TCPConn).SetLinger(0)
		_ = c.Close()
	}
	r.mu.Unlock()
	<-r.done
}

// pass copies until the end of src and passes the end on. When dst is gone it
// still reads what src has to say.
func pass(dst, src net.Conn, count *atomic.Int64) {
	buf := make([]byte, 64<<10)
	for gone := false; ; {
		n, err := src.Read(buf)
		count.Add(int64(n))
		if n > 0 && !gone {
			if _, werr := dst.Write(buf[:n]); werr != nil {
				gone = true
			}
		}
		if err != nil {
			if c, ok := dst.(interface{ CloseWrite() error }); ok {
				_ = c.CloseWrite()
			}
			return
		}
	}
}
