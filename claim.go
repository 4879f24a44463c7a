package tari

import (
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// What a claim may carry before tari_comms bans for it.
const (
	maxClaimAddresses  = 5
	maxClaimProtocols  = 20
	maxClaimProtocolID = 50 // bytes
)

// ownClaim is what we say of ourselves. It is signed again only when addresses or features change, which the signature covers.
type ownClaim struct {
	key       tarikey.SecretKey
	userAgent string
	allowTest bool

	mu       sync.Mutex
	public   []ma.Multiaddr
	features identityproto.Features
	last     *identityproto.Claim // as handed out last
	offered  []protocol.ID        // the protocols that last was made from
}

func newOwnClaim(cfg Config) *ownClaim {
	return &ownClaim{
		key: cfg.Key, userAgent: cfg.UserAgent, allowTest: cfg.AllowTestAddresses,
		public: slices.Clone(cfg.Public), features: identityproto.FeatureNode,
	}
}

func (o *ownClaim) setPublic(addrs []ma.Multiaddr) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.public = slices.Clone(addrs)
}

func (o *ownClaim) setFeatures(f identityproto.Features) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.features = f
}

func (o *ownClaim) publicAddresses() []ma.Multiaddr {
	o.mu.Lock()
	defer o.mu.Unlock()
	return slices.Clone(o.public)
}

// current returns the claim for a host that listens at the given addresses and serves the given protocols. It must not be changed.
func (o *ownClaim) current(listening []ma.Multiaddr, protocols []protocol.ID, now time.Time) (*identityproto.Claim, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	addrs := o.claimable(listening)
	signed := o.last != nil && o.last.Features == o.features && slices.EqualFunc(o.last.Addresses, addrs, ma.Multiaddr.Equal)
	if signed && slices.Equal(o.offered, protocols) {
		return o.last, nil
	}
	claim := &identityproto.Claim{Key: o.key.Public(), Addresses: addrs, Features: o.features, UserAgent: o.userAgent}
	if signed {
		claim.Signature = o.last.Signature
	} else if err := claim.Sign(o.key, now); err != nil {
		return nil, err
	}
	offer(claim, protocols)
	// What we say is held against the rules by which others would ban us for it.
	if _, err := identityproto.DecodeMessage(identityproto.EncodeMessage(claim), claim.Key, identityproto.Rules{AllowTestAddresses: true}, now); err != nil {
		return nil, fmt.Errorf("tari: no peer would accept our claim: %w", err)
	}
	o.last, o.offered = claim, slices.Clone(protocols)
	return claim, nil
}

// claimable picks at most five addresses that a peer would store: the public ones, else those we listen on.
func (o *ownClaim) claimable(listening []ma.Multiaddr) []ma.Multiaddr {
	from := o.public
	if len(from) == 0 {
		from = listening
	}
	var addrs []ma.Multiaddr
	for _, a := range from {
		if len(addrs) < maxClaimAddresses && identityproto.CheckShape(a) == nil && identityproto.Usable(a, o.allowTest) {
			addrs = append(addrs, a)
		}
	}
	return addrs
}

// offer puts protocols into a claim in the order they were registered, as many as fit: at most twenty, each of at most 50
// bytes of printable ASCII without a comma, and the whole claim within its frame. Those left out are served all the same; a
// peer that wants one has to negotiate for it.
func offer(claim *identityproto.Claim, protocols []protocol.ID) {
	for _, id := range protocols {
		if len(claim.Protocols) < maxClaimProtocols && claimableProtocol(id) {
			claim.Protocols = append(claim.Protocols, id)
		}
	}
	for len(claim.Protocols) > 0 && len(identityproto.EncodeMessage(claim)) > identityproto.MaxMessage {
		claim.Protocols = claim.Protocols[:len(claim.Protocols)-1]
	}
}

func claimableProtocol(id protocol.ID) bool {
	if len(id) == 0 || len(id) > maxClaimProtocolID {
		return false
	}
	for _, c := range []byte(id) {
		if c < 0x20 || c > 0x7e || c == ',' {
			return false
		}
	}
	return true
}
