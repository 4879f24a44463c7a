// Package dialect is the way from an open connection to a [Session], in the words of the Tari network at the other end.
//
// Choose a [Network], take its dialect with [Of], and call Upgrade on a connection: one that was dialed, or one that was accepted and
// whose wire byte was read and found to be the dialect's. Each dialect is one file that reads in wire order; what comes out is the
// same for all of them, and nobody above this package branches on it.
package dialect

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// A Dialect is everything that is said on a connection after the wire byte and before the substreams.
type Dialect interface {
	fmt.Stringer

	// WireByte is the first byte of a connection in this dialect, from the side that dialed.
	WireByte() byte

	// Upgrade does the handshake of the given side. The initiator (outbound) sends the wire byte itself; for the responder (inbound)
	// it was read before. The error is a *StageError, and the caller closes conn. Every stage has its own limit; ctx bounds them all.
	Upgrade(ctx context.Context, conn net.Conn, dir network.Direction, us Local) (*Session, error)
}

// Local is our side of a handshake. Key and Claim are required.
type Local struct {
	Key    tarikey.SecretKey
	Expect tarikey.PublicKey                                         // the key that was dialed; zero when the peer came to us
	Claim  func() (*identityproto.Claim, error)                      // what we say of ourselves, signed; asked for after Admit agreed
	Rules  identityproto.Rules                                       // what we accept of theirs
	Admit  func(remote tarikey.PublicKey) (network.PeerScope, error) // nil: everybody; asked once the key is proven, before we say a word of ours
	Trace  func(StageTime)                                           // nil, or told about each stage when it ends, in order

	// Opening, unless nil, is asked for on a connection that we dialed, after Admit agreed: it returns the beginning of our first
	// stream, at most MaxOpening bytes, or nothing. A dialect that can sends it behind our claim, in one write, so that the peer has
	// it half a round trip before we have the peer's claim. Session.Opened is then that stream; no other dialect asks.
	Opening func() []byte
}

// MaxOpening is how many bytes Local.Opening may return.
const MaxOpening = yamux.MaxOpening

// Session is what every dialect arrives at: substreams with a peer whose key is proven and whose claim is valid.
type Session struct {
	network.MuxedConn
	Remote  tarikey.PublicKey
	Claim   *identityproto.Claim
	Dialect Dialect
	Stages  []StageTime         // in the order they ran
	Opened  network.MuxedStream // the stream that Local.Opening began, or nil
	Binding []byte              // the hash of the Noise handshake: both sides know one connection from another by it
	Era     tariproto.Era

	// StaleAfter is the age from which a connection yields to any newer one with the same peer, whoever dialed; 0: never.
	StaleAfter time.Duration
}

// Names of the stages. An upgrader adds StageWire, which is before the dialect.
const (
	StageWire     = "wire"     // the first byte
	StageNoise    = "noise"    // keys proven, and the expected one
	StageAdmit    = "admit"    // whether this peer may connect at all
	StageIdentity = "identity" // claims exchanged and valid
	StageMuxer    = "yamux"    // substreams
)

// Limits of the stages, as tari_comms has them. All stages together have Budget, Noise has 6 s a message, and the modern exchange 10 s.
const (
	Budget            = 15 * time.Second // wire byte to identity
	seedIdentityLimit = Budget           // the exchange itself keeps to 10 s too, and says who was silent
)

// closeLimit is how long a connection that ends may send what was written to it (our choice). A host that closes all of them promises to be
// through within two seconds.
const closeLimit = 1900 * time.Millisecond

// StageTime is how long a stage took, and how it ended.
type StageTime struct {
	Stage string
	Took  time.Duration
	Err   error
}

// StageError says at which stage a connection failed.
type StageError struct {
	Stage string
	Err   error
}

// Error names the stage, once: most causes begin with it.
func (e *StageError) Error() string {
	cause := e.Err.Error()
	if strings.HasPrefix(cause, e.Stage+": ") {
		return cause
	}
	return e.Stage + ": " + cause
}

// Unwrap returns the cause.
func (e *StageError) Unwrap() error { return e.Err }

// KeyMismatchError is a peer that proved another key than the one dialed.
type KeyMismatchError struct {
	Expected, Got tarikey.PublicKey
}

func (e *KeyMismatchError) Error() string {
	return fmt.Sprintf("the peer there has the key %s, not %s", e.Got, e.Expected)
}
