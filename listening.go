package tari

import (
	"errors"
	"slices"
	"sync"

	ma "github.com/multiformats/go-multiaddr"
)

// listening is where a host listens, and whether it does.
type listening struct {
	addrs []ma.Multiaddr
	onion ma.Multiaddr // as configured; nil: no listener for Tor

	mu       sync.Mutex
	begun    bool
	onionNow ma.Multiaddr // what onion became
}

func (l *listening) tor() ma.Multiaddr {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.onionNow
}

// ErrListening is returned by a second Listen.
var ErrListening = errors.New("tari: the host listens already")

// Listen listens on the addresses of Config, which New has done. From its first address on peers come in. The error says which
// address cannot be listened on; then the host is of no more use than to be closed.
func (h *Host) Listen() error {
	if h.closing.Err() != nil {
		return ErrClosed
	}
	h.listen.mu.Lock()
	defer h.listen.mu.Unlock()
	if h.listen.begun {
		return ErrListening
	}
	h.listen.begun = true
	for _, a := range h.listen.addrs {
		if err := h.swarm.AddListenAddr(a); err != nil {
			return cannotListen(a, err)
		}
	}
	if h.listen.onion != nil {
		if err := h.listenOnion(h.listen.onion); err != nil {
			return err
		}
	}
	_, err := h.ownClaim() // with what we listen on, would a peer accept it?
	return err
}

// listenOnion starts the listener for Tor.
func (h *Host) listenOnion(a ma.Multiaddr) error {
	before := h.swarm.ListenAddresses()
	h.upgrader.onion.Store(true)
	err := h.swarm.AddListenAddr(a)
	h.upgrader.onion.Store(false)
	if err != nil {
		return cannotListen(a, err)
	}
	for _, now := range h.swarm.ListenAddresses() {
		if !slices.ContainsFunc(before, now.Equal) {
			h.listen.onionNow = now
		}
	}
	return nil
}
