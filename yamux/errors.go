package yamux

import (
	"errors"

	"github.com/libp2p/go-libp2p/core/network"
)

// What ends a session. Streams and AcceptStream return these inside a
// *network.ConnError, which says whose doing it was.
var (
	// ErrClosed: Close or CloseWithError was called on this side.
	ErrClosed = errors.New("yamux: session closed")
	// ErrGoAway: the peer said GoAway.
	ErrGoAway = errors.New("yamux: peer closed the session")
	// ErrConnectionEnded: the connection ended without a GoAway. It is no io.EOF:
	// a stream that ends with its connection is cut off, not finished.
	ErrConnectionEnded = errors.New("yamux: connection ended without a GoAway")
	// ErrWriteStall: the connection took no bytes for Config.WriteTimeout.
	ErrWriteStall = errors.New("yamux: connection takes no bytes any more")
	// ErrKeepAlive: the peer sent nothing for twice Config.KeepAlive, not even the
	// answer to a ping.
	ErrKeepAlive = errors.New("yamux: peer is silent and answers no ping")
	// ErrUnsent is returned by Close when the peer did not take everything that
	// had been written within Config.CloseTimeout.
	ErrUnsent = errors.New("yamux: closed before everything was sent")
)

// What a stream returns of its own accord.
var (
	// ErrWriteClosed: the write side was closed on this side.
	ErrWriteClosed = errors.New("yamux: stream closed for writing")
	// ErrReadClosed: the read side was closed on this side.
	ErrReadClosed = errors.New("yamux: stream closed for reading")
)

// ViolationError is a breach of the yamux protocol by the peer. The session
// answers it with GoAway(1) and ends.
type ViolationError struct{ Reason string }

func (e *ViolationError) Error() string { return "yamux: peer broke the protocol: " + e.Reason }

func violation(reason string) error { return &ViolationError{Reason: reason} }

// LimitError is returned by OpenStream when no further stream fits: the
// connection has Config.MaxStreams, or Config.MaxOpen of our own, or no memory
// is left for another window. It is temporary, and matches
// network.ErrResourceLimitExceeded.
type LimitError struct{ Reason string }

func (e *LimitError) Error() string { return "yamux: cannot open a stream: " + e.Reason }

// Temporary says that a later attempt may succeed.
func (e *LimitError) Temporary() bool { return true }

// Timeout is always false.
func (e *LimitError) Timeout() bool { return false }

// Is matches network.ErrResourceLimitExceeded.
func (e *LimitError) Is(target error) bool { return target == network.ErrResourceLimitExceeded }

func localEnd(code network.ConnErrorCode, err error) error {
	return &network.ConnError{ErrorCode: code, TransportError: err}
}

func remoteEnd(code network.ConnErrorCode, err error) error {
	return &network.ConnError{Remote: true, ErrorCode: code, TransportError: err}
}
