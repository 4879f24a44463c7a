package peersync

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Query says which peers to ask for. The zero value asks as tari_comms_dht does.
type Query struct {
	Max                int  // peers; 0 means 500, the most that anybody gives in one answer
	Clients            bool // also wallets, which mostly cannot be reached
	AllowTestAddresses bool // internal addresses and /memory are usable: for networks of one's own
}

// Peer is a peer that another one told of.
type Peer struct {
	Claim *identityproto.Claim // the newest of its signed claims, whole; without protocols and user agent, which are not signed
	Addrs []ma.Multiaddr       // of the claim, those that may be kept and dialed; at least one
}

// Fault is what was wrong with a peer that was told of.
type Fault string

// The faults. None is an offence of whoever told by itself: live nodes pass on
// what older ones have let in.
const (
	FaultMalformed Fault = "malformed" // a key, an address, features or a signature that are none
	FaultShape     Fault = "shape"     // no claim or address, too many, or an address of a form that no claim may hold
	FaultSignature Fault = "signature" // the signature does not hold
	FaultFuture    Fault = "future"    // signed more than a day ahead of our clock
	FaultInternal  Fault = "internal"  // all holds, but no address of it leads anywhere from here
)

// Answer is what a peer told.
type Answer struct {
	Peers   []Peer
	Items   int           // that came, good or bad
	Invalid map[Fault]int // those that are not in Peers; nil if there are none
}

// OffenceError is an answer that no honest peer gives. tari_comms_dht bans for
// it, and so does tari.Host.Offence.
type OffenceError struct{ What string }

// Error implements error.
func (e *OffenceError) Error() string { return "peersync: " + e.What }

// BanFor is how long tari_comms_dht bans for it.
func (e *OffenceError) BanFor() time.Duration { return 2 * time.Hour }

// maxItem bounds one item, in bytes: our choice. Five claims of five addresses,
// each with a name of the greatest length, have less than 10 KiB.
const maxItem = 64 << 10

// Connect opens a session for Ask, with a bound on what an item may make us
// hold. Errors are those of rpc.Connect.
func Connect(ctx context.Context, h rpc.Streams, to peer.ID) (*rpc.Client, error) {
	return rpc.Connect(ctx, h, to, Service, rpc.ClientConfig{MaxItem: maxItem})
}

// Ask asks a peer for others and verifies each claim, over all of its addresses.
// The Answer has what came before an error.
//
// Errors: an *OffenceError, when the answer breaks the rules of get_peers;
// otherwise those of a call, see rpc.Unary.Call.
func Ask(ctx context.Context, via rpc.Caller, q Query) (Answer, error) {
	if q.Max <= 0 || q.Max > maxPeers {
		q.Max = maxPeers
	}
	a := &asking{query: q, seen: make(map[string]bool)}
	items := getPeers.Call(ctx, via, &dhtproto.GetPeersRequest{
		N: uint32(q.Max), IncludeClients: q.Clients, MaxClaims: maxClaims, MaxAddressesPerClaim: maxAddresses,
	})
	for item, err := range items {
		if err == nil {
			err = a.take(item)
		}
		if err != nil {
			return a.answer, err
		}
	}
	return a.answer, nil
}

// asking is an answer under way.
type asking struct {
	query  Query
	answer Answer
	seen   map[string]bool // keys
}

// take reads one item. Its error is an offence.
func (a *asking) take(item *dhtproto.GetPeersResponse) error {
	switch {
	case a.answer.Items == a.query.Max:
		return &OffenceError{"more peers than were asked for"}
	case item.Peer == nil:
		return &OffenceError{"an item without a peer"}
	case a.seen[string(item.Peer.PublicKey)]:
		return &OffenceError{"the same peer twice"}
	}
	a.answer.Items++
	a.seen[string(item.Peer.PublicKey)] = true
	p, fault := verify(item.Peer, a.query.AllowTestAddresses, time.Now())
	if fault == "" {
		a.answer.Peers = append(a.answer.Peers, p)
		return nil
	}
	if a.answer.Invalid == nil {
		a.answer.Invalid = make(map[Fault]int)
	}
	a.answer.Invalid[fault]++
	if a.answer.Invalid[FaultSignature] > maxHostile {
		return &OffenceError{"claims whose signatures do not hold"}
	}
	return nil
}

// verify holds all claims of a peer against the rules, as tari_comms_dht does:
// one that does not hold spoils the others.
func verify(p *dhtproto.PeerInfo, allowTest bool, now time.Time) (Peer, Fault) {
	key, err := tarikey.ParsePublicKey(p.PublicKey)
	if err != nil {
		return Peer{}, FaultMalformed
	}
	if len(p.Claims) == 0 || len(p.Claims) > maxClaims {
		return Peer{}, FaultShape
	}
	var newest *identityproto.Claim
	for i, raw := range p.Claims {
		if slices.ContainsFunc(p.Claims[:i], func(c *dhtproto.PeerIdentityClaim) bool { return proto.Equal(c, raw) }) {
			continue // Rust's server gives a claim once for each address that it has from it
		}
		if len(raw.Addresses) == 0 {
			return Peer{}, FaultShape
		}
		claim, err := relayedOf(raw).Claim(key, identityproto.Rules{}, now)
		if err != nil {
			return Peer{}, faultOf(err)
		}
		if newest == nil || claim.Signature.UpdatedAt.After(newest.Signature.UpdatedAt) {
			newest = claim
		}
	}
	addrs := newest.Filtered(identityproto.Rules{AllowTestAddresses: allowTest})
	if len(addrs) == 0 {
		return Peer{}, FaultInternal
	}
	return Peer{Claim: newest, Addrs: addrs}, ""
}

func faultOf(err error) Fault {
	wrong, _ := errors.AsType[*identityproto.Error](err)
	if wrong == nil {
		return FaultMalformed
	}
	switch wrong.Kind {
	case identityproto.KindSignature:
		return FaultSignature
	case identityproto.KindFuture:
		return FaultFuture
	case identityproto.KindAddressCount, identityproto.KindShape:
		return FaultShape
	}
	return FaultMalformed
}
