package tari

import (
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
)

// How many addresses are dialed at a time, from connect to the end of the handshake; further ones wait.
const (
	maxDials      = 100 // over all peers (our choice; tari_comms has no bound)
	maxDialsPerIP = 4   // at one IP address: as many handshakes as a tari_comms listener takes from one source
)

// dialing bounds the dials of a host, and keeps the record of those under way.
//
// The swarm sees to it that a peer has one dial, which later callers join, and which ends when the last of them has left.
type dialing struct {
	places chan struct{}

	mu       sync.Mutex
	crowds   map[netip.Addr]*crowd
	underway map[peer.ID]*dial
}

// crowd is what is dialed at one IP address.
type crowd struct {
	places chan struct{}
	users  int // that have a place or wait for one
}

// dial is the record of one peer's dial.
type dial struct {
	callers  int
	rank     map[string]int // addresses by their bytes, the best is 0
	own      []ma.Multiaddr // those that our user configured
	attempts []*attempt     // in the order in which the swarm came to them
	opening  *opening       // what the first connection to be ready says at once; may be nil
	turn     chan struct{}  // full while an attempt has it; see take
	over     context.Context
	end      context.CancelFunc // of over
}

func newDialing() *dialing {
	return &dialing{
		places: make(chan struct{}, maxDials), crowds: make(map[netip.Addr]*crowd), underway: make(map[peer.ID]*dial),
	}
}

// enter begins a peer's record or joins it. leave follows. first, if not nil, is said in the first flight unless somebody else's is. over
// ends when the dial is not needed any more, since the peer has dialed us.
func (d *dialing) enter(p peer.ID, best, own []ma.Multiaddr, first *opening) (over context.Context) {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.underway[p]
	if one == nil {
		one = &dial{rank: make(map[string]int), turn: make(chan struct{}, 1)}
		d.underway[p] = one
	}
	if one.over == nil || one.over.Err() != nil {
		one.over, one.end = context.WithCancel(context.Background())
	}
	one.callers++
	one.own = own
	if one.opening == nil {
		one.opening = first
	}
	for i, a := range best {
		if _, known := one.rank[string(a.Bytes())]; !known {
			one.rank[string(a.Bytes())] = i
		}
	}
	return one.over
}

func (d *dialing) leave(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.underway[p]; one.callers > 1 {
		one.callers--
	} else {
		one.end()
		delete(d.underway, p)
	}
}

// end ends the dial of a peer for all that wait for it.
func (d *dialing) end(p peer.ID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.underway[p]; one != nil {
		one.end()
	}
}

// own are the addresses of a peer that is dialed which our user configured.
func (d *dialing) own(p peer.ID) []ma.Multiaddr {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.underway[p]; one != nil {
		return one.own
	}
	return nil
}

// resolved hands the rank of a name on to an address that it stands for.
func (d *dialing) resolved(name, found ma.Multiaddr) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, one := range d.underway {
		if rank, ok := one.rank[string(name.Bytes())]; ok {
			if old, known := one.rank[string(found.Bytes())]; !known || rank < old {
				one.rank[string(found.Bytes())] = rank
			}
		}
	}
}

// rankOf is the place of an address in the order in which a dial under way wants them; last if none does. The swarm does not say for
// whom it asks: where two dials want the same address, the better place counts.
func (d *dialing) rankOf(a ma.Multiaddr) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	best := 1 << 16
	for _, one := range d.underway {
		if rank, ok := one.rank[string(a.Bytes())]; ok {
			best = min(best, rank)
		}
	}
	return best
}

// attempt finds or begins the record of one address. Who dials past the host has one that nobody reads.
func (d *dialing) attempt(p peer.ID, a ma.Multiaddr) *attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	one := d.underway[p]
	if one != nil {
		for _, at := range one.attempts {
			if at.addr.Equal(a) {
				return at
			}
		}
	}
	at := &attempt{addr: a}
	if one != nil {
		at.opening, at.turn, at.end = one.opening, one.turn, func() { d.end(p) }
		one.attempts = append(one.attempts, at)
	}
	return at
}

// attempts are the records of a peer's addresses.
func (d *dialing) attempts(p peer.ID) []*attempt {
	d.mu.Lock()
	defer d.mu.Unlock()
	if one := d.underway[p]; one != nil {
		return slices.Clone(one.attempts)
	}
	return nil
}

