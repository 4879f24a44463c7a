package connectivity

import (
	"context"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// eventsKept is how many events wait for a reader; then the oldest go. tari_comms keeps 500.
const eventsKept = 64

// startAfter gives the caller of Start time to say whom to Hold.
const startAfter = 50 * time.Millisecond

// Manager keeps a node connected. Its methods may be called from any goroutine.
type Manager struct {
	cfg    Config
	parts  Parts
	events chan Event
	asked  asked
	shared atomic.Pointer[Status]
	online gate // open while the state is Online

	ctx     context.Context // ends with Close
	cancel  context.CancelFunc
	work    sync.WaitGroup // the loop, dials, pings, closing connections
	results chan func(now time.Time)

	// What follows belongs to the loop.
	rng     *rand.Rand
	began   time.Time
	state   Status
	tried   bool // something was dialed in vain
	pool    pool
	memory  *memory
	breaker breaker
	pace    *pace
	tally   tally
	round   round
	dials   map[peer.ID]*dial
	link    link
	rotated time.Time
	renew   time.Time // of the next refresh
}

// asked is what other goroutines want of the loop.
type asked struct {
	wake chan struct{} // of capacity 1: look
	mu   sync.Mutex
	held map[peer.ID]int // by how many
	who  []peer.ID       // those held, in the order of asking
	link *linkReport     // nil: no news
}

func (a *asked) poke() {
	select {
	case a.wake <- struct{}{}:
	default: // it is going to look
	}
}

// Start starts a Manager; Close ends it.
func Start(parts Parts, cfg Config) *Manager {
	cfg = cfg.withDefaults()
	m := &Manager{
		cfg:     cfg,
		parts:   parts,
		events:  make(chan Event, eventsKept),
		asked:   asked{wake: make(chan struct{}, 1), held: map[peer.ID]int{}},
		results: make(chan func(time.Time)),
		rng:     rand.New(cfg.Rand),
		began:   time.Now(),
		pool:    pool{conns: map[string]*member{}},
		breaker: breaker{cfg: cfg.Breaker},
		pace:    newPace(cfg.Dials.PerMinute),
		dials:   map[peer.ID]*dial{},
	}
	m.memory = newMemory(cfg.Backoff, m.rng)
	m.shared.Store(&Status{})
	m.ctx, m.cancel = context.WithCancel(context.Background())
	m.work.Go(m.run)
	return m
}

// Close ends dials and pings that are under way and waits for them, and for connections that are being closed. Connections stay.
// The channel of Events is closed.
func (m *Manager) Close() {
	m.cancel()
	m.work.Wait()
}

// Events tells what happens. There is one channel: of several readers each event goes to one. It keeps 64 events; then the oldest
// are lost, so that the last one read is how things are.
func (m *Manager) Events() <-chan Event { return m.events }

// Status tells how things were when the Manager last looked.
func (m *Manager) Status() Status { return *m.shared.Load() }

// Changed tells that a connection came or went. It returns at once.
func (m *Manager) Changed() { m.asked.poke() }

// Hold keeps a peer connected until release is called: it is dialed first, dialed again when its connection ends, and never closed to
// make room. Held twice, it takes two releases.
func (m *Manager) Hold(id peer.ID) (release func()) {
	m.asked.mu.Lock()
	if m.asked.held[id]++; m.asked.held[id] == 1 {
		m.asked.who = append(m.asked.who, id)
	}
	m.asked.mu.Unlock()
	m.asked.poke()
	return sync.OnceFunc(func() { m.letGo(id) })
}

func (m *Manager) letGo(id peer.ID) {
	m.asked.mu.Lock()
	defer m.asked.mu.Unlock()
	if m.asked.held[id]--; m.asked.held[id] > 0 {
		return
	}
	delete(m.asked.held, id)
	// A copy: held gives the slice away.
	m.asked.who = slices.DeleteFunc(slices.Clone(m.asked.who), func(other peer.ID) bool { return other == id })
}

// held are the peers under Hold, in the order in which that was asked for. The slice is not to be changed.
func (m *Manager) held() []peer.ID {
	m.asked.mu.Lock()
	defer m.asked.mu.Unlock()
	return m.asked.who[:len(m.asked.who):len(m.asked.who)]
}

func (m *Manager) isHeld(id peer.ID) bool {
	m.asked.mu.Lock()
	defer m.asked.mu.Unlock()
	return m.asked.held[id] > 0
}

// run is the one goroutine that decides. It looks when something happened and when something is due.
func (m *Manager) run() {
	defer close(m.events)
	timer := time.NewTimer(startAfter)
	defer timer.Stop()
	var wake chan struct{} // not before the timer
	for {
		select {
		case <-m.ctx.Done():
			return
		case <-wake:
		case result := <-m.results:
			m.look(time.Now()) // a dial that worked has made a connection
			result(time.Now())
		case <-timer.C:
			wake = m.asked.wake
		}
		now := time.Now()
		m.turn(now)
		timer.Reset(m.due(now).Sub(now))
	}
}

// turn looks at how things are and does what is to be done.
func (m *Manager) turn(now time.Time) {
	m.look(now)
	m.takeLink(now)
	m.tell(now)
	if !now.Before(m.renew) {
		m.refresh(now)
	}
	m.dialHeld(now)
	m.dialAgain(now)
	m.dialPool(now)
	m.tell(now)
}

// due is when to look again if nothing happens before.
func (m *Manager) due(now time.Time) time.Time {
	next := m.renew
	sooner := func(t time.Time) {
		if t.Before(next) {
			next = t
		}
	}
	for _, id := range m.held() {
		if m.dials[id] == nil && !m.pool.has(id) {
			sooner(later(m.memory.until(id), m.pace.free()))
		}
	}
	if !m.link.down() {
		for _, id := range m.link.again {
			sooner(later(m.memory.until(id), m.pace.free()))
		}
	}
	if len(m.round.queue) > 0 {
		if len(m.dials) < m.poolDials() {
			sooner(m.pace.free())
		}
	} else if m.round.open == 0 && m.urgent() {
		sooner(later(m.round.next, m.breaker.until))
	}
	// What could not be done now is tried again soon, not at once.
	return later(next, now.Add(100*time.Millisecond))
}

// refresh is what happens at intervals.
func (m *Manager) refresh(now time.Time) {
	m.renew = now.Add(m.cfg.Refresh)
	m.round.topUp = true
	m.releaseSeeds(now)
	m.rotate(now)
	m.reap(now, false, m.cfg.Reap.Outbound)
	m.reap(now, true, m.cfg.Reap.Inbound)
	for _, c := range m.pool.list() {
		if now.Sub(c.Opened) >= calmAfter {
			m.memory.calm(c.Peer, now)
		}
	}
	if m.parts.Anchors != nil {
		m.parts.Anchors.KeepAnchors(m.anchors())
	}
}

// later is the later of two times.
func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// report hands a result to the loop.
func (m *Manager) report(result func(now time.Time)) {
	select {
	case m.results <- result:
	case <-m.ctx.Done():
	}
}
