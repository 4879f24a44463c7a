package tari

import (
	"io"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// handlers is the table of stream handlers: go-libp2p's protocol.Switch with Tari's negotiation. Of several that match, the first
// registered serves.
type handlers struct {
	mu      sync.RWMutex
	entries []handlerEntry
}

type handlerEntry struct {
	id     protocol.ID
	match  func(protocol.ID) bool // nil: id alone
	handle protocol.HandlerFunc
}

var _ protocol.Switch = (*handlers)(nil)

// AddHandler serves one id, in place of what served it before.
func (t *handlers) AddHandler(id protocol.ID, handle protocol.HandlerFunc) {
	t.put(handlerEntry{id: id, handle: handle})
}

// AddHandlerWithFunc serves what match takes; id is the name to remove it by.
func (t *handlers) AddHandlerWithFunc(id protocol.ID, match func(protocol.ID) bool, handle protocol.HandlerFunc) {
	t.put(handlerEntry{id: id, match: match, handle: handle})
}

func (t *handlers) put(e handlerEntry) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(e.id)
	t.entries = append(t.entries, e)
}

// RemoveHandler removes what was added under id.
func (t *handlers) RemoveHandler(id protocol.ID) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.remove(id)
}

// remove is called with the mutex held.
func (t *handlers) remove(id protocol.ID) {
	t.entries = slices.DeleteFunc(t.entries, func(e handlerEntry) bool { return e.id == id })
}

// Protocols lists all names, in the order of registration.
func (t *handlers) Protocols() []protocol.ID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	ids := make([]protocol.ID, len(t.entries))
	for i, e := range t.entries {
		ids[i] = e.id
	}
	return ids
}

// exact lists the ids that are served by name.
func (t *handlers) exact() []protocol.ID {
	t.mu.RLock()
	defer t.mu.RUnlock()
	var ids []protocol.ID
	for _, e := range t.entries {
		if e.match == nil {
			ids = append(ids, e.id)
		}
	}
	return ids
}

func (t *handlers) find(id protocol.ID) protocol.HandlerFunc {
	t.mu.RLock()
	defer t.mu.RUnlock()
	for _, e := range t.entries {
		if e.id == id && e.match == nil || e.match != nil && e.match(id) {
			return e.handle
		}
	}
	return nil
}

// Negotiate agrees on a protocol for an inbound stream, whose deadline the caller sets.
func (t *handlers) Negotiate(rwc io.ReadWriteCloser) (protocol.ID, protocol.HandlerFunc, error) {
	var handle protocol.HandlerFunc
	id, _, err := tariproto.Accept(rwc, func(id protocol.ID) bool {
		handle = t.find(id)
		return handle != nil
	})
	if err != nil {
		return "", nil, err
	}
	return id, handle, nil
}

// Handle negotiates and runs the handler.
func (t *handlers) Handle(rwc io.ReadWriteCloser) error {
	id, handle, err := t.Negotiate(rwc)
	if err != nil {
		return err
	}
	return handle(id, rwc)
}
