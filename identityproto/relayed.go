package identityproto

import (
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Relayed is a claim as a third peer passes it on (PeerIdentityClaim of
// tari_comms_dht), unchecked: what its owner signed, without the protocols and
// the user agent, which the signature does not cover.
type Relayed struct {
	Addresses [][]byte // binary multiaddrs, all that were signed, in their order
	Features  uint32
	Signature *RelayedSignature // nil: there is none
}

// RelayedSignature is the signature of a Relayed claim, unchecked.
type RelayedSignature struct {
	Version   uint32
	S, Nonce  []byte
	UpdatedAt int64 // Unix seconds
}

// Relay is the claim as it is passed on; nil if it is not signed, which nobody
// would believe. It shares memory with c.
func (c *Claim) Relay() *Relayed {
	s := c.Signature
	if s == nil {
		return nil
	}
	r := &Relayed{
		Addresses: make([][]byte, len(c.Addresses)),
		Features:  uint32(c.Features),
		Signature: &RelayedSignature{Version: uint32(s.Version), S: s.S[:], Nonce: s.Nonce.Bytes(), UpdatedAt: s.UpdatedAt.Unix()},
	}
	for i, a := range c.Addresses {
		r.Addresses[i] = a.Bytes()
	}
	return r
}

// Claim holds the claim against the rules, as one that its owner said itself,
// and returns it. now is what the signature's date is held against. Errors are
// *Error; of their bans none is for whoever passed the claim on.
func (r *Relayed) Claim(key tarikey.PublicKey, rules Rules, now time.Time) (*Claim, error) {
	m := &modernMessage{addresses: r.Addresses, features: r.Features}
	if s := r.Signature; s != nil {
		m.signature = &modernSignature{version: s.Version, s: s.S, nonce: s.Nonce, updatedAt: s.UpdatedAt}
	}
	return m.validate(key, rules, now)
}
