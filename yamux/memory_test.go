package yamux

import (
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	p2ppeer "github.com/libp2p/go-libp2p/core/peer"
)

// byPriority grants as a resource manager does: each priority up to its part of the limit.
type byPriority struct {
	network.NullScope
	limit, reserved int
}

func (s *byPriority) Peer() p2ppeer.ID { return "" }

func (s *byPriority) BeginSpan() (network.ResourceScopeSpan, error) { return s, nil }

func (s *byPriority) ReserveMemory(n int, priority uint8) error {
	if s.reserved+n > s.limit*(1+int(priority))/256 {
		return network.ErrResourceLimitExceeded
	}
	s.reserved += n
	return nil
}

// Sessions that want windows for all their streams get them up to a part of the memory; of the rest each has a few assured.
func TestMemoryLeavesSomethingForOthers(t *testing.T) {
	scope := &byPriority{limit: 512 * initialWindow}
	windows := func() (n int) {
		m, err := newMemory(64<<20, scope)
		if err != nil {
			t.Fatal(err)
		}
		for n < 128 && m.reserve(initialWindow, priorityFirst) {
			n++
		}
		return n
	}
	for i, want := range []int{128, 128, 50, 8, 8} { // 306 are 60 %
		if got := windows(); got != want {
			t.Errorf("session %d has %d windows, want %d", i, got, want)
		}
	}
}
