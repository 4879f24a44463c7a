package connectivity

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"math/rand/v2"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// world is a network of fakes on synctest's clock: all that a Manager sees. It checks what must hold of every dial.
type world struct {
	t    *testing.T
	seed uint64
	m    *Manager
	cfg  Config

	mu       sync.Mutex
	ids      []peer.ID
	hosts    map[peer.ID]*host
	conns    []Connection
	serial   int
	dials    []dialed
	inFlight map[peer.ID]bool
	noLink   bool
	mute     map[string]bool // connections that answer no ping
	noted    []peer.ID       // dials that were held against the peer
	anchors  []Connection
	events   []Event
	read     sync.WaitGroup
}

type host struct {
	addrs   []ma.Multiaddr
	at      ma.Multiaddr // where its names lead
	down    bool
	silent  bool // when down: does not even refuse
	hangsUp bool // after a second
	seed    bool
	hearsay bool      // until it was reached, there is only a stranger's word for its addresses
	banned  time.Time // until when
	reached time.Time
	dials   int
}

type dialed struct {
	at time.Time
	id peer.ID
	n  int // in flight, this one too
	to []ma.Multiaddr
}

var errDown = errors.New("refused")

// inWorld runs a test in a bubble with count peers, each in a network of its own.
func inWorld(t *testing.T, count int, cfg Config, test func(w *world)) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, count, cfg)
		test(w)
		w.close()
	})
}

func newWorld(t *testing.T, seed uint64, count int, cfg Config) *world {
	if cfg.Rand == nil {
		cfg.Rand = rand.NewPCG(seed, 2)
	}
	w := &world{
		t: t, seed: seed, cfg: cfg.withDefaults(),
		hosts: map[peer.ID]*host{}, inFlight: map[peer.ID]bool{}, mute: map[string]bool{},
	}
	for i := range count {
		w.add(fmt.Sprintf("p%03d", i), &host{addrs: []ma.Multiaddr{ipAddr(i+20, 1)}})
	}
	return w
}

// ipAddr is an address in the n-th /16.
func ipAddr(n, k int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/%d.%d.%d.%d/tcp/18189", 20+n/250, n%250, k/250, 1+k%250))
}

func (w *world) add(name string, h *host) peer.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	id := peer.ID(name)
	w.ids = append(w.ids, id)
	w.hosts[id] = h
	return id
}

// start starts the Manager, also again after stop.
func (w *world) start(held ...peer.ID) {
	m := Start(Parts{w, w, w, w, w, w, w}, w.cfg)
	w.mu.Lock()
	w.m = m
	w.mu.Unlock()
	for _, id := range held {
		w.m.Hold(id)
	}
	w.read.Go(func() {
		for e := range m.Events() {
			w.mu.Lock()
			w.events = append(w.events, e)
			w.mu.Unlock()
		}
	})
}

// stop ends the Manager and all connections.
func (w *world) stop() {
	w.m.Close()
	w.read.Wait()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.conns = nil
}

func (w *world) close() { w.m.Close(); w.read.Wait() }

// pass lets time go by and what is due then happen.
func (w *world) pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// dialed are the dials so far.
func (w *world) dialed() []dialed {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.dials)
}

// told are the events so far.
func (w *world) told() []Event {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.events)
}

func (w *world) Dial(ctx context.Context, to peer.AddrInfo) ([]ma.Multiaddr, error) {
	w.mu.Lock()
	h := w.hosts[to.ID]
	h.dials++
	if w.inFlight[to.ID] {
		w.t.Errorf("two dials to %s at a time", to.ID)
	}
	w.inFlight[to.ID] = true
	w.dials = append(w.dials, dialed{time.Now(), to.ID, len(w.inFlight), to.Addrs})
	addrs := to.Addrs
	if len(addrs) == 0 {
		addrs = h.addrs
	}
	latency := w.latency(to.ID, h.dials)
	refused := h.down && !h.silent || w.noLink || time.Now().Before(h.banned)
	never := h.down && h.silent && !w.noLink
	w.mu.Unlock()
	defer func() { w.mu.Lock(); delete(w.inFlight, to.ID); w.mu.Unlock() }()
	if never {
		<-ctx.Done()
		time.Sleep(latency / 1000) // see latency
		return addrs, ctx.Err()
	}
	wait := time.NewTimer(latency)
	defer wait.Stop()
	select {
	case <-ctx.Done():
		time.Sleep(latency / 1000)
		return nil, ctx.Err()
	case <-wait.C:
	}
	w.mu.Lock()
	if refused || h.down || w.noLink {
		w.mu.Unlock()
		return addrs, errDown
	}
	h.reached = time.Now()
	remote := addrs[0]
	if h.at != nil {
		remote = h.at
	}
	id := w.connect(Connection{Peer: to.ID, Remote: remote, Seed: h.seed})
	w.mu.Unlock()
	if h.hangsUp {
		time.AfterFunc(time.Second, func() { w.cut(id) })
	}
	return nil, nil
}

// latency differs with each dial, so that no two things happen at one moment.
func (w *world) latency(id peer.ID, n int) time.Duration {
	f := fnv.New64a()
	fmt.Fprintf(f, "%d %s %d", w.seed, id, n)
	return 10*time.Millisecond + time.Duration(f.Sum64()%uint64(time.Second))
}

