package rpc

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
)

// Code is the status of an answer.
type Code uint32

// The codes of tari_comms. The eras before it had lack the last ones, down from
// NotFound; to them they read as unknown. A peer's code that is not one of
// these is kept as it is.
const (
	OK                Code = iota
	BadRequest             // the request is wrong: malformed, too large, over its budget
	UnsupportedMethod      // the service has no such method
	NotImplemented         // it has, in name only
	Timeout                // not done within the deadline
	MalformedResponse      // the answer does not parse
	General                // anything else
	NotFound               // there is no such thing
	ProtocolError          // the rules of RPC were broken
	Forbidden              // not for this peer
	Conflict               // it contradicts what is there
)

var codeNames = [...]string{
	"ok", "bad request", "unsupported method", "not implemented", "timeout", "malformed response", "general error",
	"not found", "protocol error", "forbidden", "conflict",
}

// String returns the code as a short phrase.
func (c Code) String() string {
	if int64(c) < int64(len(codeNames)) {
		return codeNames[c]
	}
	return "unknown status " + strconv.FormatUint(uint64(c), 10)
}

// Status is the answer of a call that failed. A handler returns one to say what
// the client is told; a client gets one when the server answered, which leaves
// the session as it was, and when the answer did not come or cannot be used.
type Status struct {
	Code Code
	// Text is for people. From a peer it has at most 512 bytes and no control or
	// invisible characters.
	Text string
}

// Error implements error.
func (s *Status) Error() string {
	if s.Text == "" {
		return "rpc: " + s.Code.String()
	}
	return "rpc: " + s.Code.String() + ": " + s.Text
}

// Is makes errors.Is(err, &Status{Code: NotFound}) true for every status with
// that code, and errors.Is(err, context.DeadlineExceeded) for a Timeout.
func (s *Status) Is(target error) bool {
	if t, ok := target.(*Status); ok {
		return t.Code == s.Code && (t.Text == "" || t.Text == s.Text)
	}
	return target == context.DeadlineExceeded && s.Code == Timeout
}

// CodeOf returns the code of the Status in err, OK for nil and General for every
// other error.
func CodeOf(err error) Code {
	if err == nil {
		return OK
	}
	if s, ok := errors.AsType[*Status](err); ok {
		return s.Code
	}
	return General
}

// statusFor is what a client is told of a handler's error: a Status as it is, of
// anything else nothing, since it was not written for strangers.
func statusFor(err error) *Status {
	if s, ok := errors.AsType[*Status](err); ok && s.Code != OK {
		return s
	}
	if errors.Is(err, context.DeadlineExceeded) {
		return &Status{Code: Timeout}
	}
	return &Status{Code: General, Text: "General error"}
}

// statusOf is what a client makes of a failed answer.
func statusOf(r response) *Status {
	kept, text := r.Payload[:min(len(r.Payload), maxStatusText)], strings.Builder{}
	for _, c := range strings.ToValidUTF8(string(kept), "\uFFFD") {
		switch {
		case unicode.IsControl(c):
			text.WriteByte(' ')
		case unicode.In(c, unicode.Cf, unicode.Zl, unicode.Zp):
		default:
			text.WriteRune(c)
		}
	}
	if len(r.Payload) > maxStatusText {
		fmt.Fprintf(&text, "… (truncated, %d bytes)", len(r.Payload))
	}
	return &Status{Code: r.Status, Text: text.String()}
}
