//go:build interop && linux

package netns

import (
	"fmt"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// far are a node in this namespace and peers in another, which a cable connects.
type far struct {
	node *node.Node

	mu     sync.Mutex
	events []node.Event
}

// TestLinkDownAndUp: an interface that goes down ends the connections through it, and within 5 s of its coming up they stand again. No
// peer is blamed.
func TestLinkDownAndUp(t *testing.T) {
	inside(t, func(t *testing.T) {
		f, peers := distant(t)
		for _, away := range []time.Duration{2 * time.Second, 20 * time.Second} {
			run(t, "ip link set near down")
			eventually(t, "connections through the interface end", func() bool { return f.connections() == 0 })
			time.Sleep(away) // how long the cable is out: what happens meanwhile is the test
			mark := f.mark()
			run(t, "ip link set near up")
			up := time.Now()
			eventually(t, "connected again", func() bool { return f.connections() == len(peers) })
			// The figure is 5 s; a machine that is busy with other things is given the same again.
			if took := time.Since(up); took > 10*time.Second {
				t.Errorf("away for %v: connected again after %v", away, took)
			} else {
				t.Logf("row: the network is down for %v (a namespace) | redialed ≤ 5 s, no peer blamed | %v", away, took.Round(100*time.Millisecond))
			}
			if failed := f.since(mark, node.EventDialFailed); len(failed) != 0 {
				t.Logf("while it came up: %+v", failed)
			}
			f.blamesNobody(t)
		}
	})
}

// TestSilentLink: packets that are dropped without a word are noticed within 60 s, and when they get through again so do we.
func TestSilentLink(t *testing.T) {
	inside(t, func(t *testing.T) {
		f, peers := distant(t)
		const drop = `
table inet silence {
	chain in {
		type filter hook input priority -10;
		iifname near drop;
	}
	chain out {
		type filter hook output priority -10;
		oifname near drop;
	}
}
`
		nft := exec.Command("nft", "-f", "-")
		nft.Stdin = strings.NewReader(drop)
		if out, err := nft.CombinedOutput(); err != nil {
			t.Fatalf("nft: %v: %s", err, out)
		}
		silent := time.Now()
		eventually(t, "the silence is noticed", func() bool { return f.connections() == 0 })
		// The figure is 60 s after the last packet, which may have come a moment before or after.
		if took := time.Since(silent); took > 65*time.Second {
			t.Errorf("noticed after %v", took)
		} else {
			t.Logf("row: a link that drops everything (nftables) | noticed ≤ 60 s | %v", took.Round(time.Second))
		}
		run(t, "nft delete table inet silence")
		eventually(t, "connected again", func() bool { return f.connections() == len(peers) })
		f.blamesNobody(t)
	})
}

// distant makes another namespace with two peers, a cable to it called near, and a node that keeps both connected.
func distant(t *testing.T) (*far, []*node.Node) {
	t.Helper()
	run(t, "ip link del outside") // the cable is the only way out
	var peers []*node.Node
	var addrs []tari.Address
	err := elsewhere(t, func(pid int) error {
		for _, command := range []string{
			"ip link set lo up",
			fmt.Sprintf("ip link add there type veth peer name near netns %d", pid),
			"ip addr add 10.7.0.2/24 dev there",
			"ip link set there up",
		} {
			args := strings.Fields(command)
			if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
				return fmt.Errorf("%s: %w: %s", command, err, out)
			}
		}
		for range 2 {
			// On an errand: its manager would watch the wrong namespace.
			p, err := node.Errand(t.Context(), node.Config{Listen: []ma.Multiaddr{ma.StringCast("/ip4/10.7.0.2/tcp/0")}})
			if err != nil {
				return err
			}
			t.Cleanup(func() { _ = p.Close() })
			peers = append(peers, p)
			addrs = append(addrs, tari.Address{Key: p.Host.PublicKey(), Addrs: p.Host.Network().ListenAddresses()})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	run(t, "ip addr add 10.7.0.1/24 dev near")
	run(t, "ip link set near up")
	f := new(far)
	f.node, err = node.Start(t.Context(), node.Config{Peers: addrs, OnEvent: func(e node.Event) {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.events = append(f.events, e)
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.node.Close() })
	eventually(t, "connected", func() bool { return f.connections() == len(peers) })
	return f, peers
}

// elsewhere runs f on a thread in a network namespace of its own, where what f listens on and which commands it starts are. f gets the
// number of a process in the test's namespace.
func elsewhere(t *testing.T, f func(pid int) error) error {
	t.Helper()
	here := exec.Command("sleep", "3600")
	here.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := here.Start(); err != nil {
		return err
	}
	t.Cleanup(func() { _ = here.Process.Kill(); _ = here.Wait() })
	done := make(chan error)
	go func() {
		runtime.LockOSThread() // and the thread ends with the goroutine
		if err := syscall.Unshare(syscall.CLONE_NEWNET); err != nil {
			done <- err
			return
		}
		done <- f(here.Process.Pid)
	}()
	return <-done
}

// connections are those that stand.
func (f *far) connections() (n int) {
	for _, c := range f.node.Host.Network().Conns() {
		if !c.IsClosed() {
			n++
		}
	}
	return n
}

func (f *far) mark() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return len(f.events)
}

func (f *far) since(mark int, kind node.EventKind) []node.Event {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(f.events[mark:]), func(e node.Event) bool { return e.Kind != kind })
}

// blamesNobody: no failure of an address is kept in the book.
func (f *far) blamesNobody(t *testing.T) {
	t.Helper()
	for _, r := range f.node.Peers.List(nil) {
		for _, a := range r.Addresses {
			if a.Failures != 0 || a.Failure != "" {
				t.Errorf("%s is blamed: %d failures, %s", a.Addr, a.Failures, a.Failure)
			}
		}
	}
}

func run(t *testing.T, command string) {
	t.Helper()
	args := strings.Fields(command)
	if out, err := exec.Command(args[0], args[1:]...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", command, err, out)
	}
}