// connect makes a connection; w.mu is held.
func (w *world) connect(c Connection) string {
	w.serial++
	c.ID, c.Opened = fmt.Sprint(w.serial), time.Now()
	if c.Local == nil {
		c.Local = ma.StringCast("/ip4/9.9.9.9/tcp/5")
	}
	w.conns = append(w.conns, c)
	return c.ID
}

// comeIn makes connections that others dialed, and returns their numbers.
func (w *world) comeIn(all ...Connection) (ids []string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, c := range all {
		if c.Remote == nil {
			c.Remote = ma.StringCast("/ip4/8.8.8.8/tcp/5")
		}
		ids = append(ids, w.connect(c))
	}
	w.m.Changed()
	return ids
}

// cut ends a connection from the other side.
func (w *world) cut(id string) {
	w.mu.Lock()
	w.conns = slices.DeleteFunc(w.conns, func(c Connection) bool { return c.ID == id })
	m := w.m
	w.mu.Unlock()
	m.Changed()
}

// drop ends all connections to a peer, which stays up.
func (w *world) drop(id peer.ID) {
	w.mu.Lock()
	w.conns = slices.DeleteFunc(w.conns, func(c Connection) bool { return c.Peer == id })
	w.mu.Unlock()
	w.m.Changed()
	synctest.Wait()
}

// turn takes a peer down, with its connections, or up again.
func (w *world) turn(id peer.ID, down bool) {
	w.mu.Lock()
	if h := w.hosts[id]; h != nil {
		h.down = down
	}
	if down {
		w.conns = slices.DeleteFunc(w.conns, func(c Connection) bool { return c.Peer == id })
	}
	w.mu.Unlock()
	w.m.Changed()
	synctest.Wait()
}

// turnLink takes our network down or up again. Connections stay, dead, until the Manager ends them.
func (w *world) turnLink(down bool) {
	w.mu.Lock()
	w.noLink = down
	w.mu.Unlock()
	var addrs []netip.Addr
	if !down {
		addrs = []netip.Addr{netip.MustParseAddr("9.9.9.9")}
	}
	w.m.LinkChanged(!down, addrs)
	synctest.Wait()
}

func (w *world) Candidates() (out []Candidate) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, id := range w.ids {
		if h := w.hosts[id]; !time.Now().Before(h.banned) {
			c := Candidate{ID: id, Addrs: h.addrs, Reached: h.reached, Seed: h.seed}
			if h.hearsay && h.reached.IsZero() {
				c.Unproven = h.addrs
			}
			out = append(out, c)
		}
	}
	return out
}

func (w *world) Connections() []Connection {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.conns)
}

func (w *world) CloseConnection(c Connection) {
	time.Sleep(time.Second + w.latency(peer.ID(c.ID), 0)/1000) // what was written is sent
	w.cut(c.ID)
}

func (w *world) Ping(ctx context.Context, c Connection) error {
	w.mu.Lock()
	mute := w.mute[c.ID] || w.noLink
	w.mu.Unlock()
	if mute {
		<-ctx.Done()
		time.Sleep(w.latency(peer.ID(c.ID), 0) / 1000)
		return ctx.Err()
	}
	return nil
}

func (w *world) DialFailed(id peer.ID, _ []ma.Multiaddr, _ error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.noted = append(w.noted, id)
}

func (w *world) KeepAnchors(conns []Connection) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.anchors = conns
	for i, c := range conns {
		if h := w.hosts[c.Peer]; h != nil {
			h.reached = time.Now().Add(time.Duration(i))
		}
	}
}

// states are the StateChanged events so far.
func (w *world) states() (out []State) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, e := range w.events {
		if s, ok := e.(StateChanged); ok {
			out = append(out, s.State)
		}
	}
	return out
}

// gaps are the times between the dials to a peer.
func (w *world) gaps(id peer.ID) (out []time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	var last time.Time
	for _, d := range w.dials {
		if d.id != id {
			continue
		}
		if !last.IsZero() {
			out = append(out, d.at.Sub(last))
		}
		last = d.at
	}
	return out
}

// outbound are the peers that the Manager has connections to by dialing.
func (w *world) outbound() []peer.ID {
	w.mu.Lock()
	defer w.mu.Unlock()
	set := map[peer.ID]bool{}
	for _, c := range w.conns {
		if !c.Inbound {
			set[c.Peer] = true
		}
	}
	return slices.Sorted(maps.Keys(set))
}

func (w *world) connected(id peer.ID) bool { return slices.Contains(w.outbound(), id) }

func (w *world) count(id peer.ID) int { return len(w.gaps(id)) + 1 }

func (w *world) dialCount() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.dials)
}

// checkPace: never more dials in a minute, or at a time, than the figures allow.
func (w *world) checkPace() {
	w.t.Helper()
	w.mu.Lock()
	defer w.mu.Unlock()
	for i, d := range w.dials {
		if d.n > w.cfg.Dials.InFlight {
			w.t.Errorf("%d dials at a time", d.n)
		}
		if k := i - w.cfg.Dials.PerMinute; k >= 0 && d.at.Sub(w.dials[k].at) < time.Minute {
			w.t.Errorf("dial %d is within a minute of the one %d before", i, w.cfg.Dials.PerMinute)
		}
	}
}
