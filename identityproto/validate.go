package identityproto

import (
	"errors"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Limits of tari_comms on a modern claim, where Rules say nothing else.
const (
	DefaultMaxProtocols    = 20
	DefaultMaxProtocolSize = 50 // bytes of one id
	DefaultMaxAddresses    = 5
	DefaultMaxUserAgent    = 50 // bytes
)

// Rules are what a claim is held against. The zero value is what mainnet's nodes use.
type Rules struct {
	AllowTestAddresses bool // keep addresses that are not globally routable, and /memory
	Outbound           bool // we dialed: a peer's silence is then no offence
	MaxProtocols       int  // 0: DefaultMaxProtocols
	MaxProtocolSize    int  // 0: DefaultMaxProtocolSize
	MaxAddresses       int  // 0: DefaultMaxAddresses
	MaxUserAgent       int  // 0: DefaultMaxUserAgent
}

func limit(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}

// validate turns a modern message into a claim, check by check in the order of
// tari_comms, since the first failure decides the ban.
func (m *modernMessage) validate(key tarikey.PublicKey, rules Rules, now time.Time) (*Claim, error) {
	if n, most := len(m.protocols), limit(rules.MaxProtocols, DefaultMaxProtocols); n > most {
		return nil, fail(KindProtocols, "%d protocols, at most %d are allowed", n, most)
	}
	for _, p := range m.protocols {
		if most := limit(rules.MaxProtocolSize, DefaultMaxProtocolSize); len(p) > most {
			return nil, fail(KindProtocols, "a protocol id of %d bytes, at most %d are allowed", len(p), most)
		}
	}
	mostAddresses := limit(rules.MaxAddresses, DefaultMaxAddresses)
	if n := len(m.addresses); n > mostAddresses {
		return nil, fail(KindAddressCount, "%d addresses, at most %d are allowed", n, mostAddresses)
	}
	if most := limit(rules.MaxUserAgent, DefaultMaxUserAgent); len(m.userAgent) > most {
		return nil, fail(KindUserAgentSize, "a user agent of %d bytes, at most %d are allowed", len(m.userAgent), most)
	}
	if !printable(m.userAgent) {
		return nil, fail(KindUserAgent, "the user agent %s is not printable ASCII", quote(m.userAgent))
	}
	c := &Claim{Key: key, Features: Features(m.features), UserAgent: m.userAgent}
	for _, p := range m.protocols {
		if !printable(string(p)) || strings.Contains(string(p), ",") {
			return nil, fail(KindProtocolText, "the protocol id %s is not printable ASCII without comma", quote(string(p)))
		}
		c.Protocols = append(c.Protocols, protocol.ID(p))
	}
	// An address can be no multiaddr (not banned) or one of a forbidden shape
	// (banned); the first kind is looked for in all addresses before the second.
	var misshapen error
	for _, raw := range m.addresses {
		a, err := decodeAddress(raw)
		switch {
		case err == nil:
			c.Addresses = append(c.Addresses, a)
		case err.Kind == KindShape:
			misshapen = err
		default:
			return nil, err
		}
	}
	if c.Features&^FeatureNode != 0 {
		return nil, fail(KindFeatures, "unknown feature bits 0x%x", uint32(c.Features&^FeatureNode))
	}
	sig, err := m.signature.parse()
	if err != nil {
		return nil, err
	}
	c.Signature = sig
	if misshapen != nil {
		return nil, misshapen
	}
	for _, a := range c.Addresses {
		if err := CheckShape(a); err != nil {
			return nil, err
		}
	}
	if err := c.VerifySignature(now); err != nil {
		return nil, err
	}
	return c, nil
}

// parse makes a signature of its wire form, or says that it is none.
func (s *modernSignature) parse() (*Signature, error) {
	switch {
	case s == nil:
		return nil, fail(KindNoSignature, "the claim is not signed")
	case s.version > 255:
		return nil, fail(KindNoSignature, "signature version %d", s.version)
	case s.updatedAt < 0:
		return nil, fail(KindNoSignature, "the signature is dated before 1970")
	case len(s.s) != 32:
		return nil, fail(KindNoSignature, "a signature of %d bytes, not 32", len(s.s))
	}
	if _, err := tarikey.ParseSecretKey(s.s); errors.Is(err, tarikey.ErrNotCanonical) {
		return nil, fail(KindNoSignature, "the signature's scalar is not canonical")
	}
	nonce, err := tarikey.ParsePublicKey(s.nonce)
	if err != nil {
		return nil, wrap(KindNoSignature, err)
	}
	out := &Signature{Version: byte(s.version), UpdatedAt: time.Unix(s.updatedAt, 0).UTC()}
	out.Nonce = nonce
	copy(out.S[:], s.s)
	return out, nil
}

func printable(s string) bool {
	for i := range len(s) {
		if s[i] < 0x20 || s[i] > 0x7e {
			return false
		}
	}
	return true
}
