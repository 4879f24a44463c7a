package connectivity

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

// State is how well a node is connected, by tari_comms' rules.
type State uint8

// The states.
const (
	Initializing State = iota // nothing has happened yet
	Offline                   // no connection
	Degraded                  // fewer nodes than Config.Min, or wallets only
	Online
)

// String is the state's name in the JSON of the command.
func (s State) String() string {
	switch s {
	case Initializing:
		return "initializing"
	case Offline:
		return "offline"
	case Degraded:
		return "degraded"
	default:
		return "online"
	}
}

// Status is how a Manager's node is connected.
type Status struct {
	State    State
	Nodes    int  // connected
	Clients  int  // connected wallets
	Outbound int  // connections that we dialed
	Inbound  int  // connections that others dialed
	Dialing  int  // the Manager's own dials under way
	Paused   bool // nobody answered for several rounds: the pool is not filled for a while
	NoLink   bool // this machine has no network
}

// Event is a StateChanged or a DialFailed.
type Event interface{ event() }

// StateChanged tells of a new State, and of another number of nodes while Degraded.
type StateChanged struct{ Status }

// DialFailed tells that a peer under Hold could not be reached.
type DialFailed struct {
	Peer peer.ID
	Err  error
}

func (StateChanged) event() {}
func (DialFailed) event()   {}

// judge gives the state that follows from the numbers. A node is initializing until it has a connection, has failed to get one, or has
// seen one refresh.
func (m *Manager) judge(s Status, now time.Time) State {
	switch {
	case s.Nodes >= m.cfg.Min:
		return Online
	case s.Nodes > 0 || s.Clients > 0:
		return Degraded
	case m.state.State == Initializing && !m.tried && now.Before(m.began.Add(m.cfg.Refresh)):
		return Initializing
	default:
		return Offline
	}
}

// tell publishes how things are, and says so if it matters.
func (m *Manager) tell(now time.Time) {
	s := m.pool.count()
	s.Dialing = len(m.dials)
	s.Paused = m.breaker.open(now)
	s.NoLink = m.link.down()
	s.State = m.judge(s, now)
	before := m.state
	m.state = s
	m.shared.Store(&s)
	m.online.set(s.State == Online)
	if s.State == Online && before.State != Online {
		m.memory.forgive() // what failed while nothing worked says nothing
	}
	if s.State != before.State || s.State == Degraded && s.Nodes != before.Nodes {
		m.emit(StateChanged{s})
	}
}

// emit never waits: when nobody reads, the oldest event goes.
func (m *Manager) emit(e Event) {
	for {
		select {
		case m.events <- e:
			return
		default:
		}
		select {
		case <-m.events:
		default:
		}
	}
}
