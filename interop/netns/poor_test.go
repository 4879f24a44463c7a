//go:build interop && linux

package netns

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/interop/pattern"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// link is how far, how lossy and how narrow a link is.
type link struct {
	delay time.Duration // there and back
	loss  int           // percent of the packets, each way
	mbit  int
}

func (l link) lane() lane {
	return lane{delay: l.delay / 2, loss: float64(l.loss) / 100, rate: l.mbit * 1_000_000}
}

func (l link) String() string { return fmt.Sprintf("%v,%d%%,%dMbit", l.delay, l.loss, l.mbit) }

// TestPoorLinks: over links with delay, loss and little room our nodes, and the Rust peer, connect within their deadlines, all messages arrive
// in order both ways, nobody is banned and nobody disconnects.
func TestPoorLinks(t *testing.T) {
	few := []link{{0, 10, 100}, {50 * time.Millisecond, 1, 1}, {200 * time.Millisecond, 1, 100}, {800 * time.Millisecond, 0, 1}}
	links := few
	if os.Getenv("TARI_LIBP2P_LONG") == "1" {
		links = nil
		for _, delay := range []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, 800 * time.Millisecond} {
			for _, loss := range []int{0, 1, 10} {
				links = append(links, link{delay, loss, 1}, link{delay, loss, 100})
			}
		}
	}
	began := time.Now()
	out := inside(t, func(t *testing.T) {
		var lanes []lane
		for _, l := range links {
			lanes = append(lanes, l.lane(), l.lane()) // for us and us, and for us and Rust
		}
		bin := rustBinary(t)
		var ours []*ourEnd
		var rusts []*rustEnd
		count := layWire(t, lanes, func() error {
			for i := range links {
				// On an errand: its manager would watch the wrong namespace.
				e, err := newOurEnd(t, farIP(2*i), node.Errand)
				if err != nil {
					return err
				}
				ours = append(ours, e)
				if bin == "" {
					continue
				}
				r, err := newRustEnd(t, bin, farIP(2*i+1))
				if err != nil {
					return err
				}
				rusts = append(rusts, r)
			}
			return nil
		})
		t.Cleanup(func() { t.Logf("packets: %d sent, %d lost", count.sent.Load(), count.lost.Load()) })
		for i, l := range links {
			t.Run(l.String()+"/ours", func(t *testing.T) {
				t.Parallel()
				overLink(t, l, nearIP(2*i), ours[i], true)
			})
			if bin == "" {
				continue
			}
			t.Run(l.String()+"/rust", func(t *testing.T) {
				t.Parallel()
				overLink(t, l, nearIP(2*i+1), rusts[i], i/2%2 == 0)
			})
		}
	})
	if os.Getenv(insideEnv) != "" {
		return
	}
	pairs, again := strings.Count(out, "connected at the first attempt"), strings.Count(out, "connected at attempt ")
	t.Logf("row: links with delay, loss and little room (%d combinations) | connected within the deadlines, all messages in order, nobody banned or disconnected | %d pairs, of ours and with the Rust peer: all so, %d of them at the first attempt, in %v; %s",
		len(links), pairs+again, pairs, time.Since(began).Round(time.Second), regexp.MustCompile("packets: .*").FindString(out))
}

// end is the far end of a link.
type end interface {
	name() (key tarikey.PublicKey, addr ma.Multiaddr)
	connected(to tarikey.PublicKey) bool
	dial(key tarikey.PublicKey, addr ma.Multiaddr) error
	send(to tarikey.PublicKey, seed uint64, count, size int) error // in order; returns when all are sent
	got() []string
	bans() []string // all there have been
}

// overLink is what happens on one link.
func overLink(t *testing.T, l link, ip string, there end, weDial bool) {
	here, err := newOurEnd(t, ip, node.Start)
	if err != nil {
		t.Fatal(err)
	}
	connect(t, l, here, there, weDial)
	ourKey, _ := here.name()
	theirKey, _ := there.name()
	conns := here.node.Host.Network().ConnsToPeer(theirKey.PeerID())
	if len(conns) != 1 {
		t.Fatalf("%d connections", len(conns))
	}

	large := 200_000
	if l.mbit == 1 {
		large = 50_000
	}
	const seed, seedThere = 1, 2
	sent := make(chan error, 2)
	for _, way := range []struct {
		from end
		to   tarikey.PublicKey
		seed uint64
	}{{here, theirKey, seed}, {there, ourKey, seedThere}} {
		go func() {
			err := way.from.send(way.to, way.seed, 20, 1024)
			if err == nil {
				err = way.from.send(way.to, way.seed+10, 1, large)
			}
			sent <- err
		}()
	}
	for range cap(sent) {
		if err := <-sent; err != nil {
			t.Errorf("sending: %v", err)
		}
	}
	for _, way := range []struct {
		to   end
		seed uint64
	}{{there, seed}, {here, seedThere}} {
		var want []string
		for i := range 20 {
			want = append(want, sum(pattern.Message(way.seed, i, 1024)))
		}
		want = append(want, sum(pattern.Message(way.seed+10, 0, large)))
		eventually(t, "all messages have arrived", func() bool { return len(way.to.got()) >= len(want) })
		if !slices.Equal(way.to.got(), want) {
			t.Errorf("%T got messages that are not those sent, or not in their order", way.to)
		}
	}

	for _, e := range []end{here, there} {
		if bans := e.bans(); len(bans) != 0 {
			t.Errorf("%T bans its peer: %q", e, bans)
		}
	}
	if conns[0].IsClosed() {
		t.Error("the connection was lost")
	}
}