// place waits for a place at the address's IP, then for one among all dials. waits is told what for.
func (d *dialing) place(ctx context.Context, a ma.Multiaddr, waits func(error)) (free func(), err error) {
	leave := func() {}
	if ip, ok := ipOf(a); ok && !ip.IsLoopback() {
		c := d.join(embedded(ip))
		if err := take(ctx, c.places, func() { waits(fmt.Errorf("%d dials to %s are under way", maxDialsPerIP, ip)) }); err != nil {
			d.part(embedded(ip), c)
			return nil, err
		}
		leave = func() {
			<-c.places
			d.part(embedded(ip), c)
		}
	}
	if err := take(ctx, d.places, func() { waits(fmt.Errorf("%d dials are under way", maxDials)) }); err != nil {
		leave()
		return nil, err
	}
	return func() { <-d.places; leave() }, nil
}

func take(ctx context.Context, places chan struct{}, waits func()) error {
	select {
	case places <- struct{}{}:
		return nil
	default:
		waits()
	}
	select {
	case places <- struct{}{}:
		if ctx.Err() == nil {
			return nil
		}
		<-places
	case <-ctx.Done():
	}
	return ctx.Err()
}

func (d *dialing) join(ip netip.Addr) *crowd {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.crowds[ip]
	if c == nil {
		c = &crowd{places: make(chan struct{}, maxDialsPerIP)}
		d.crowds[ip] = c
	}
	c.users++
	return c
}

func (d *dialing) part(ip netip.Addr, c *crowd) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.users--; c.users == 0 {
		delete(d.crowds, ip)
	}
}

// boundTransport is a transport whose dials wait for their place and are on record.
type boundTransport struct {
	transport.Transport
	dials *dialing
}

var (
	_ transport.DialUpdater  = (*boundTransport)(nil)
	_ transport.SkipResolver = (*boundTransport)(nil)
	_ transport.Resolver     = (*boundTransport)(nil)
	_ io.Closer              = (*boundTransport)(nil)
)

// Dial dials when there is a place.
func (t *boundTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	return t.DialWithUpdates(ctx, a, p, nil)
}

// DialWithUpdates is Dial with news of the handshake, if the transport has any.
func (t *boundTransport) DialWithUpdates(ctx context.Context, a ma.Multiaddr, p peer.ID, news chan<- transport.DialUpdate) (transport.CapableConn, error) {
	at := t.dials.attempt(p, a)
	free, err := t.dials.place(ctx, a, at.waits)
	if err != nil {
		return nil, at.outcome(err)
	}
	defer free()
	at.begin()
	ctx = context.WithValue(ctx, attemptKey{}, at)
	var c transport.CapableConn
	if updater, ok := t.Transport.(transport.DialUpdater); ok && news != nil {
		c, err = updater.DialWithUpdates(ctx, a, p, news)
	} else {
		c, err = t.Transport.Dial(ctx, a, p)
	}
	switch {
	case err == nil:
		return c, nil
	case ctx.Err() != nil: // its time, or that of all who wanted the peer
		return nil, at.outcome(err)
	}
	at.fail(err)
	return nil, err
}

// SkipResolve asks the transport, if it has an opinion.
func (t *boundTransport) SkipResolve(ctx context.Context, a ma.Multiaddr) bool {
	skip, ok := t.Transport.(transport.SkipResolver)
	return ok && skip.SkipResolve(ctx, a)
}

// Resolve has the transport resolve an address, if it wants to.
func (t *boundTransport) Resolve(ctx context.Context, a ma.Multiaddr) ([]ma.Multiaddr, error) {
	if r, ok := t.Transport.(transport.Resolver); ok {
		return r.Resolve(ctx, a)
	}
	return []ma.Multiaddr{a}, nil
}

// Close closes the transport, if it can be closed.
func (t *boundTransport) Close() error {
	if c, ok := t.Transport.(io.Closer); ok {
		return c.Close()
	}
	return nil
}

// attempt is the record of one address in a dial.
type attempt struct {
	addr    ma.Multiaddr
	opening *opening      // of its dial
	turn    chan struct{} // of its dial; nil if nobody reads the record
	end     func()        // ends its dial

	mu      sync.Mutex
	refused error // why it is not dialed
	waiting error // what it waits for, before it begins
	began   time.Time
	done    string // the last stage that is behind it
	err     error  // how it ended by itself
}

