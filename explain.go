package tari

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"syscall"

	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// maxReasons bounds the reasons kept for explain. When there are more they are all forgotten, which only costs an explanation.
const maxReasons = 256

// namesExplained is a resolver that remembers why a lookup came to nothing. The swarm drops such an address in silence; here it keeps
// it, finds that no transport dials it, and explain puts the reason there.
type namesExplained struct {
	*resolver
	policy     *dialPolicy
	transports []transport.Transport          // all of the host's
	resolved   func(name, found ma.Multiaddr) // told what a name became; nil: nobody asks

	mu      sync.Mutex
	reasons map[string]error // by the bytes of the address
}

var errNoName = errors.New("tari: the name has no address")

// ResolveDNSComponent returns the address itself if it cannot be looked up.
func (n *namesExplained) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	var found []ma.Multiaddr
	err := n.policy.excludes(a)
	if err == nil {
		found, err = n.resolver.ResolveDNSComponent(ctx, a, limit)
	}
	if err == nil && len(found) == 0 {
		err = errNoName
	}
	key := string(a.Bytes())
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		delete(n.reasons, key)
		for _, one := range found {
			if n.resolved != nil && !one.Equal(a) {
				n.resolved(a, one)
			}
		}
		return found, nil
	}
	if n.reasons == nil || len(n.reasons) >= maxReasons {
		n.reasons = make(map[string]error)
	}
	n.reasons[key] = err
	return []ma.Multiaddr{a}, nil
}

// NoTransportError means that none of the host's transports dials an address. It is the cause of that address in the *swarm.DialError
// of Connect and NewStream, and unwraps to swarm.ErrNoTransport.
type NoTransportError struct {
	Addr ma.Multiaddr
	Have []string // what this host dials, by the names in multiaddrs: tcp, onion3, memory, …
}

func (e *NoTransportError) Error() string {
	return fmt.Sprintf("tari: no transport dials %s: this host has %s", e.Addr, strings.Join(e.Have, ", "))
}

// Unwrap returns swarm.ErrNoTransport.
func (e *NoTransportError) Unwrap() error { return swarm.ErrNoTransport }

// samples are addresses by which to ask a transport whether it dials what it lists: one behind Tor listens on TCP and does not dial it.
var samples = map[int]ma.Multiaddr{
	ma.P_TCP:    anyIP.Encapsulate(ma.StringCast("/tcp/1")),
	ma.P_ONION3: ma.StringCast("/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1"),
	ma.P_MEMORY: ma.StringCast("/memory/1"),
}

// have names what the transports dial.
func (n *namesExplained) have() []string {
	var names []string
	for _, t := range n.transports {
		for _, code := range t.Protocols() {
			name := ma.ProtocolWithCode(code).Name
			if sample := samples[code]; !slices.Contains(names, name) && (sample == nil || t.CanDial(sample)) {
				names = append(names, name)
			}
		}
	}
	return names
}

// explain says in a dial's error why a lookup came to nothing, and which transports there are where none dials an address.
func (n *namesExplained) explain(err error) error {
	var failed *swarm.DialError
	if !errors.As(err, &failed) {
		return err
	}
	explained := *failed // callers that waited for the same dial share the original
	explained.DialErrors = slices.Clone(failed.DialErrors)
	n.mu.Lock()
	defer n.mu.Unlock()
	for i, one := range explained.DialErrors {
		if !errors.Is(one.Cause, swarm.ErrNoTransport) {
			continue
		}
		reason := n.reasons[string(one.Address.Bytes())]
		if reason == nil || errors.Is(reason, swarm.ErrNoTransport) {
			reason = &NotTriedError{&NoTransportError{Addr: one.Address, Have: n.have()}}
		} else if errors.Is(reason, ErrNeverDialed) {
			reason = &NotTriedError{reason}
		}
		explained.DialErrors[i].Cause = reason
	}
	return &explained
}

// cannotListen says what cures the common causes.
func cannotListen(a ma.Multiaddr, err error) error {
	cure := ""
	switch {
	case errors.Is(err, syscall.EADDRINUSE):
		cure = "; end the program that listens there, or choose another port (0 takes a free one)"
	case errors.Is(err, syscall.EACCES):
		cure = "; choose a port above 1023"
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		cure = "; choose an address of this machine, such as /ip4/0.0.0.0 for all of them"
	}
	return fmt.Errorf("tari: cannot listen on %s: %w%s", a, err, cure)
}
