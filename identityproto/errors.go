package identityproto

import (
	"fmt"
	"time"
)

// Bans of tari_comms for what a peer does in the identity exchange.
const (
	banLong  = 2 * time.Hour
	banShort = 2 * time.Minute
)

// Kind is the rule that a peer's claim broke, or the step of the exchange that failed.
type Kind int

// The kinds, in the order in which a claim is checked.
const (
	KindIO            Kind = iota + 1 // the connection failed
	KindTimeout                       // nothing came for ten seconds
	KindClosed                        // the peer ended the connection before its claim
	KindVersion                       // a protocol version above ours
	KindTooLarge                      // a message above the limit
	KindDecode                        // no protobuf
	KindProtocols                     // too many protocols, or an id too long
	KindAddressCount                  // too many addresses
	KindUserAgentSize                 // user agent too long
	KindUserAgent                     // user agent with unprintable bytes
	KindProtocolText                  // protocol id with unprintable bytes or a comma
	KindAddress                       // bytes that are no multiaddr
	KindFeatures                      // unknown feature bits
	KindNoSignature                   // signature missing or malformed
	KindShape                         // an address of a form that no claim may hold
	KindSignature                     // the signature does not hold
	KindFuture                        // signed more than a day ahead of our clock
	KindNodeID                        // a node id that is not the key's
	KindNoAddress                     // no usable address in a claim that must have one
	KindOurs                          // our own claim cannot be sent
)

// bans holds the kinds that cost a peer more than the connection. tari_comms
// names a ban for a connection that ends early but never reaches it: that is
// an I/O error there, and of the two ends of a simultaneous dial one closes like that.
var bans = map[Kind]time.Duration{
	KindTimeout: banShort, KindVersion: banShort,
	KindTooLarge: banLong, KindDecode: banLong, KindProtocols: banLong, KindAddressCount: banLong,
	KindUserAgentSize: banLong, KindShape: banLong, KindSignature: banLong,
}

// Error is a failed identity exchange.
type Error struct {
	Kind   Kind
	Detail string // for people; what the peer sent is quoted and cut
	Err    error  // the cause, if there is one

	ban time.Duration
}

func fail(kind Kind, format string, args ...any) *Error {
	return &Error{Kind: kind, Detail: fmt.Sprintf(format, args...), ban: bans[kind]}
}

func wrap(kind Kind, err error) *Error {
	return &Error{Kind: kind, Detail: err.Error(), Err: err, ban: bans[kind]}
}

func (e *Error) Error() string { return "identity: " + e.Detail }

// Unwrap returns the cause, if there is one.
func (e *Error) Unwrap() error { return e.Err }

// BanFor is how long tari_comms shuts the peer out for this; 0 is not at all.
func (e *Error) BanFor() time.Duration { return e.ban }

// Timeout reports whether the peer kept silent.
func (e *Error) Timeout() bool { return e.Kind == KindTimeout }

// quote shows what a peer sent, escaped and cut.
func quote(s string) string {
	const most = 40
	if len(s) > most {
		return fmt.Sprintf("%+q…", s[:most])
	}
	return fmt.Sprintf("%+q", s)
}