type attemptKey struct{}

// attemptOf is the record of the dial that ctx belongs to, or one that nobody reads.
func attemptOf(ctx context.Context) *attempt {
	if at, ok := ctx.Value(attemptKey{}).(*attempt); ok {
		return at
	}
	return new(attempt)
}

// turnLimit is how long an attempt waits for another of its dial, which may never end (our choice).
const turnLimit = 2 * time.Second

// take waits until no other attempt of its dial is past the point from which the peer takes the connection for one that stands. Were
// there two, the peer might use the one that we give up once the other is ready, and what it wrote there would be lost. leave gives the
// turn on; more than once is once.
func (a *attempt) take(ctx context.Context) (leave func(), err error) {
	if a.turn == nil {
		return func() {}, nil
	}
	turn := a.turn
	leave = sync.OnceFunc(func() { <-turn })
	select {
	case turn <- struct{}{}:
		return leave, nil
	default:
	}
	limit := time.NewTimer(turnLimit)
	defer limit.Stop()
	select {
	case turn <- struct{}{}:
		return leave, nil
	case <-limit.C:
	case <-ctx.Done():
		err = ctx.Err()
	}
	return func() {}, err
}

func (a *attempt) set(change func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	change()
}

func (a *attempt) refuse(why error) { a.set(func() { a.refused = why }) }
func (a *attempt) waits(what error) { a.set(func() { a.waiting = what }) }
func (a *attempt) begin() {
	a.set(func() { a.began, a.waiting, a.done, a.err = time.Now(), nil, "", nil })
}
func (a *attempt) past(stage string) { a.set(func() { a.done = stage }) }

// connected notes that somebody is there, and tells how long that took; dialed is false of what the host did not dial.
func (a *attempt) connected() (took time.Duration, dialed bool) {
	a.set(func() {
		a.done = StageConnect
		if dialed = !a.began.IsZero(); dialed {
			took = time.Since(a.began)
		}
	})
	return took, dialed
}

func (a *attempt) fail(err error) { a.set(func() { a.err = err }) }

// dial makes sure that there is a connection. best are addresses in the order in which they are best tried; if there are none, those that
// are configured and those of Config.Addresses. first may be nil.
func (h *Host) dial(ctx context.Context, p peer.ID, best []ma.Multiaddr, first *opening) error {
	if h.closing.Err() != nil {
		return ErrClosed
	}
	if p == h.id {
		return ErrSelf
	}
	known, own := h.knownOf(p)
	if len(best) == 0 {
		best = known
	}
	h.peers.AddAddrs(p, best, peerstore.TempAddrTTL)
	over := h.dials.enter(p, best, own, first)
	defer h.dials.leave(p)
	h.swarm.Backoff().Clear(p) // who asks means now: a new request is not answered with the failure of an older one
	ctx, done := h.whileOpen(ctx)
	defer done()
	defer context.AfterFunc(over, done)()
	_, err := h.swarm.DialPeer(patient(ctx), p)
	if err == nil || over.Err() != nil && h.swarm.Connectedness(p) == network.Connected {
		return nil
	}
	if h.closing.Err() != nil {
		return ErrClosed
	}
	return h.explainDial(p, err)
}

// knownOf are the addresses of a peer known beyond the peerstore, the best first, and which of them our user configured.
func (h *Host) knownOf(p peer.ID) (all, own []ma.Multiaddr) {
	all = slices.Clone(h.policy.own.of(p))
	if h.known == nil {
		return all, nil
	}
	for _, k := range h.known(p) {
		all = append(all, k.Addr)
		if k.Configured {
			own = append(own, k.Addr)
		}
	}
	return all, own
}

// patient gives a dial the time that its slowest address may take. Without it the swarm ends the dial of a peer after 60 s, when
// Tor may still be looking for an onion address. Who has set a time for the dial of a peer keeps it.
func patient(ctx context.Context) context.Context {
	if network.GetDialPeerTimeout(ctx) != network.DialPeerTimeout {
		return ctx
	}
	return network.WithDialPeerTimeout(ctx, peerTimeout)
}
