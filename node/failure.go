package node

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"syscall"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/multiformats/go-multistream"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// FailureKind sorts errors by what the user can do about them.
type FailureKind string

// The kinds of failure. The command's exit codes follow them.
const (
	FailOther          FailureKind = "other"          // a disk, a locked folder, a fault of ours
	FailUsage          FailureKind = "usage"          // the request makes no sense
	FailUnreachable    FailureKind = "unreachable"    // nobody answers there
	FailAuthentication FailureKind = "authentication" // not who we were told, or does not prove it
	FailRefused        FailureKind = "refused"        // they, or our bans, do not want this connection
	FailTimeout        FailureKind = "timeout"
	FailNotFound       FailureKind = "not_found" // no such peer or file
)

// httpStatus is the control API's status for a kind.
func (k FailureKind) httpStatus() int {
	switch k {
	case FailUsage:
		return http.StatusBadRequest
	case FailUnreachable, FailAuthentication:
		return http.StatusBadGateway
	case FailRefused:
		return http.StatusForbidden
	case FailNotFound:
		return http.StatusNotFound
	case FailTimeout:
		return http.StatusGatewayTimeout
	default:
		return http.StatusInternalServerError
	}
}

// Failure is an error that has been sorted; it travels over the control API.
type Failure struct {
	Kind   FailureKind `json:"failure"`
	Text   string      `json:"error"`
	Reason string      `json:"reason,omitempty"` // why a message was not sent, in messagingproto's words, or what the peer answered to a call, in rpc's
	err    error
}

// Error is the text alone.
func (f *Failure) Error() string { return f.Text }

// Unwrap gives the error that was sorted; nil if the Failure came over the control API.
func (f *Failure) Unwrap() error { return f.err }

// fail sorts err by hand.
func fail(kind FailureKind, err error) *Failure {
	return &Failure{Kind: kind, Text: err.Error(), err: err}
}

// FailureOf sorts an error of this module's packages. It never returns nil.
func FailureOf(err error) *Failure {
	var known *Failure
	if errors.As(err, &known) {
		return known
	}
	f := &Failure{Kind: kindOf(err), Text: plain(err), err: err}
	var send *messagingproto.SendError
	var status *rpc.Status
	switch {
	case errors.As(err, &send):
		f.Reason = send.Reason.String()
	case errors.As(err, &status):
		f.Reason = status.Code.String()
	}
	return f
}

// kindOf looks for the cause that got farthest: of several addresses, the one where somebody answered says most.
func kindOf(err error) FailureKind {
	if reason := messagingproto.ReasonOf(err); reason != 0 {
		if kind, ok := sendKinds[reason]; ok {
			return kind
		}
	}
	var (
		mismatch *dialect.KeyMismatchError
		stage    *dialect.StageError
		netError net.Error
	)
	switch {
	case errors.As(err, &mismatch):
		return FailAuthentication
	case isAny(err, noise.ErrNoAnswer, tari.ErrRefused, wiremode.ErrNoEcho, swarm.ErrGaterDisallowedConnection, tariproto.ErrNotSupported, tariproto.ErrTerminated):
		return FailRefused
	case isAny(err, context.DeadlineExceeded, os.ErrDeadlineExceeded, syscall.ETIMEDOUT),
		errors.As(err, &netError) && netError.Timeout():
		return FailTimeout
	case errors.As(err, new(multistream.ErrNotSupported[protocol.ID])), errors.As(err, new(*rpc.Status)), errors.As(err, new(*rpc.RejectedError)), errors.As(err, new(*rpc.SessionError)):
		return FailRefused
	case errors.As(err, &stage):
		if isAny(err, io.EOF, io.ErrUnexpectedEOF, syscall.ECONNRESET, syscall.EPIPE, network.ErrReset) {
			return FailRefused // hung up in the middle of the handshake
		}
		return FailAuthentication
	case isAny(err, network.ErrReset):
		return FailRefused
	case errors.As(err, new(*net.OpError)), errors.As(err, new(*swarm.DialError)), errors.Is(err, swarm.ErrNoAddresses):
		return FailUnreachable
	default:
		return FailOther
	}
}

// sendKinds are the reasons that say enough without their cause.
var sendKinds = map[messagingproto.Reason]FailureKind{
	messagingproto.TooLarge:            FailUsage,
	messagingproto.QueueFull:           FailOther,
	messagingproto.SendTimeout:         FailTimeout,
	messagingproto.QueuedBehindTimeout: FailTimeout,
	messagingproto.MaxRetries:          FailRefused,
	messagingproto.ConnectionLost:      FailUnreachable,
	messagingproto.Closed:              FailOther,
}

func isAny(err error, targets ...error) bool {
	for _, target := range targets {
		if errors.Is(err, target) {
			return true
		}
	}
	return false
}
