package yamux

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
)

// Priorities of reservations, as go-yamux uses them: a stream's first window is
// granted as long as there is any memory, growth only up to 60 % of it.
//
// Other than there, a session has the former assured for a few streams only, and
// its further ones are granted like growth: peers that fill all windows they may
// have leave something for everybody else.
const (
	priorityFirst  = network.ReservationPriorityAlways
	priorityGrowth = network.ReservationPriorityMedium
	assured        = 8 * initialWindow // our choice
)

// memory accounts for the receive windows of one session.
type memory struct {
	mu   sync.Mutex
	used int64
	most int64
	span network.ResourceScopeSpan // nil without a scope
	done bool
}

func newMemory(limit int64, scope network.PeerScope) (*memory, error) {
	m := &memory{most: limit}
	if scope == nil {
		return m, nil
	}
	span, err := scope.BeginSpan()
	if err != nil {
		return nil, err
	}
	m.span = span
	return m, nil
}

func (m *memory) reserve(n uint32, priority uint8) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done || m.used+int64(n) > m.most {
		return false
	}
	if m.used+int64(n) > assured {
		priority = min(priority, priorityGrowth)
	}
	if m.span != nil && m.span.ReserveMemory(int(n), priority) != nil {
		return false
	}
	m.used += int64(n)
	return true
}

func (m *memory) release(n uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return
	}
	m.used -= int64(n)
	if m.span != nil {
		m.span.ReleaseMemory(int(n))
	}
}

// end releases what is still reserved; nothing can be reserved any more.
func (m *memory) end() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return
	}
	m.done = true
	if m.span != nil {
		m.span.Done()
	}
}
