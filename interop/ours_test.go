//go:build interop

package interop

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// duplexID is the custom protocol of the Rust programs: two u64, big-endian,
// size and seed; then both sides write size bytes at the same time.
const duplexID = protocol.ID("duplex/1")

// ourNode is our host with the messaging protocol, and a record of what happens
// to it.
type ourNode struct {
	t    testing.TB
	cfg  tari.Config
	host *tari.Host
	msgs *messagingproto.Service

	inbox    record[message]
	failed   record[failure]
	offences record[offence]
	duplexes record[duplexEnd]
}

type message struct {
	from   peer.ID
	size   int
	sha256 string
}

type failure struct {
	dir network.Direction
	err error
}

type offence struct {
	from peer.ID
	ban  time.Duration
	err  error
}

type duplexEnd struct {
	received int
	sha256   string
	err      error
}

// startOurs starts a node of ours; zero fields of cfg get values for loopback.
func startOurs(t testing.TB, cfg tari.Config) *ourNode {
	t.Helper()
	n := &ourNode{t: t}
	if cfg.Key.IsZero() {
		cfg.Key = newKey(t)
	}
	if cfg.Listen == nil {
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	}
	cfg.AllowTestAddresses = true
	cfg.UserAgent = "tari-libp2p/interop"
	cfg.Hooks.OnFailed = func(_ peer.ID, dir network.Direction, _ ma.Multiaddr, err error) {
		n.failed.add(failure{dir, err})
	}
	cfg.Hooks.OnOffence = func(p peer.ID, ban time.Duration, err error) { n.offences.add(offence{p, ban, err}) }
	n.cfg = cfg
	n.start()
	t.Cleanup(n.close)
	return n
}

func (n *ourNode) start() {
	n.t.Helper()
	var err error
	if n.host, err = tari.New(n.cfg); err != nil {
		n.t.Fatal(err)
	}
	n.cfg.Listen = n.host.Network().ListenAddresses() // the same port after a restart
	if n.msgs, err = messagingproto.New(n.host, messagingproto.Config{OnViolation: n.host.Offence}); err != nil {
		n.t.Fatal(err)
	}
	n.msgs.Handle(func(_ context.Context, from peer.ID, body []byte) {
		n.inbox.add(message{from, len(body), sha256Hex(body)})
	})
	n.host.SetStreamHandler(duplexID, func(s network.Stream) {
		n.duplexes.add(serveDuplex(s))
	})
}

func (n *ourNode) close() {
	if err := errors.Join(n.msgs.Close(), n.host.Close()); err != nil {
		n.t.Logf("close: %v", err)
	}
}

func (n *ourNode) restart() {
	n.t.Helper()
	n.close()
	n.start()
}

func (n *ourNode) key() tarikey.PublicKey { return n.cfg.Key.Public() }
func (n *ourNode) nodeID() string         { return n.key().NodeID().String() }
func (n *ourNode) address() string        { return n.host.Network().ListenAddresses()[0].String() }

// peerID is the libp2p id of a Rust peer.
func peerID(t testing.TB, p *rustPeer) peer.ID {
	t.Helper()
	key, err := tarikey.PublicKeyFromHex(p.ready.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	return key.PeerID()
}

func addrInfo(t testing.TB, p *rustPeer) peer.AddrInfo {
	t.Helper()
	return peer.AddrInfo{ID: peerID(t, p), Addrs: []ma.Multiaddr{ma.StringCast(p.ready.Address)}}
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}

// connect has one side dial the other and waits until both are connected.
func connect(t testing.TB, us *ourNode, rust *rustPeer, weDial bool) {
	t.Helper()
	from := rust.at()
	if weDial {
		if err := us.host.Connect(patient(t), addrInfo(t, rust)); err != nil {
			t.Fatalf("we dial: %v", err)
		}
	} else {
		rust.do("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}})
	}
	rust.waitFrom(from, "the connection", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == us.nodeID() })
	waitUntil(t, "our side of the connection", func() bool {
		_, ok := us.host.Claim(peerID(t, rust))
		return ok
	})
}

// waitUntil asks again and again; for what cannot be waited for.
func waitUntil(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("not within %v: %s", patience, what)
		}
	}
}

// toRust sends a message of ours and checks it where it arrives.
func toRust(t testing.TB, us *ourNode, rust *rustPeer, size int, series uint64) {
	t.Helper()
	from := rust.at()
	body := patternMessage(series, 0, size)
	if err := us.msgs.Send(patient(t), peerID(t, rust), body); err != nil {
		t.Fatalf("send of %d bytes: %v", size, err)
	}
	got := rust.waitFrom(from, fmt.Sprintf("our message of %d bytes", size), isMessage)
	if got.Size != size || got.SHA256 != sha256Hex(body) || got.NodeID != us.nodeID() {
		t.Fatalf("sent %d bytes %s, Rust got %s", size, sha256Hex(body), got.line)
	}
}

// fromRust sends a message of Rust's and checks it where it arrives.
func fromRust(t testing.TB, us *ourNode, rust *rustPeer, size int, series uint64) {
	t.Helper()
	from := us.inbox.len()
	rust.do("send", map[string]any{"node_id": us.nodeID(), "size": size, "seed": series})
	got := us.inbox.waitFor(t, fmt.Sprintf("Rust's message of %d bytes", size), from, 1)[0]
	if want := sha256Hex(patternMessage(series, 0, size)); got.size != size || got.sha256 != want || got.from != peerID(t, rust) {
		t.Fatalf("Rust sent %d bytes %s, we got %d bytes %s from %s", size, want, got.size, got.sha256, got.from)
	}
}

// notBanned asks Rust whether it has anything against our normal identity.
func notBanned(t testing.TB, us *ourNode, rust *rustPeer) {
	t.Helper()
	if s := rust.in(t).stored(us.key()); s.Banned {
		t.Fatalf("our identity is banned: %s", s.BanReason)
	}
}

// record is a list that grows while others wait for it.
type record[T any] struct {
	mu    sync.Mutex
	items []T
	more  chan struct{}
}

func (r *record[T]) add(item T) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.items = append(r.items, item)
	if r.more != nil {
		close(r.more)
		r.more = nil
	}
}

func (r *record[T]) len() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.items)
}

// all is what is there now.
func (r *record[T]) all() []T {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]T(nil), r.items...)
}

// reach waits for n items and says whether they came.
func (r *record[T]) reach(n int) bool {
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		if len(r.items) >= n {
			r.mu.Unlock()
			return true
		}
		if r.more == nil {
			r.more = make(chan struct{})
		}
		more := r.more
		r.mu.Unlock()
		select {
		case <-more:
			deadline.Reset(patience) // patience is for silence
		case <-deadline.C:
			return false
		}
	}
}

// waitFor returns the n items from the given place on.
func (r *record[T]) waitFor(t testing.TB, what string, from, n int) []T {
	t.Helper()
	if !r.reach(from + n) {
		t.Fatalf("%d of %d within %v: %s", r.len()-from, n, patience, what)
	}
	return r.all()[from : from+n]
}
