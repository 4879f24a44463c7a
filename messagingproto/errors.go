package messagingproto

import (
	"errors"
	"fmt"
	"strconv"
	"time"
)

// Reason says why a message could not be sent.
type Reason int

// The reasons, after tari_comms' SendFailReason.
const (
	// TooLarge: the message has more than MaxMessage bytes.
	TooLarge Reason = iota + 1
	// QueueFull: one of the Limits was reached. Nothing of the message was queued.
	QueueFull
	// DialFailed: no connection or no stream to the peer could be opened.
	DialFailed
	// Expired: the message waited longer than Config.TTL.
	Expired
	// SendTimeout: the peer did not take the message within Config.WriteTimeout.
	SendTimeout
	// QueuedBehindTimeout: a message before this one ran into SendTimeout.
	QueuedBehindTimeout
	// ConnectionLost: the connection died under the message, and again under
	// its second try.
	ConnectionLost
	// MaxRetries: the peer reset the stream under the message, and again under
	// its second try.
	MaxRetries
	// Cancelled: the context of Send ended first. The message may still have
	// been sent if its write had begun.
	Cancelled
	// Closed: the service was closed before the message was written.
	Closed
)

// reasons is the number of values of Reason, 0 included.
const reasons = Closed + 1

// What QueueFull has as its cause: the limit that was reached.
var (
	errPeerMessages     = errors.New("too many messages for this peer")
	errPeerBytes        = errors.New("too many bytes for this peer")
	errDialingPeerBytes = errors.New("too many bytes for this peer while it is dialed")
	errDialingBytes     = errors.New("too many bytes for peers that are being dialed")
	errTotalBytes       = errors.New("too many bytes for all peers together")
)

var reasonTexts = map[Reason]string{
	TooLarge:            "message too large",
	QueueFull:           "queue full",
	DialFailed:          "peer could not be dialed",
	Expired:             "expired before it could be written",
	SendTimeout:         "peer does not read",
	QueuedBehindTimeout: "queued behind a message the peer did not read",
	ConnectionLost:      "connection lost",
	MaxRetries:          "peer reset the stream",
	Cancelled:           "cancelled",
	Closed:              "service closed",
}

// reasonWords are tari_comms' where it has one.
var reasonWords = map[Reason]string{
	TooLarge:            "too_large",
	QueueFull:           "queue_full",
	DialFailed:          "dial_failed",
	Expired:             "expired",
	SendTimeout:         "send_timeout",
	QueuedBehindTimeout: "queued_behind_timeout",
	ConnectionLost:      "max_retries_connection_lost",
	MaxRetries:          "max_retries",
	Cancelled:           "cancelled",
	Closed:              "closed",
}

// Word is the reason as one word for programs, such as "queue_full"; "" for what is no reason.
func (r Reason) Word() string { return reasonWords[r] }

// String returns the reason as a short phrase.
func (r Reason) String() string {
	if s, ok := reasonTexts[r]; ok {
		return s
	}
	return fmt.Sprintf("reason %d", int(r))
}

// SendError is the error of every message that could not be sent.
type SendError struct {
	Reason Reason
	Tries  int   // writes of the message that were begun, as in Result
	Err    error // the cause below, or nil
}

// Error implements error.
func (e *SendError) Error() string {
	text := "messaging: " + e.Reason.String()
	if e.Tries > 1 {
		text += " in " + strconv.Itoa(e.Tries) + " tries"
	}
	if e.Err == nil {
		return text
	}
	return text + ": " + e.Err.Error()
}

// Unwrap returns the cause below.
func (e *SendError) Unwrap() error { return e.Err }

// Is makes errors.Is(err, &SendError{Reason: QueueFull}) true for every error
// with that reason.
func (e *SendError) Is(target error) bool {
	t, ok := target.(*SendError)
	return ok && t.Reason == e.Reason && t.Err == nil
}

// ReasonOf returns why err says that a message could not be sent, or 0 if it is
// no SendError.
func ReasonOf(err error) Reason {
	if se, ok := errors.AsType[*SendError](err); ok {
		return se.Reason
	}
	return 0
}

// ViolationError is reported to Config.OnViolation when a peer broke a rule that
// no honest peer can break.
type ViolationError struct {
	Err error
}

// Error implements error.
func (e *ViolationError) Error() string { return "messaging: " + e.Err.Error() }

// Unwrap returns the cause below.
func (e *ViolationError) Unwrap() error { return e.Err }

// BanFor returns 10 minutes, the ban that tari_comms' messaging asks for.
func (e *ViolationError) BanFor() time.Duration { return violationBan }
