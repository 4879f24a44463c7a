//go:build interop

package tornet

import (
	"bytes"
	"context"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/torctl"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// need skips where there is no tor, and fails in CI.
func need(t *testing.T) {
	t.Helper()
	if err := Available(); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal(err)
		}
		t.Skip(err)
	}
}

// echo answers each connection with what it says.
func echo(t *testing.T) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() { _, _ = io.Copy(c, c); _ = c.Close() }()
		}
	}()
	return l.Addr().String()
}

// TestServiceThroughTor takes the Tor of an onion service away in each way a
// Tor can go, and each time reaches the same address again through another Tor.
func TestServiceThroughTor(t *testing.T) {
	need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute)
	defer cancel()
	n, err := Start(ctx, t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer n.Stop()
	alice, err := n.Client("alice")
	if err != nil {
		t.Fatal(err)
	}
	bob, err := n.Client("bob")
	if err != nil {
		t.Fatal(err)
	}
	for _, node := range []*Node{alice, bob} {
		if err := node.WaitBootstrapped(ctx); err != nil {
			t.Fatal(err)
		}
	}
	stop, err := n.Hum(ctx)
	if err != nil {
		t.Fatal(err)
	}
	defer stop()

	key, err := torctl.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := torctl.Start(torctl.Config{Control: alice.Control, Key: key, Target: echo(t)})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()

	down := func(what string) {
		t.Helper()
		for s.State().Up {
			select {
			case <-ctx.Done():
				t.Fatalf("%s: not noticed", what)
			case <-time.After(50 * time.Millisecond):
			}
		}
	}
	for _, kind := range []struct {
		name string
		do   func()
	}{
		{"the first start", func() {}},
		{"kill -9", func() { alice.End(); down("kill"); must(t, alice.Run()) }},
		{"TERM", func() { must(t, alice.Signal(syscall.SIGTERM)); alice.Wait(); down("TERM"); must(t, alice.Run()) }},
		{"HUP", func() { must(t, alice.Signal(syscall.SIGHUP)) }},
		{"a stalled control socket", func() {
			must(t, alice.Signal(syscall.SIGSTOP))
			down("stall")
			must(t, alice.Signal(syscall.SIGCONT))
		}},
		{"a new cookie", func() {
			alice.End()
			down("kill")
			must(t, os.Remove(filepath.Join(alice.Dir, "control_auth_cookie")))
			must(t, alice.Run())
		}},
	} {
		start := time.Now()
		kind.do()
		if err := s.WaitUp(ctx); err != nil {
			t.Fatalf("%s: %v\n%s", kind.name, err, alice.Log())
		}
		up := time.Since(start)
		if err := alice.WaitBootstrapped(ctx); err != nil {
			t.Fatalf("%s: %v", kind.name, err)
		}
		reach(t, ctx, bob, key)
		t.Logf("%s: in Tor after %s, reached after %s", kind.name, up.Round(time.Millisecond), time.Since(start).Round(time.Millisecond))
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// reach talks to the onion service, again until it answers: a descriptor takes its time to get around.
func reach(t *testing.T, ctx context.Context, via *Node, key torctl.Key) {
	t.Helper()
	d := &torsocks.Dialer{Proxy: via.SOCKS, RequestTimeout: 30 * time.Second}
	for try := 0; ; try++ {
		c, err := d.Dial(ctx, key.ServiceID()+".onion", 18141, string(rune('a'+try%26)))
		if err == nil {
			_ = c.SetDeadline(time.Now().Add(time.Minute))
			got := make([]byte, 5)
			_, werr := c.Write([]byte("hello"))
			_, rerr := io.ReadFull(c, got)
			_ = c.Close()
			if werr == nil && rerr == nil && bytes.Equal(got, []byte("hello")) {
				return
			}
			t.Logf("connected, then %v, %v, %q", werr, rerr, got)
		} else {
			t.Log(err)
		}
		select {
		case <-ctx.Done():
			t.Fatalf("never reached: %v\n%s", err, via.Log())
		case <-time.After(time.Second):
		}
	}
}
