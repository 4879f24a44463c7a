package peersync

import (
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Service is the protocol id.
const Service protocol.ID = "t/dht/1"

// getPeers answers with a random choice of peers, an item each. There is no
// paging: each call has another choice.
var getPeers = rpc.Streaming[*dhtproto.GetPeersRequest, *dhtproto.GetPeersResponse]{
	Number: 10, Budget: rpc.Budget{Response: 65_536}, Repeatable: true,
}

// Rules of tari_comms_dht 6.
const (
	maxPeers     = 500 // that a server gives in one answer, and that a client asks for
	maxClaims    = 5   // of one peer
	maxAddresses = 5   // of one claim
	maxHostile   = 5   // claims with a signature that does not hold, in one answer
)

// relayedOf is a claim as it came.
func relayedOf(c *dhtproto.PeerIdentityClaim) *identityproto.Relayed {
	r := &identityproto.Relayed{Addresses: c.Addresses, Features: c.PeerFeatures}
	if s := c.IdentitySignature; s != nil {
		r.Signature = &identityproto.RelayedSignature{Version: s.Version, S: s.Signature, Nonce: s.PublicNonce, UpdatedAt: s.UpdatedAt}
	}
	return r
}

// itemOf is a signed claim as an item of an answer.
func itemOf(c *identityproto.Claim) *dhtproto.GetPeersResponse {
	r := c.Relay()
	return &dhtproto.GetPeersResponse{Peer: &dhtproto.PeerInfo{
		PublicKey: c.Key.Bytes(),
		Claims: []*dhtproto.PeerIdentityClaim{{
			Addresses:    r.Addresses,
			PeerFeatures: r.Features,
			IdentitySignature: &dhtproto.IdentitySignature{
				Version: r.Signature.Version, Signature: r.Signature.S, PublicNonce: r.Signature.Nonce, UpdatedAt: r.Signature.UpdatedAt,
			},
		}},
	}}
}
