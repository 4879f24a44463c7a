package messagingproto

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/sec"
	blankhost "github.com/libp2p/go-libp2p/p2p/host/blank"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/insecure"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// The tests in this file run over stock go-libp2p: swarm, TCP, yamux.

// patience is what a test waits for something that will surely happen.
const patience = time.Minute

func stockHost(t *testing.T) host.Host {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	sk, pk, err := crypto.GenerateEd25519Key(rand.Reader)
	must(err)
	id, err := peer.IDFromPublicKey(pk)
	must(err)
	ps, err := pstoremem.NewPeerstore()
	must(err)
	must(ps.AddPrivKey(id, sk))
	must(ps.AddPubKey(id, pk))
	bus := eventbus.NewBus()
	sw, err := swarm.NewSwarm(id, ps, bus)
	must(err)
	up, err := upgrader.New(
		[]sec.SecureTransport{insecure.NewWithIdentity(insecure.ID, id, sk)},
		[]upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}, nil, nil, nil)
	must(err)
	tr, err := tcp.NewTCPTransport(up, nil, nil, tcp.DisableReuseport())
	must(err)
	must(sw.AddTransport(tr))
	must(sw.Listen(ma.StringCast("/ip4/127.0.0.1/tcp/0")))
	h := blankhost.NewBlankHost(sw, blankhost.WithEventBus(bus))
	t.Cleanup(func() {
		h.Close()
		ps.Close()
	})
	return h
}

// stockPair returns two services; the first knows where the second is.
func stockPair(t *testing.T, handle Handler) (a, b *Service) {
	t.Helper()
	ha, hb := stockHost(t), stockHost(t)
	ha.Peerstore().AddAddrs(hb.ID(), hb.Addrs(), peerstore.PermanentAddrTTL)
	a, b = newService(t, ha, Config{}), newService(t, hb, Config{})
	b.Handle(handle)
	return a, b
}