// connect makes the connection, in as many attempts as it takes: on a link that loses every tenth packet a handshake may pass its deadline.
func connect(t *testing.T, l link, here *ourEnd, there end, weDial bool) {
	t.Helper()
	from, to := end(here), there
	if !weDial {
		from, to = there, end(here)
	}
	key, addr := to.name()
	ourKey, _ := here.name()
	theirKey, _ := there.name()
	began := time.Now()
	for attempt := 1; ; attempt++ {
		err := from.dial(key, addr)
		// Who dials is connected before the other, or for nothing if the other has given up.
		for err == nil && here.connected(theirKey) && !there.connected(ourKey) {
			time.Sleep(20 * time.Millisecond)
		}
		if err == nil && here.connected(theirKey) {
			word := "the first attempt"
			if attempt > 1 {
				word = fmt.Sprintf("attempt %d", attempt)
			}
			took := time.Since(began)
			t.Logf("connected at %s, after %v", word, took.Round(time.Millisecond))
			if took < 2*l.delay { // TCP's round trip and one of ours
				t.Error("the wire is shorter than it should be")
			}
			return
		}
		t.Logf("attempt %d: %v", attempt, err)
		if time.Since(began) > 2*patience {
			t.Fatal("never connected")
		}
		time.Sleep(100 * time.Millisecond)
	}
}

// ourEnd is a node of ours at one end of a link.
type ourEnd struct {
	node   *node.Node
	list        // of the messages that came
	banned list // why, each time
}

func newOurEnd(t *testing.T, ip string, start func(context.Context, node.Config) (*node.Node, error)) (*ourEnd, error) {
	e := new(ourEnd)
	var err error
	e.node, err = start(t.Context(), node.Config{
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/" + ip + "/tcp/0")},
		AllowTestAddresses: true,
		OnEvent: func(ev node.Event) {
			switch ev.Kind {
			case node.EventMessage:
				e.add(sum(ev.Message))
			case node.EventBanned:
				e.banned.add(ev.Error)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(func() { _ = e.node.Close() })
	return e, nil
}

func (e *ourEnd) name() (tarikey.PublicKey, ma.Multiaddr) {
	return e.node.Host.PublicKey(), e.node.Host.Network().ListenAddresses()[0]
}

func (e *ourEnd) connected(to tarikey.PublicKey) bool {
	return e.node.Host.Network().Connectedness(to.PeerID()) == network.Connected
}

func (e *ourEnd) dial(key tarikey.PublicKey, addr ma.Multiaddr) error {
	_, err := e.node.Dial(context.Background(), key.String()+"::"+addr.String())
	return err
}

func (e *ourEnd) send(to tarikey.PublicKey, seed uint64, count, size int) error {
	messages := make([][]byte, count)
	for i := range messages {
		messages[i] = pattern.Message(seed, i, size)
	}
	for i, r := range e.node.Messages.SendMany(context.Background(), to.PeerID(), messages) {
		if r.Err != nil {
			return fmt.Errorf("our message %d: %w", i, r.Err)
		}
	}
	return nil
}

func (e *ourEnd) got() []string { return e.all() }

func (e *ourEnd) bans() []string { return e.banned.all() }

// rustEnd is a Rust peer at the far end of a link.
type rustEnd struct {
	*rust
	list        // of the messages that came
	banned list // why, each time
	key    tarikey.PublicKey
}

func newRustEnd(t *testing.T, bin, ip string) (*rustEnd, error) {
	e := new(rustEnd)
	var err error
	e.rust, err = startRust(exec.Command(bin, "--listen", "/ip4/"+ip+"/tcp/0"), func(l line) {
		switch l.Event {
		case "message":
			e.add(l.SHA256)
		case "banned":
			e.banned.add("banned")
		}
	})
	if err != nil {
		return nil, err
	}
	t.Cleanup(e.quit)
	e.key, err = tarikey.PublicKeyFromHex(e.PublicKey)
	return e, err
}

func (e *rustEnd) name() (tarikey.PublicKey, ma.Multiaddr) { return e.key, ma.StringCast(e.Address) }

func (e *rustEnd) dial(key tarikey.PublicKey, addr ma.Multiaddr) error {
	_, err := e.do("dial", map[string]any{"public_key": key.String(), "addresses": []string{addr.String()}})
	return err
}

func (e *rustEnd) send(to tarikey.PublicKey, seed uint64, count, size int) error {
	_, err := e.do("send", map[string]any{"node_id": to.NodeID().String(), "seed": seed, "count": count, "size": size})
	return err
}

func (e *rustEnd) got() []string { return e.all() }

func (e *rustEnd) bans() []string { return e.banned.all() }

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
