package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/torsocks"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// How often a node asks at its public addresses whether it answers there, and how long one may take: our choice.
const (
	reachEvery = 10 * time.Minute
	reachLimit = 60 * time.Second // of an onion address: onionDialLimit
)

// Reached is what a node found when it dialed one of its own public addresses.
type Reached string

// What is known of a public address. Unreachable is the view from this machine: a router that does not lead us back to
// ourselves makes an address look so that others reach.
const (
	ReachUnknown     Reached = "unknown" // not tried yet
	ReachReachable   Reached = "reachable"
	ReachUnreachable Reached = "unreachable"
)

// Reachability is one public address, and whether we answer there.
type Reachability struct {
	Address string     `json:"address"` // multiaddr
	State   Reached    `json:"state"`
	Checked *time.Time `json:"checked"` // nil = not yet
	Error   string     `json:"error,omitempty"`
}

// reacher knows which public addresses lead to us. It is on as long as there are any.
type reacher struct {
	gate *wiremode.Gate // lets our own checks in by their token
	now  chan struct{}  // of capacity 1: check now
	mu   sync.Mutex
	last map[string]Reachability // by address
}

func newReacher(gate *wiremode.Gate) *reacher {
	return &reacher{gate: gate, now: make(chan struct{}, 1), last: make(map[string]Reachability)}
}

// soon asks for a check outside of the interval: what was in the way may be gone.
func (r *reacher) soon() {
	select {
	case r.now <- struct{}{}:
	default: // one is asked for already
	}
}

// of gives what is known of addrs; never nil, so that JSON has a list.
func (r *reacher) of(addrs []ma.Multiaddr) []Reachability {
	out := []Reachability{}
	for _, addr := range addrs {
		known := Reachability{Address: addr.String(), State: ReachUnknown}
		if r != nil {
			r.mu.Lock()
			if last, ok := r.last[known.Address]; ok {
				known = last
			}
			r.mu.Unlock()
		}
		out = append(out, known)
	}
	return out
}

// PublicAddresses are the addresses that we claim, and whether we answer there.
func (n *Node) PublicAddresses() []Reachability { return n.reach.of(n.public()) }

func (r *reacher) note(addr ma.Multiaddr, err error) {
	at := time.Now().UTC()
	known := Reachability{Address: addr.String(), State: ReachReachable, Checked: &at}
	if err != nil {
		known.State, known.Error = ReachUnreachable, plain(err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.last[known.Address] = known
}

// keepChecking checks the public addresses at the start, when asked, and at intervals.
func (n *Node) keepChecking(ctx context.Context) {
	tick := time.NewTicker(reachEvery)
	defer tick.Stop()
	for {
		n.checkReachable(ctx)
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		case <-n.reach.now:
		}
	}
}

// checkReachable dials each public address as others would and wants a liveness echo that only this node gives. An onion
// address is left alone until Tor has the service.
func (n *Node) checkReachable(ctx context.Context) {
	for _, addr := range n.public() {
		if isOnion(addr) && !n.onionIsUp(addr) {
			continue
		}
		err := n.checkAddress(ctx, addr)
		if ctx.Err() != nil {
			return
		}
		n.reach.note(addr, err)
	}
}

func (n *Node) checkAddress(ctx context.Context, addr ma.Multiaddr) error {
	ctx, cancel := context.WithTimeout(ctx, timeToReach(addr))
	defer cancel()
	conn, err := n.dialOurselves(ctx, addr)
	if err != nil {
		return err
	}
	defer conn.Close()
	token := n.reach.gate.NewToken()
	defer n.reach.gate.DropToken(token)
	if err := wiremode.Probe(ctx, conn, n.config.Network.Liveness, token); err != nil {
		return err
	}
	// The echo alone could be anybody's: only our gate takes the token.
	if n.reach.gate.Outstanding(token) {
		return errors.New("somebody else answers there")
	}
	return nil
}

// timeToReach is how long the check of an address may take. Tor may look for an onion service for two minutes.
func timeToReach(addr ma.Multiaddr) time.Duration {
	if isOnion(addr) {
		return onionDialLimit
	}
	return reachLimit
}

// dialOurselves goes the way that the node's own dials go: through the proxy if it has one for such an address.
func (n *Node) dialOurselves(ctx context.Context, addr ma.Multiaddr) (net.Conn, error) {
	t := n.config.Tor
	if !t.used() || (t.Direct && !isOnion(addr)) {
		return dialTCP(ctx, addr)
	}
	host, port, err := torsocks.Target(addr)
	if err != nil {
		return nil, fmt.Errorf("node: %w", err)
	}
	return n.proxy().Dial(ctx, host, port, rand.Text())
}

func isOnion(addr ma.Multiaddr) bool {
	_, err := addr.ValueForProtocol(ma.P_ONION3)
	return err == nil
}

// onionIsUp is whether Tor has our service; an onion address that our user runs elsewhere is none of ours.
func (n *Node) onionIsUp(addr ma.Multiaddr) bool {
	if n.tor == nil || !n.tor.address().Equal(addr) {
		return n.config.Tor.used()
	}
	_, up := n.OnionService()
	return up
}
