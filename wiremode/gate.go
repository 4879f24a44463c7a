package wiremode

import (
	"crypto/rand"
	"encoding/hex"
	"net"
	"net/netip"
	"slices"
	"sync"
)

// Gate decides who gets a liveness session. One Gate serves all listeners of a
// node. The zero value admits nobody but the node itself, as a base node does
// by default.
type Gate struct {
	Allow       []netip.Prefix // sources that may probe
	MaxSessions int            // how many of them at once; 0: none

	mu       sync.Mutex
	sessions int
	tokens   []string // of checks under way, oldest first
}

const (
	maxTokens  = 8  // tari_comms: self checks outstanding
	tokenBytes = 24 // ours alone ever read it; 48 hexadecimal characters fit the 50 of a seed line, tari_comms' 64 do not
)

// NewToken is the line of one check of ourselves: whoever sends it as a first
// line is let in, once, whatever Allow and MaxSessions say. With more than
// eight outstanding the oldest is forgotten.
func (g *Gate) NewToken() string {
	random := make([]byte, tokenBytes)
	_, _ = rand.Read(random) // never fails: it would rather end the program
	token := hex.EncodeToString(random)
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.tokens = append(g.tokens, token); len(g.tokens) > maxTokens {
		g.tokens = slices.Delete(g.tokens, 0, 1)
	}
	return token
}

// DropToken forgets a token whose check has ended without reaching us.
func (g *Gate) DropToken(token string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.takeToken(token)
}

// Outstanding is whether nobody has come with the token yet.
func (g *Gate) Outstanding(token string) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Contains(g.tokens, token)
}

// expects is whether a check of ourselves is under way, which may come from anywhere.
func (g *Gate) expects() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.tokens) > 0
}

func (g *Gate) takeToken(token string) bool {
	i := slices.Index(g.tokens, token)
	if i < 0 {
		return false
	}
	g.tokens = slices.Delete(g.tokens, i, i+1)
	return true
}

// Admit says whether a session from source may begin with this line. If so the
// caller calls release when the session has ended.
func (g *Gate) Admit(source net.Addr, line string) (release func(), ok bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.takeToken(line) {
		// tari_comms has one such session at a time; but the last one may not have noticed yet that its check has ended.
		return func() {}, true
	}
	if g.sessions >= g.MaxSessions || !g.allows(source) {
		return nil, false
	}
	g.sessions++
	return g.releaser(func() { g.sessions-- }), true
}

func (g *Gate) releaser(release func()) func() {
	return sync.OnceFunc(func() {
		g.mu.Lock()
		defer g.mu.Unlock()
		release()
	})
}

// allows matches an IPv4 source, mapped or not, against IPv4 prefixes and, in
// its mapped form, against IPv6 ones, so that ::/0 means everybody. A source
// without an IP address is never allowed.
func (g *Gate) allows(source net.Addr) bool {
	if source == nil {
		return false
	}
	from, err := netip.ParseAddrPort(source.String())
	if err != nil {
		return false
	}
	plain := from.Addr().WithZone("").Unmap()
	mapped := netip.AddrFrom16(plain.As16())
	return slices.ContainsFunc(g.Allow, func(allowed netip.Prefix) bool {
		return allowed.Contains(plain) || containsMapped(allowed, mapped)
	})
}

// containsMapped is netip.Prefix.Contains for an IPv4-mapped address, which
// that method never finds in an IPv6 prefix.
func containsMapped(allowed netip.Prefix, mapped netip.Addr) bool {
	if allowed.Addr().Is4() || !mapped.Is4In6() {
		return false
	}
	with, err := mapped.Prefix(allowed.Bits())
	return err == nil && with == allowed.Masked()
}
