package messagingproto_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// The tests in this file run over hosts that speak Tari, in both dialects.

// patience is what a test waits for something that will surely happen.
const patience = time.Minute

var networks = []dialect.Network{dialect.Localnet, dialect.Stibbons}

// node is a host and its messages.
type node struct {
	*tari.Host
	messages *messagingproto.Service
}

func startNode(t testing.TB, n dialect.Network, hooks tari.Hooks, handle messagingproto.Handler) *node {
	t.Helper()
	h, err := tari.New(tari.Config{
		Network:            n,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true,
		Hooks:              hooks,
	})
	if err != nil {
		t.Fatal(err)
	}
	s, err := messagingproto.New(h, messagingproto.Config{OnViolation: h.Offence})
	if err != nil {
		t.Fatal(err)
	}
	s.Handle(handle)
	t.Cleanup(func() {
		s.Close()
		h.Close()
	})
	return &node{h, s}
}

// knows tells the node where another is, without connecting.
func (n *node) knows(other *node) {
	n.Peerstore().AddAddrs(other.ID(), other.Addrs(), time.Hour)
}

func ignore(context.Context, peer.ID, []byte) {}

func eachNetwork(t *testing.T, f func(*testing.T, dialect.Network)) {
	for _, n := range networks {
		t.Run(n.Name, func(t *testing.T) { f(t, n) })
	}
}

func await(t *testing.T, c <-chan struct{}, what string) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatalf("for a long time not: %s", what)
	}
}

func TestTariSizes(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n dialect.Network) {
		got := make(chan []byte, 1)
		a := startNode(t, n, tari.Hooks{}, ignore)
		b := startNode(t, n, tari.Hooks{}, func(_ context.Context, from peer.ID, m []byte) {
			if from != a.ID() {
				t.Errorf("from %s", from)
			}
			got <- bytes.Clone(m)
		})
		a.knows(b)
		for _, size := range []int{0, 1, 1024, 65519, 65520, 1 << 20, messagingproto.MaxMessage} {
			m := bytes.Repeat([]byte("0123456"), size/7+1)[:size]
			if err := a.messages.Send(t.Context(), b.ID(), m); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			select {
			case g := <-got:
				if !bytes.Equal(g, m) {
					t.Errorf("%d bytes arrived changed", size)
				}
			case <-time.After(patience):
				t.Fatalf("%d bytes did not arrive", size)
			}
		}
	})
}

// Everything that was sent arrives, in order, although the sender closes at once.
func TestTariNothingIsLostAtClose(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n dialect.Network) {
		const count = 10_000
		var next uint32
		finished := make(chan struct{})
		a := startNode(t, n, tari.Hooks{}, ignore)
		b := startNode(t, n, tari.Hooks{}, func(_ context.Context, _ peer.ID, m []byte) {
			if i := binary.BigEndian.Uint32(m); i != next {
				t.Errorf("message %d, want %d", i, next)
			}
			if next++; next == count {
				close(finished)
			}
		})
		a.knows(b)
		m := make([]byte, 1<<10)
		for i := range uint32(count) {
			binary.BigEndian.PutUint32(m, i)
			if err := a.messages.Send(t.Context(), b.ID(), m); err != nil {
				t.Fatal(err)
			}
		}
		a.messages.Close()
		a.Close()
		await(t, finished, "all messages")
	})
}

// Both dial each other with their first message; whichever connection stays,
// each message arrives once.
func TestTariBothDial(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n dialect.Network) {
		for range 5 {
			const each = 200
			var wait sync.WaitGroup // for what arrives, and for the senders to hear of it
			wait.Add(2 * each)
			var arrived atomic.Int32
			handle := func(context.Context, peer.ID, []byte) {
				if arrived.Add(1) <= 2*each {
					wait.Done()
				}
			}
			a, b := startNode(t, n, tari.Hooks{}, handle), startNode(t, n, tari.Hooks{}, handle)
			a.knows(b)
			b.knows(a)
			for _, d := range [][2]*node{{a, b}, {b, a}} {
				wait.Go(func() {
					for i := range each {
						if err := d[0].messages.Send(t.Context(), d[1].ID(), []byte{byte(i)}); err != nil {
							t.Errorf("message %d: %v", i, err)
							wait.Done()
						}
					}
				})
			}
			done := make(chan struct{})
			go func() { wait.Wait(); close(done) }()
			await(t, done, "all messages of both")
			if n := arrived.Load(); n != 2*each {
				t.Errorf("%d messages arrived, %d were sent", n, 2*each)
			}
		}
	})
}

