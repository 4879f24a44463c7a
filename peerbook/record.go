package peerbook

import (
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// MaxAddresses is how many addresses a record keeps (tari_comms' limit).
const MaxAddresses = 10

// Record is what the book keeps of one peer. Records that come out of the book
// share memory with it: do not change what their slices and pointers refer to.
// Times have milliseconds; a zero time is "never".
type Record struct {
	Key       tarikey.PublicKey
	Addresses []Address // the best to dial first, at most MaxAddresses
	Features  identityproto.Features
	Protocols []protocol.ID
	UserAgent string

	Claim   *identityproto.Claim // the newest signed claim, whole, as the peer may want it passed on; nil: none
	Network string               // the name of the network it was last met in
	Seed    bool                 // a well-known node, from configuration or DNS

	Ban      Ban
	AddedAt  time.Time
	LastSeen time.Time // when we last were connected, whoever dialed
	Removed  time.Time // when Remove was called; such a record is kept for a day, and longer if banned
}

// NodeID is derived from Key.
func (r Record) NodeID() tarikey.NodeID { return r.Key.NodeID() }

// PeerID is derived from Key.
func (r Record) PeerID() peer.ID { return r.Key.PeerID() }

// Addrs are the addresses alone, the best to dial first.
func (r Record) Addrs() []ma.Multiaddr {
	addrs := make([]ma.Multiaddr, len(r.Addresses))
	for i, a := range r.Addresses {
		addrs[i] = a.Addr
	}
	return addrs
}

// Banned reports whether the record's ban still holds at that moment.
func (r Record) Banned(at time.Time) bool { return at.Before(r.Ban.Until) }

// configured: somebody wrote an address of this peer into the configuration.
func (r Record) configured() bool {
	for _, a := range r.Addresses {
		if a.Source == Configured {
			return true
		}
	}
	return false
}

// hearsay: neither the configuration nor the peer itself has a part in this.
func (r Record) hearsay() bool {
	if r.Seed || !r.LastSeen.IsZero() {
		return false
	}
	for _, a := range r.Addresses {
		if a.Source != Relayed {
			return false
		}
	}
	return true
}

// Source is where an address comes from; the higher one is believed.
type Source uint8

// The sources of addresses.
const (
	Relayed    Source = iota // another peer said so, with or without the signed claim
	Claimed                  // the peer said so itself, on a connection
	Configured               // the configuration or a DNS seed says so
)

// Address is one address of a peer, and how dialing it went.
type Address struct {
	Addr     ma.Multiaddr
	Source   Source
	LastSeen time.Time // when a dial last reached the peer here
	LastFail time.Time // when a dial last failed here
	Failure  string    // why, at most 256 bytes; empty after a success
	Attempts uint32    // dials so far
	Failures uint32    // dials failed since the last success
	Took     time.Duration
}

// Ban says until when a peer is not let in, and why.
type Ban struct {
	Until  time.Time
	Reason string // at most 256 bytes, no control characters
	// Generation counts unbans. Who decided to ban before the last unban must
	// not have the last word: see BanSince.
	Generation uint64
}
