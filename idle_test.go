//go:build !race

package tari

import (
	"context"
	"io"
	"net"
	"runtime"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// What an accepted connection with an open stream costs at rest. The limits have a quarter of room above what was seen.
const (
	idleGoroutines = 2        // the swarm's accept, which reads, and the handler of the stream
	idleHeap       = 18 << 10 // bytes, with the session of the dialing end, which is in this process too
	idleObjects    = 190
)

// TestIdleConnections counts what many connections add, each of a peer of its own.
func TestIdleConnections(t *testing.T) {
	const count = 100
	h := startHost(t, Config{Network: dialect.Localnet, Listen: loopback})
	h.SetStreamHandler(echo, func(s network.Stream) { // no buffer that is not ours
		defer s.Close()
		var b [1]byte
		for {
			if _, err := io.ReadFull(s, b[:]); err != nil {
				return
			}
			if _, err := s.Write(b[:]); err != nil {
				return
			}
		}
	})
	addr, err := manet.ToNetAddr(h.Network().ListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	dial := func() *dialect.Session {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		claim := &identityproto.Claim{Key: key.Public(), UserAgent: "idle", Addresses: addrs("/ip4/1.2.3.4/tcp/1")}
		if err := claim.Sign(key, time.Now()); err != nil {
			t.Fatal(err)
		}
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			t.Fatal(err)
		}
		us := dialect.Local{Key: key, Claim: func() (*identityproto.Claim, error) { return claim, nil }, Rules: identityproto.Rules{AllowTestAddresses: true}}
		session, err := dialect.Of(dialect.Localnet).Upgrade(testContext(t), c, network.DirOutbound, us)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { session.Close() })
		st, err := session.OpenStream(context.Background())
		if err != nil {
			t.Fatal(err)
		}
		hello, err := tariproto.AppendOptimistic(nil, echo)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := st.Write(append(hello, 7)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.ReadFull(st, hello[:1]); err != nil {
			t.Fatal(err)
		}
		return session
	}
	for range 5 {
		dial()
	}
	before := atRest()
	for range count {
		dial()
	}
	after := atRest()
	heap, objects := (after.HeapAlloc-before.HeapAlloc)/count, (after.HeapObjects-before.HeapObjects)/count
	goroutines := float64(after.goroutines-before.goroutines) / count
	t.Logf("%d bytes in %d objects, %.1f goroutines, %d bytes of stack", heap, objects, goroutines, (after.StackInuse-before.StackInuse)/count)
	if heap > idleHeap || objects > idleObjects {
		t.Errorf("%d bytes in %d objects, want at most %d in %d", heap, objects, idleHeap, idleObjects)
	}
	if goroutines > idleGoroutines+1 {
		t.Errorf("%.1f goroutines, want %d and the reader of the other end", goroutines, idleGoroutines)
	}
}

type rest struct {
	runtime.MemStats
	goroutines int
}

// atRest waits until the number of goroutines stays the same, and collects what is no longer needed, pools too.
func atRest() (r rest) {
	for same := 0; same < 20; time.Sleep(5 * time.Millisecond) {
		if n := runtime.NumGoroutine(); n == r.goroutines {
			same++
		} else {
			same, r.goroutines = 0, n
		}
	}
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&r.MemStats)
	return r
}
