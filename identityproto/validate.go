package identityproto

import (
	"slices"
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

	Verified *Verified // signatures that need not be verified again; nil: none
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
	if err := m.checkSizes(rules); err != nil {
		return nil, err
	}
	if err := m.checkTexts(); err != nil {
		return nil, err
	}
	for _, raw := range m.addresses {
		if _, ok := components(raw); !ok {
			return nil, fail(KindAddress, "an address that is no multiaddr")
		}
	}
	if unknown := Features(m.features) &^ FeatureNode; unknown != 0 {
		return nil, fail(KindFeatures, "unknown feature bits 0x%x", uint32(unknown))
	}
	signature, err := m.signature.parse()
	if err != nil {
		return nil, err
	}
	c := &Claim{Key: key, Features: Features(m.features), UserAgent: m.userAgent, Signature: signature}
	c.Addresses = slices.Grow(c.Addresses, len(m.addresses)) // no spare room: peers' books have many of them
	for _, raw := range m.addresses {
		parts, _ := components(raw)
		if err := checkShape(parts); err != nil {
			return nil, err
		}
		a, err := decodeAddress(raw)
		if err != nil {
			return nil, err
		}
		c.Addresses = append(c.Addresses, a)
	}
	for _, p := range m.protocols {
		c.Protocols = append(c.Protocols, protocol.ID(p))
	}
	if err := c.verifyUnlessKnown(now, rules.Verified); err != nil {
		return nil, err
	}
	return c, nil
}

// checkSizes counts before anything is looked at.
func (m *modernMessage) checkSizes(rules Rules) error {
	if n, most := len(m.protocols), limit(rules.MaxProtocols, DefaultMaxProtocols); n > most {
		return fail(KindProtocols, "%d protocols, at most %d are allowed", n, most)
	}
	for _, p := range m.protocols {
		if most := limit(rules.MaxProtocolSize, DefaultMaxProtocolSize); len(p) > most {
			return fail(KindProtocols, "a protocol id of %d bytes, at most %d are allowed", len(p), most)
		}
	}
	if n, most := len(m.addresses), limit(rules.MaxAddresses, DefaultMaxAddresses); n > most {
		return fail(KindAddressCount, "%d addresses, at most %d are allowed", n, most)
	}
	if n, most := len(m.userAgent), limit(rules.MaxUserAgent, DefaultMaxUserAgent); n > most {
		return fail(KindUserAgentSize, "a user agent of %d bytes, at most %d are allowed", n, most)
	}
	return nil
}

// checkTexts looks at what will be shown to people, and at protocol ids, which
// the Rust node stores with commas in between.
func (m *modernMessage) checkTexts() error {
	if !printable(m.userAgent) {
		return fail(KindUserAgent, "the user agent %s is not printable ASCII", quote(m.userAgent))
	}
	for _, p := range m.protocols {
		if !printable(string(p)) || strings.Contains(string(p), ",") {
			return fail(KindProtocolText, "the protocol id %s is not printable ASCII without comma", quote(string(p)))
		}
	}
	return nil
}

// Dates that the Rust node can hold (chrono's years -262143 to 262142), Unix seconds.
const (
	minDate = -8_334_601_228_800
	maxDate = 8_210_266_876_799
)

// parse makes a signature of its wire form. What tari_comms only finds out when
// it verifies the signature (a date before 1970, a nonce that is no point) is
// KindSignature here too.
func (s *modernSignature) parse() (*Signature, error) {
	switch {
	case s == nil:
		return nil, fail(KindNoSignature, "the claim is not signed")
	case s.version > 255:
		return nil, fail(KindNoSignature, "signature version %d", s.version)
	case s.updatedAt < minDate || s.updatedAt > maxDate:
		return nil, fail(KindNoSignature, "the signature has no date")
	case len(s.nonce) != tarikey.KeySize:
		return nil, fail(KindNoSignature, "a nonce of %d bytes, not %d", len(s.nonce), tarikey.KeySize)
	case len(s.s) != tarikey.KeySize:
		return nil, fail(KindNoSignature, "a signature of %d bytes, not %d", len(s.s), tarikey.KeySize)
	}
	if !tarikey.IsScalar(s.s) {
		return nil, fail(KindNoSignature, "the signature's scalar is not canonical")
	}
	if s.updatedAt < 0 {
		return nil, fail(KindSignature, "the signature is dated before 1970")
	}
	nonce, err := tarikey.ParsePublicKey(s.nonce)
	if err != nil {
		return nil, wrap(KindSignature, err)
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
