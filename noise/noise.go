// Package noise is the encrypted connection under everything two Tari peers say to each other: a Noise handshake
// over Ristretto255 that proves the keys of both, and the frames that follow it.
//
// Start with [Client] on a connection that was dialed and with [Server] on one that was accepted. Both return a
// [Conn], which is a net.Conn that knows the key of the peer at the other end. This package knows Noise patterns,
// not the dialects that use them: [Params] says what differs.
//
// On the wire everything is a frame, in the handshake and after it:
//
//	+----------------+------------------------------------+
//	| length u16 BE  | body, 1 to 65,535 bytes            |
//	+----------------+------------------------------------+
//
// A body is a handshake message, or ciphertext and its 16-byte tag. A frame of length 0 means nothing and is
// skipped. Key names, hashes and frames are those of tari_comms.
package noise

import (
	"errors"
	"io"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Sizes of a frame in bytes, fixed by the Noise specification.
const (
	HeaderSize   = 2                   // length before each frame, big-endian
	MaxFrame     = 65535               // body of a frame
	Overhead     = 16                  // authentication tag within the body
	MaxPlaintext = MaxFrame - Overhead // what one frame carries
)

// DefaultStepTimeout is how long a peer may take over each handshake message, as tari_comms has it.
const DefaultStepTimeout = 6 * time.Second

// Pattern is the order of keys in the handshake messages. The zero value is XX.
type Pattern uint8

// The patterns that tari_comms has used.
const (
	XX Pattern = iota // three messages; the keys of both sides are hidden from onlookers
	IX                // two messages; the initiator's key is in clear in the first
)

// String returns the pattern's name as Noise spells it.
func (p Pattern) String() string { return p.script().name }

// script is a pattern as data. Payloads are always empty, so each message has exactly one size.
type script struct {
	name     string
	messages []message
}

type message struct {
	size   int
	tokens []token
}

var scripts = [...]script{
	XX: {"XX", []message{{32, []token{keyE}}, {96, []token{keyE, dhEE, keyS, dhES}}, {64, []token{keyS, dhSE}}}},
	IX: {"IX", []message{{64, []token{keyE, keyS}}, {96, []token{keyE, dhEE, dhSE, keyS, dhES}}}},
}

func (p Pattern) script() script {
	if int(p) >= len(scripts) {
		return script{name: "unknown"}
	}
	return scripts[p]
}

// Params are what both sides have to agree on beforehand.
type Params struct {
	Pattern  Pattern
	Prologue []byte // mixed into the transcript; empty is a value like any other
	HashDH   bool   // put each Diffie-Hellman result through Tari's domain hash "noise.dh"
}

// Config is one side of a handshake. Static is required.
type Config struct {
	Params

	// Static is the key by which peers know us.
	Static tarikey.SecretKey

	// Preamble is written in the same segment as the initiator's first message, before it. A Server ignores it.
	Preamble []byte

	// HoldLast keeps the pattern's last message back, if it is ours, until the first Write: both then travel together. Until then the peer
	// knows nothing of our key.
	HoldLast bool

	// StepTimeout is how long the peer may take over each message; 0 is DefaultStepTimeout.
	StepTimeout time.Duration

	// Rand is where the ephemeral key comes from; nil is crypto/rand. Anything else is for tests.
	Rand io.Reader
}

// ErrNoAnswer is how a peer looks that closed instead of answering our first message: it does not say why.
var ErrNoAnswer = errors.New("closed before Noise answered: other network or dialect, or refused")

// Errors that end a connection; they are the peer's doing.
var (
	ErrMessageSize = errors.New("handshake message has the wrong size")
	ErrBadMessage  = errors.New("handshake message failed authentication: other dialect, or tampered with")
	ErrShortFrame  = errors.New("noise: frame is shorter than its tag")
	ErrBadTag      = errors.New("noise: frame failed authentication")
)

// errExhausted is the end of a key: its 2^64-1 nonces are used up.
var errExhausted = errors.New("noise: key is used up")

// HandshakeError says which step of a handshake failed. It unwraps to the cause: a context's error, os.ErrDeadlineExceeded for a
// step that took too long, ErrNoAnswer, ErrMessageSize, ErrBadMessage, a *tarikey.KeyError for a key that is no key, or what the connection said.
type HandshakeError struct {
	Step string // such as "receive message 2"
	Err  error
}

func (e *HandshakeError) Error() string { return "noise: " + e.Step + ": " + e.Err.Error() }

// Unwrap returns the cause.
func (e *HandshakeError) Unwrap() error { return e.Err }
