package tari

import (
	"fmt"
	"net/netip"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// maxConfigured bounds the peers whose addresses SetConfigured gave; of more, any is forgotten.
const maxConfigured = 4096

// configured are the addresses that our user gave. Its zero value is none.
type configured struct {
	mu    sync.Mutex
	given map[peer.ID][]ma.Multiaddr
	names map[string]map[string]bool // which internal names an address stands for, by their bytes
}

// SetConfigured gives the host addresses of a peer that come from our own user: from a configuration, or from a command line. They take
// the place of those given before. Dials of this peer that name no addresses try them first, and even if they are internal ones, loopback
// or private, or names of such. All others may come from strangers, who could want us to knock at a door behind our own firewall.
// The host keeps those of 4,096 peers.
func (h *Host) SetConfigured(pi peer.AddrInfo) { h.policy.own.set(pi.ID, pi.Addrs) }

func (c *configured) set(p peer.ID, addrs []ma.Multiaddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.given, p)
	if len(addrs) == 0 {
		return
	}
	if c.given == nil {
		c.given = make(map[peer.ID][]ma.Multiaddr)
	}
	for other := range c.given {
		if len(c.given) < maxConfigured {
			break
		}
		delete(c.given, other)
	}
	c.given[p] = slices.Clone(addrs)
}

func (c *configured) of(p peer.ID) []ma.Multiaddr {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.given[p]
}

// answered notes what an internal name, such as localhost, led to.
func (c *configured) answered(name, found ma.Multiaddr) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key := string(found.Bytes())
	if c.names == nil || len(c.names) >= maxReasons { // what is forgotten is looked up again before the next dial
		c.names = make(map[string]map[string]bool)
	}
	if c.names[key] == nil {
		c.names[key] = make(map[string]bool)
	}
	c.names[key][string(name.Bytes())] = true
}

// includes reports whether an address, or an internal name that led to it, is one of those.
func (c *configured) includes(given []ma.Multiaddr, a ma.Multiaddr) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	names := c.names[string(a.Bytes())]
	return slices.ContainsFunc(given, func(one ma.Multiaddr) bool { return one.Equal(a) || names[string(one.Bytes())] })
}

// resolved is told that a name stands for an address.
func (h *Host) resolved(name, found ma.Multiaddr) {
	h.dials.resolved(name, found)
	if isInternal(name) {
		h.policy.own.answered(name, found)
	}
}

// checkNode refuses where nobody can be.
func checkNode(a ma.Multiaddr) error {
	if isOnion(a) {
		if err := identityproto.CheckShape(a); err != nil {
			return fmt.Errorf("%w: %w", ErrNoNode, err)
		}
	}
	if manet.IsIPUnspecified(a) || manet.IsIP6LinkLocal(a) { // which the swarm passes over without a word
		return fmt.Errorf("%w: of no single host", ErrNoNode)
	}
	if port, err := a.ValueForProtocol(ma.P_TCP); err == nil && port == "0" {
		return fmt.Errorf("%w: port 0", ErrNoNode)
	}
	return nil
}

// isInternal judges what a claim may hold: IP addresses, with the IPv4 address that one may embed, names, and /memory. Of other addresses
// their transport, which our user added, knows.
func isInternal(a ma.Multiaddr) bool {
	first, rest := ma.SplitFirst(a)
	if first == nil {
		return true
	}
	switch first.Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		ip, ok := netip.AddrFromSlice(first.RawValue())
		return !ok || !externalAnswer(ip)
	case ma.P_DNS: // which identityproto takes for external without a look at the name, as tari_comms does
		name, err := ma.NewComponent("dns4", first.Value())
		return err != nil || !identityproto.Usable(name.Encapsulate(rest), false)
	case ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return !identityproto.Usable(a, false)
	case ma.P_MEMORY, ma.P_IP6ZONE:
		return true
	}
	return false
}
