package yamux

import (
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
)

// Priorities of reservations, as go-yamux uses them: a stream's first window is
// granted as long as there is any memory, growth only up to half of it.
const (
	priorityFirst  = network.ReservationPriorityAlways
	priorityGrowth = network.ReservationPriorityMedium
)

// memory accounts for the receive windows of one session.
type memory struct {
	mu   sync.Mutex
	free int64
	span network.ResourceScopeSpan // nil without a scope
	done bool
}

func newMemory(limit int64, scope network.PeerScope) (*memory, error) {
	m := &memory{free: limit}
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
	if m.done || m.free < int64(n) {
		return false
	}
	if m.span != nil && m.span.ReserveMemory(int(n), priority) != nil {
		return false
	}
	m.free -= int64(n)
	return true
}

func (m *memory) release(n uint32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.done {
		return
	}
	m.free += int64(n)
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