func TestStockTenThousandInOrder(t *testing.T) {
	const n = 10_000
	var next uint32
	finished := make(chan struct{})
	a, b := stockPair(t, func(_ context.Context, _ peer.ID, m []byte) {
		if i := binary.BigEndian.Uint32(m); len(m) != 1<<10 || i != next {
			t.Errorf("message %d with %d bytes, want message %d", i, len(m), next)
		}
		if next++; next == n {
			close(finished)
		}
	})
	slots := make(chan struct{}, 400) // fewer than the queue takes
	m := make([]byte, 1<<10)
	for i := range uint32(n) {
		slots <- struct{}{}
		binary.BigEndian.PutUint32(m, i)
		err := a.SendAsync(b.host.ID(), m, func(res Result) {
			if res.Err != nil {
				t.Errorf("message %d: %v", i, res.Err)
			}
			<-slots
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	await(t, finished)
}

func await(t *testing.T, c <-chan struct{}) {
	t.Helper()
	select {
	case <-c:
	case <-time.After(patience):
		t.Fatal("nothing happened for a long time")
	}
}

func TestStockSizes(t *testing.T) {
	got := make(chan []byte, 1)
	a, b := stockPair(t, func(_ context.Context, _ peer.ID, m []byte) { got <- bytes.Clone(m) })
	for _, size := range []int{0, 1, 1024, 65519, 65520, 1 << 20, MaxMessage} {
		m := make([]byte, size)
		rand.Read(m)
		if err := a.Send(t.Context(), b.host.ID(), m); err != nil {
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
	if err := a.Send(t.Context(), b.host.ID(), make([]byte, MaxMessage+1)); ReasonOf(err) != TooLarge {
		t.Errorf("8 MiB + 1: %v", err)
	}
}

func TestStockPeerDown(t *testing.T) {
	a, b := stockPair(t, func(context.Context, peer.ID, []byte) {})
	b.host.Close()
	if err := a.Send(t.Context(), b.host.ID(), []byte("hello")); ReasonOf(err) != DialFailed {
		t.Errorf("got %v", err)
	}
}

// 1,001 messages to a peer that is down: every one comes back with its reason.
func TestStockManyToPeerDown(t *testing.T) {
	a, b := stockPair(t, func(context.Context, peer.ID, []byte) {})
	b.host.Close()
	messages, _ := numbered(1001)
	got := reasonsOf(a.SendMany(t.Context(), b.host.ID(), messages))
	if got[DialFailed] < 500 || got[DialFailed]+got[QueueFull] != 1001 {
		t.Errorf("got %v", got)
	}
	a.Close() // the last answer comes before the queue goes
	if n := len(a.outboxes); n != 0 {
		t.Errorf("%d queues are kept", n)
	}
}

// The connection is cut while the peer does not read: what was queued goes out on
// the next connection.
func TestStockConnectionCut(t *testing.T) {
	all := make(chan struct{})
	stalled := make(chan struct{})
	resume := make(chan struct{})
	var once, last sync.Once
	const n = 60
	a, b := stockPair(t, func(_ context.Context, _ peer.ID, m []byte) {
		once.Do(func() { close(stalled); <-resume })
		if m[0] == n-1 {
			last.Do(func() { close(all) })
		}
	})
	out := outcomes{t: t}
	out.send(a, b.host.ID(), fill(0, 1<<20))
	await(t, stalled) // there is a stream: the queue may be long
	for i := 1; i < n; i++ {
		out.send(a, b.host.ID(), fill(byte(i), 1<<20)) // more than any window
	}
	a.host.Network().ClosePeer(b.host.ID())
	close(resume)
	for i, r := range out.reasons() {
		if r != 0 {
			t.Errorf("message %d: %v", i, r)
		}
	}
	await(t, all)
}

func TestStockBothWays(t *testing.T) {
	ha, hb := stockHost(t), stockHost(t)
	ha.Peerstore().AddAddrs(hb.ID(), hb.Addrs(), peerstore.PermanentAddrTTL)
	hb.Peerstore().AddAddrs(ha.ID(), ha.Addrs(), peerstore.PermanentAddrTTL) // it may not know the connection yet
	a, b := newService(t, ha, Config{}), newService(t, hb, Config{})
	const senders, each = 10, 200
	var wait sync.WaitGroup
	wait.Add(2 * senders * each)
	take := func(context.Context, peer.ID, []byte) { wait.Done() }
	a.Handle(take)
	b.Handle(take)
	if err := ha.Connect(t.Context(), peer.AddrInfo{ID: hb.ID(), Addrs: hb.Addrs()}); err != nil {
		t.Fatal(err)
	}
	for i := range senders {
		for _, d := range []struct {
			s  *Service
			to peer.ID
		}{{a, hb.ID()}, {b, ha.ID()}} {
			go func() {
				for j := range each {
					if err := d.s.Send(t.Context(), d.to, fmt.Append(nil, i, j)); err != nil {
						t.Error(err)
						wait.Done()
					}
				}
			}()
		}
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	await(t, done)
}

// Close has written everything; the host may be closed once the peer has it.
func TestStockCloseFlushes(t *testing.T) {
	const n = 200
	var wait sync.WaitGroup
	wait.Add(n)
	a, b := stockPair(t, func(context.Context, peer.ID, []byte) { wait.Done() })
	out := outcomes{t: t}
	for range n {
		out.send(a, b.host.ID(), fill('x', 1<<10))
	}
	a.Close()
	sent := 0
	for _, r := range out.reasons() { // on a loaded machine 2 s may not be enough
		switch r {
		case 0:
			sent++
		case Closed, DialFailed:
			wait.Done()
		default:
			t.Errorf("got %v", r)
		}
	}
	done := make(chan struct{})
	go func() { wait.Wait(); close(done) }()
	await(t, done)
	t.Logf("%d of %d sent", sent, n)
}

// A stream handler of somebody else that sends too much is cut off.
func TestStockTooLargeFrame(t *testing.T) {
	violated := make(chan error, 1)
	ha, hb := stockHost(t), stockHost(t)
	b := newService(t, hb, Config{OnViolation: func(_ peer.ID, err error) { violated <- err }})
	b.Handle(func(context.Context, peer.ID, []byte) { t.Error("a message arrived") })
	if err := ha.Connect(t.Context(), peer.AddrInfo{ID: hb.ID(), Addrs: hb.Addrs()}); err != nil {
		t.Fatal(err)
	}
	s, err := ha.NewStream(t.Context(), hb.ID(), tariproto.Messaging)
	if err != nil {
		t.Fatal(err)
	}
	s.Write([]byte{0, 0x80, 0, 1})
	s.SetReadDeadline(time.Now().Add(patience))
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the peer answered")
	}
	select {
	case err := <-violated:
		if _, ok := err.(interface{ BanFor() time.Duration }); !ok {
			t.Errorf("%v does not ban", err)
		}
	case <-time.After(patience):
		t.Error("nobody was told")
	}
}
