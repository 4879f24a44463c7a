package tari

import (
	"errors"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Limits of ParseAddress; a Tari node keeps ten addresses a peer.
const (
	maxAddressText  = 4096
	maxAddressParts = 10
)

// Address is a peer as people pass it on: a public key and where to dial it.
type Address struct {
	Key   tarikey.PublicKey
	Addrs []ma.Multiaddr
}

// ParseAddress reads "PUBKEY::ADDR" or "PUBKEY::ADDR::ADDR…": a public key in hex and up to ten multiaddrs, as in the peer_seeds of a
// Tari node's configuration and in the TXT records of seed names. The key alone is no error: Addrs is empty then. IPv6 addresses
// may be compressed: "::" separates only where a whole multiaddr ends before it and another begins after it.
func ParseAddress(s string) (Address, error) {
	if len(s) > maxAddressText {
		return Address{}, fmt.Errorf("tari: peer address is longer than %d characters", maxAddressText)
	}
	s = strings.TrimSpace(s)
	if strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return Address{}, errors.New("tari: a peer address is printable ASCII without spaces")
	}
	keyText, rest, more := strings.Cut(s, "::")
	key, err := tarikey.PublicKeyFromHex(keyText)
	if err != nil {
		return Address{}, fmt.Errorf("tari: peer address must begin with a public key in hex: %w", err)
	}
	a := Address{Key: key}
	if !more {
		return a, nil
	}
	begun := ""
	for i, part := range strings.Split(rest, "::/") {
		if i > 0 {
			part = "/" + part
		}
		// What does not end here, such as /ip6/2001:db8, goes on with the "::" we split at.
		if begun != "" {
			part = begun + "::" + part
		}
		addr, err := ma.NewMultiaddr(part)
		if err != nil {
			begun = part
			continue
		}
		begun = ""
		if len(a.Addrs) == maxAddressParts {
			return Address{}, fmt.Errorf("tari: more than %d addresses for one peer", maxAddressParts)
		}
		a.Addrs = append(a.Addrs, addr)
	}
	if begun != "" || len(a.Addrs) == 0 {
		return Address{}, errors.New("tari: peer address has a part that is not a multiaddr")
	}
	return a, nil
}

// String returns the form that ParseAddress reads.
func (a Address) String() string {
	parts := []string{a.Key.String()}
	for _, addr := range a.Addrs {
		parts = append(parts, addr.String())
	}
	return strings.Join(parts, "::")
}

// AddrInfo returns the same for go-libp2p, such as Host.Connect.
func (a Address) AddrInfo() peer.AddrInfo {
	return peer.AddrInfo{ID: a.Key.PeerID(), Addrs: a.Addrs}
}
