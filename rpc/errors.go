package rpc

import (
	"errors"
	"fmt"
	"net"
)

// RejectReason is why a server opens no session.
type RejectReason uint32

// The reasons that tari_comms gives.
const (
	RejectUnknown      RejectReason = iota
	RejectVersion                   // it speaks none of the versions
	RejectServerFull                // it has no session left for anybody, or for us
	RejectClientFull                // the client has none left
	RejectNotSupported              // it does not serve the protocol
)

var rejectNames = [...]string{"no reason given", "no common version", "no session left at the server", "no session left at the client", "protocol not supported"}

// String returns the reason as a short phrase.
func (r RejectReason) String() string {
	if int64(r) < int64(len(rejectNames)) {
		return rejectNames[r]
	}
	return fmt.Sprintf("unknown reason %d", uint32(r))
}

// RejectedError is a server that opened no session. Another peer, or the same
// one later, may.
type RejectedError struct{ Reason RejectReason }

// Error implements error.
func (e *RejectedError) Error() string { return "rpc: session refused: " + e.Reason.String() }

// SessionError is the end of a session. The calls that it carried may have been
// served or not; the next one needs another session.
type SessionError struct{ Err error }

// Error implements error.
func (e *SessionError) Error() string { return "rpc: the session has ended: " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SessionError) Unwrap() error { return e.Err }

var (
	errSilent     = errors.New("no answer to the handshake in time")
	errClosed     = errors.New("closed on our side")
	errCulled     = errors.New("one session too many of this peer")
	errIdle       = errors.New("no call for too long")
	errHungUp     = errors.New("the client has gone")
	errCancelled  = errors.New("cancelled by the client")
	errLate       = &Status{Code: Timeout, Text: "RPC service did not complete within the deadline"}
	errAnswered   = errors.New("a response to no request of ours")
	errStale      = errors.New("too many responses to cancelled calls")
	errUnasked    = errors.New("a call of ours was cancelled")
	errNoPing     = errors.New("rpc: peers of this era know no ping")
	errUnfinished = errors.New("rpc: a message changed while it was written")
)

// isTimeout tells a passed deadline from the end of a stream, with any muxer.
func isTimeout(err error) bool {
	timeout, ok := errors.AsType[net.Error](err)
	return ok && timeout.Timeout()
}
