package tari

import (
	"context"
	"errors"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// maxReasons bounds the reasons kept for explain. When there are more they are all forgotten, which only costs an explanation.
const maxReasons = 256

// namesExplained is a resolver that remembers why a lookup came to nothing. The swarm drops such an address in silence; here it keeps
// it, finds that no transport dials it, and explain puts the reason there.
type namesExplained struct {
	*resolver

	mu      sync.Mutex
	reasons map[string]error // by the bytes of the address
}

var errNoName = errors.New("tari: the name has no address")

// ResolveDNSComponent returns the address itself if it cannot be looked up.
func (n *namesExplained) ResolveDNSComponent(ctx context.Context, a ma.Multiaddr, limit int) ([]ma.Multiaddr, error) {
	found, err := n.resolver.ResolveDNSComponent(ctx, a, limit)
	if err == nil && len(found) == 0 {
		err = errNoName
	}
	key := string(a.Bytes())
	n.mu.Lock()
	defer n.mu.Unlock()
	if err == nil {
		delete(n.reasons, key)
		return found, nil
	}
	if n.reasons == nil || len(n.reasons) >= maxReasons {
		n.reasons = make(map[string]error)
	}
	n.reasons[key] = err
	return []ma.Multiaddr{a}, nil
}

// explain puts the reasons of failed lookups into a dial's error.
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
		if reason := n.reasons[string(one.Address.Bytes())]; reason != nil && errors.Is(one.Cause, swarm.ErrNoTransport) {
			explained.DialErrors[i].Cause = reason
		}
	}
	return &explained
}
