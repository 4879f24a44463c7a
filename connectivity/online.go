package connectivity

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// ErrClosed is what WaitOnline says once the Manager is closed.
var ErrClosed = errors.New("closed")

// WaitOnline returns nil as soon as the state is Online, at once if it is. If ctx ends before, the error has the state and wraps that
// of ctx; if the Manager is closed, it wraps ErrClosed. As tari_comms has it, neither Degraded nor Offline ends the wait, since each
// can still become Online. When it returns, the state may be another one again.
func (m *Manager) WaitOnline(ctx context.Context) error {
	if m.ctx.Err() != nil {
		return m.notOnline(ErrClosed)
	}
	online := m.online.opens()
	select {
	case <-online: // also if ctx has ended
		return nil
	default:
	}
	select {
	case <-online:
		return nil
	case <-ctx.Done():
		return m.notOnline(ctx.Err())
	case <-m.ctx.Done():
		return m.notOnline(ErrClosed)
	}
}

func (m *Manager) notOnline(cause error) error {
	return fmt.Errorf("connectivity: %s: %w", m.Status().State, cause)
}

// gate is shut at first; any number of goroutines can wait until it opens.
type gate struct {
	mu   sync.Mutex
	open bool
	wait chan struct{} // closed when the gate opens; nil: nobody has asked since it was shut
}

// opens is closed when the gate is, or becomes, open.
func (g *gate) opens() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.wait == nil {
		g.wait = make(chan struct{})
		if g.open {
			close(g.wait)
		}
	}
	return g.wait
}

func (g *gate) set(open bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if open == g.open {
		return
	}
	g.open = open
	if !open {
		g.wait = nil
	} else if g.wait != nil {
		close(g.wait)
	}
}