func TestTariViolationBans(t *testing.T) {
	eachNetwork(t, func(t *testing.T, n dialect.Network) {
		banned := make(chan time.Duration, 1)
		a := startNode(t, n, tari.Hooks{}, ignore)
		b := startNode(t, n, tari.Hooks{OnOffence: func(p peer.ID, d time.Duration, _ error) {
			if p != a.ID() {
				t.Errorf("%s is banned", p)
			}
			banned <- d
		}}, ignore)
		a.knows(b)
		ids := []protocol.ID{tariproto.Messaging, tariproto.MessagingSeed}
		for _, id := range ids {
			s, err := a.NewStream(t.Context(), b.ID(), id)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := s.Write([]byte{0, 0x80, 0, 1}); err != nil {
				t.Fatal(err)
			}
			select {
			case d := <-banned:
				if d != 10*time.Minute {
					t.Errorf("%s: banned for %v", id, d)
				}
			case <-time.After(patience):
				t.Fatalf("%s: nobody was banned", id)
			}
			gone := func() bool { return a.Network().Connectedness(b.ID()) != network.Connected }
			for deadline := time.Now().Add(patience); !gone() && time.Now().Before(deadline); {
				time.Sleep(time.Millisecond)
			}
		}
	})
}

// A peer that stops reading holds up its own messages and nobody else's.
func TestTariPeerStopsReading(t *testing.T) {
	block := make(chan struct{})
	arrived := make(chan struct{}, 100)
	a := startNode(t, dialect.Localnet, tari.Hooks{}, ignore)
	stuck := startNode(t, dialect.Localnet, tari.Hooks{}, func(context.Context, peer.ID, []byte) { <-block })
	t.Cleanup(func() { close(block) })
	fine := startNode(t, dialect.Localnet, tari.Hooks{}, func(context.Context, peer.ID, []byte) { arrived <- struct{}{} })
	a.knows(stuck)
	a.knows(fine)
	m := make([]byte, 1<<20)
	if err := a.messages.Send(t.Context(), stuck.ID(), m); err != nil {
		t.Fatal(err)
	}
	full := false
	for !full { // until window and queue are full
		if err := a.messages.SendAsync(stuck.ID(), m, nil); err != nil {
			if messagingproto.ReasonOf(err) != messagingproto.QueueFull {
				t.Fatal(err)
			}
			full = true
		}
	}
	for range 20 {
		if err := a.messages.Send(t.Context(), fine.ID(), m); err != nil {
			t.Fatal(err)
		}
		await(t, arrived, "a message to the peer that reads")
	}
}

// BenchmarkTari is messages a second between two hosts of this process, sender
// and receiver together.
func BenchmarkTari(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			var left atomic.Int64
			finished := make(chan struct{})
			left.Store(int64(b.N))
			from := startNode(b, dialect.Localnet, tari.Hooks{}, ignore)
			to := startNode(b, dialect.Localnet, tari.Hooks{}, func(context.Context, peer.ID, []byte) {
				if left.Add(-1) == 0 {
					close(finished)
				}
			})
			from.knows(to)
			m := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			slots := make(chan struct{}, 400)
			done := func(res messagingproto.Result) {
				if res.Err != nil {
					b.Error(res.Err)
				}
				<-slots
			}
			for range b.N {
				slots <- struct{}{}
				for {
					err := from.messages.SendAsync(to.ID(), m, done)
					if err == nil {
						break
					}
					if messagingproto.ReasonOf(err) != messagingproto.QueueFull {
						b.Fatal(err)
					}
					time.Sleep(time.Millisecond)
				}
			}
			<-finished
		})
	}
}
