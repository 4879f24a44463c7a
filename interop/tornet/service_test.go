//go:build interop

package tornet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"runtime"
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

// cycles is how often TestServiceThroughTor takes Tor away: in each way once, or a hundred times in all where there is
// time for it.
func cycles() int {
	if os.Getenv("TARI_LIBP2P_LONG") == "1" {
		return 100
	}
	return 6
}

// The promises that TestServiceThroughTor holds us to.
const (
	listedWithin   = 10 * time.Second // after the control port accepts
	answeredWithin = 30 * time.Second // after Tor reports 100 %
	closedWithin   = 2 * time.Second
)

// TestServiceThroughTor takes the Tor of an onion service away in each way a
// Tor can go, and each time reaches the same address again through another Tor.
func TestServiceThroughTor(t *testing.T) {
	need(t)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Minute+time.Duration(cycles())*time.Minute)
	defer cancel()
	n, err := Start(ctx, t.TempDir())
	must(t, err)
	defer n.Stop()
	alice, err := n.Client("alice")
	must(t, err)
	bob, err := n.Client("bob")
	must(t, err)
	for _, node := range []*Node{alice, bob} {
		must(t, node.WaitBootstrapped(ctx))
	}
	stop, err := n.Hum(ctx)
	must(t, err)
	defer stop()

	key, err := torctl.NewKey()
	must(t, err)
	s, err := torctl.Start(torctl.Config{Control: alice.Control, Key: key, Target: echo(t)})
	must(t, err)
	defer s.Close()
	must(t, s.WaitUp(ctx))
	reach(t, ctx, bob, key) // a new address takes its time to get around: no promise
	goroutines := runtime.NumGoroutine()

	var mostListed, mostAnswered time.Duration
	for cycle := range cycles() {
		kind := outages[cycle%len(outages)]
		spare := spareService(t, ctx, alice)
		kind.begin(t, alice)
		if !kind.unnoticed {
			waitFor(t, ctx, kind.name+" is noticed", func() bool { return !s.State().Up })
		}
		if kind.refuses {
			waitFor(t, ctx, "it says that the port refuses", func() bool { return errors.As(s.State().Err, new(*torctl.OfflineError)) })
		}
		closing := time.Now()
		spare.Close()
		if took := time.Since(closing); took > closedWithin {
			t.Errorf("%d, %s: Close took %s", cycle, kind.name, took)
		}
		kind.end(t, alice)

		waitFor(t, ctx, "the control port accepts", func() bool { return accepts(alice.Control) })
		accepting := time.Now()
		if err := s.WaitUp(ctx); err != nil {
			t.Fatalf("%s: %v\n%s", kind.name, err, alice.Log())
		}
		listed := time.Since(accepting)
		if onions := s.State().Onions; len(onions) != 1 || onions[0] != key.ServiceID() {
			t.Errorf("%d, %s: Tor lists %q, want only %s", cycle, kind.name, onions, key.ServiceID())
		}
		must(t, alice.WaitBootstrapped(ctx))
		bootstrapped := time.Now()
		reach(t, ctx, bob, key)
		answered := time.Since(bootstrapped)
		if listed > listedWithin || answered > answeredWithin {
			t.Errorf("%d, %s: listed after %s, answered after %s\n%s", cycle, kind.name, listed, answered, alice.Log())
		}
		mostListed, mostAnswered = max(mostListed, listed), max(mostAnswered, answered)
		t.Logf("%d, %s: listed %s after the port accepted, answered %s after 100 %%", cycle, kind.name,
			listed.Round(time.Millisecond), answered.Round(time.Millisecond))
		waitFor(t, ctx, "no goroutine more than before", func() bool { return runtime.NumGoroutine() <= goroutines })
	}
	if t.Failed() {
		return
	}
	t.Logf("row: Tor killed, ended, reloaded, its port refused, its control socket stalled, its cookie changed | the same onion address listed ≤ %s after the port accepts, answering ≤ %s after 100 %%, one service | %d cycles: listed ≤ %s, answered ≤ %s",
		listedWithin, answeredWithin, cycles(), mostListed.Round(100*time.Millisecond), mostAnswered.Round(100*time.Millisecond))
}

// outage is a way for Tor to go and come back.
type outage struct {
	name       string
	begin, end func(t *testing.T, tor *Node)
	unnoticed  bool // the service does not see it
	refuses    bool // the control port refuses meanwhile
}

var outages = []outage{
	{name: "kill -9", begin: func(_ *testing.T, tor *Node) { tor.End() }, end: rerun, refuses: true},
	{name: "TERM", begin: func(t *testing.T, tor *Node) { must(t, tor.Signal(syscall.SIGTERM)); tor.Wait() }, end: rerun, refuses: true},
	{name: "HUP", begin: func(t *testing.T, tor *Node) { must(t, tor.Signal(syscall.SIGHUP)) }, end: func(*testing.T, *Node) {}, unnoticed: true},
	{
		name:    "a Tor without control port",
		begin:   func(t *testing.T, tor *Node) { tor.End(); must(t, tor.RunWithoutControl()) },
		end:     func(t *testing.T, tor *Node) { tor.End(); rerun(t, tor) },
		refuses: true,
	},
	{
		name:  "a stalled control socket",
		begin: func(t *testing.T, tor *Node) { must(t, tor.Signal(syscall.SIGSTOP)) },
		end:   func(t *testing.T, tor *Node) { must(t, tor.Signal(syscall.SIGCONT)) },
	},
	{
		name: "a new cookie",
		begin: func(t *testing.T, tor *Node) {
			tor.End()
			must(t, os.Remove(filepath.Join(tor.Dir, "control_auth_cookie")))
		},
		end:     rerun,
		refuses: true,
	},
}

func rerun(t *testing.T, tor *Node) { must(t, tor.Run()) }

// spareService is another service on the same Tor, to be closed while that Tor is away.
func spareService(t *testing.T, ctx context.Context, tor *Node) *torctl.Service {
	t.Helper()
	key, err := torctl.NewKey()
	must(t, err)
	s, err := torctl.Start(torctl.Config{Control: tor.Control, Key: key, Target: "127.0.0.1:1"})
	must(t, err)
	must(t, s.WaitUp(ctx))
	return s
}

// accepts says whether something listens there.
func accepts(address string) bool {
	c, err := net.Dial("tcp", address)
	if err == nil {
		_ = c.Close()
	}
	return err == nil
}

func waitFor(t *testing.T, ctx context.Context, what string, ok func() bool) {
	t.Helper()
	for !ok() {
		select {
		case <-ctx.Done():
			t.Fatal("never: " + what)
		case <-time.After(50 * time.Millisecond):
		}
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
	d := &torsocks.Dialer{Proxy: via.SOCKS, RequestTimeout: 10 * time.Second} // then other circuits
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
