package peerbook

import (
	"fmt"
	"slices"
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

	Seed      bool // a well-known node, from configuration or DNS
	Protected bool // never given up for lack of room, and its connections are kept; see Protect
	Allowed   bool // banned by people only, never by this program; see Allow

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

// welcome: the record is neither removed nor banned at that moment.
func (r *Record) welcome(at time.Time) bool { return r.Removed.IsZero() && !at.Before(r.Ban.Until) }

// Reached reports whether a dial of ours ever reached the peer at an address it
// still has. Who has only come to us is no better known for it: that costs a
// stranger nothing but the handshake.
func (r Record) Reached() bool {
	return slices.ContainsFunc(r.Addresses, func(a Address) bool { return !a.LastSeen.IsZero() })
}

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
	if r.Seed || r.Protected || r.Allowed || !r.LastSeen.IsZero() {
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

// String is "relayed", "claimed" or "configured".
func (s Source) String() string { return wordOf(sourceWords, s) }

var sourceWords = []string{Relayed: "relayed", Claimed: "claimed", Configured: "configured"}

// wordOf is a number's name in a list of them.
func wordOf[T ~uint8](words []string, n T) string {
	if int(n) < len(words) {
		return words[n]
	}
	return fmt.Sprint("unknown ", uint8(n))
}

// Address is one address of a peer, and how dialing it went.
type Address struct {
	Addr     ma.Multiaddr
	Source   Source
	LastSeen time.Time     // when a dial last reached the peer here
	LastFail time.Time     // when a dial last failed here; forgotten with a success
	Failure  string        // why, at most 256 bytes; empty after a success
	Attempts uint32        // dials so far
	Failures uint32        // dials failed since the last success
	Took     time.Duration // latency: what the last success took, dial and handshake
}

// Quality says how good an address is to dial at that moment, 0 to 1,000:
//
//	failed since it was last reached   less than 50, the less the more often
//	never tried                        50
//	reached                            800, up to 100 more for a low latency, and
//	                                   as tari_comms has it 100 less the seconds since, at least -700
//
// tari_comms computes it when an address changes, and cannot tell one that was
// never tried from one that failed.
func (a Address) Quality(at time.Time) int {
	switch rank(a) {
	case rankFailed:
		return 50 - int(max(1, min(a.Failures, 50)))
	case rankUntried:
		return 50
	}
	latency := 100
	if a.Took > 0 {
		latency = max(0, 100-int(a.Took/(100*time.Millisecond)))
	}
	return 800 + latency + max(-700, 100-int(max(0, at.Sub(a.LastSeen))/time.Second))
}

// The wait after a failed dial, doubled with each failure after the first.
// tari_comms has no such wait an address.
const (
	firstRetry = 30 * time.Second
	lastRetry  = 6 * time.Hour
)

// RetryAt is when an address that failed is worth a dial again: 30 s after the
// first failure, twice that after each further one, at most 6 h; zero for one
// that did not fail. It is forgotten with a success only.
func (a Address) RetryAt() time.Time {
	if rank(a) != rankFailed {
		return time.Time{}
	}
	wait := firstRetry
	for range min(a.Failures, 32) - min(a.Failures, 1) {
		if wait *= 2; wait >= lastRetry {
			wait = lastRetry
			break
		}
	}
	return a.LastFail.Add(wait)
}

// Ban says until when a peer is not let in, and why.
type Ban struct {
	Until  time.Time
	Reason string // at most 256 bytes, no control characters
	Source BanSource
	// Generation counts unbans. Who decided to ban before the last unban must
	// not have the last word: see BanSince.
	Generation uint64
}

// BanSource says who decided on a ban.
type BanSource uint8

// The sources of bans.
const (
	ByProgram  BanSource = iota // this program, for an offence
	ByOperator                  // a person
)

// String is "program" or "operator".
func (s BanSource) String() string { return wordOf(banSourceWords, s) }

var banSourceWords = []string{ByProgram: "program", ByOperator: "operator"}
