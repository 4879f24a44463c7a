package identityproto

import (
	"bytes"
	"fmt"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Features says what a peer does for the network, as bits.
type Features uint32

// The features that tari_comms knows.
const (
	FeaturePropagation Features = 1 // MESSAGE_PROPAGATION
	FeatureStore       Features = 2 // DHT_STORE_FORWARD, kept for the sake of "node"

	FeatureNode   = FeaturePropagation | FeatureStore // a node
	FeatureClient = Features(0)                       // a wallet
)

// String spells the features as the Rust node's identity file does; a client's are "".
func (f Features) String() string {
	var names []string
	if f&FeaturePropagation != 0 {
		names = append(names, "MESSAGE_PROPAGATION")
	}
	if f&FeatureStore != 0 {
		names = append(names, "DHT_STORE_FORWARD")
	}
	if rest := f &^ FeatureNode; rest != 0 {
		names = append(names, fmt.Sprintf("0x%x", uint32(rest)))
	}
	return strings.Join(names, " | ")
}

// ParseFeatures is the reverse of String for the known features.
func ParseFeatures(s string) (Features, error) {
	var f Features
	for name := range strings.SplitSeq(s, "|") {
		switch strings.TrimSpace(name) {
		case "":
		case "MESSAGE_PROPAGATION":
			f |= FeaturePropagation
		case "DHT_STORE_FORWARD":
			f |= FeatureStore
		default:
			return 0, fmt.Errorf("identity: unknown feature %s", quote(strings.TrimSpace(name)))
		}
	}
	return f, nil
}

// Claim is what a peer says of itself. Who holds one must not change it.
type Claim struct {
	Key       tarikey.PublicKey // proved by Noise, not part of the message
	Addresses []ma.Multiaddr    // all of them, also those we would not dial: the signature covers the list
	Features  Features
	Protocols []protocol.ID
	UserAgent string
	Signature *Signature // nil in the seed dialect
}

// Signature is the modern dialect's signature over key, features and addresses.
type Signature struct {
	Version byte // of the signature; 0 is what is made
	tarikey.Signature
	UpdatedAt time.Time // to the second, UTC
}

// Filtered returns the addresses of the claim that may be kept and dialed:
// those Usable says yes to.
func (c *Claim) Filtered(rules Rules) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range c.Addresses {
		if Usable(a, rules.AllowTestAddresses) {
			out = append(out, a)
		}
	}
	return out
}

// Supports reports whether the claim lists the protocol.
func (c *Claim) Supports(id protocol.ID) bool {
	for _, p := range c.Protocols {
		if p == id {
			return true
		}
	}
	return false
}

// MarshalBinary is the claim as a peer book keeps it: the key (32 bytes), then
// the modern message, unsigned if the claim is of the seed dialect.
func (c *Claim) MarshalBinary() ([]byte, error) {
	return append(bytes.Clone(c.Key.Bytes()), EncodeMessage(c)...), nil
}

// UnmarshalBinary reads what MarshalBinary wrote. It checks the form only: the
// rules were applied when the claim came, VerifySignature can be asked again. Errors are *Error.
func (c *Claim) UnmarshalBinary(b []byte) error {
	if len(b) < tarikey.KeySize {
		return fail(KindDecode, "a stored claim of %d bytes", len(b))
	}
	key, err := tarikey.ParsePublicKey(b[:tarikey.KeySize])
	if err != nil {
		return wrap(KindDecode, err)
	}
	m, err := decodeModern(b[tarikey.KeySize:])
	if err != nil {
		return err
	}
	out := Claim{Key: key, Features: Features(m.features), UserAgent: m.userAgent}
	for _, raw := range m.addresses {
		a, err := decodeAddress(raw)
		if err != nil {
			return err
		}
		out.Addresses = append(out.Addresses, a)
	}
	for _, p := range m.protocols {
		out.Protocols = append(out.Protocols, protocol.ID(p))
	}
	if m.signature != nil {
		if out.Signature, err = m.signature.parse(); err != nil {
			return err
		}
	}
	*c = out
	return nil
}
