// Package rpc is Tari's RPC. So far it is its messages: what client and server
// say to each other on a substream, each behind its length as a big-endian u32.
// The sessions that exchange them do not exist yet.
package rpc

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// Version is the only version of the RPC protocol there is.
const Version = 0

// Flags of requests and responses.
type Flags uint32

// The flags; any other bit ends a session.
const (
	FlagFIN Flags = 1 // the last of this call, in either direction
	FlagACK Flags = 2 // a ping, or the answer to one
)

// Session opens a session: the client lists the versions it speaks.
//
//	1 repeated uint32 supported_versions, packed
type Session struct{ Versions []uint32 }

// SessionReply answers a Session: one of its versions, or a refusal.
//
//	1 uint32 accepted_version     either this, 0 spelled out
//	2 bool   rejected             or this
//	3 enum   reject_reason
type SessionReply struct {
	Accepted uint32
	Rejected bool
	Reason   RejectReason
}

// RejectReason is why a server opens no session.
type RejectReason uint32

// The reasons that tari_comms gives.
const (
	RejectUnknown      RejectReason = iota
	RejectVersion                   // it speaks none of the versions
	RejectServerFull                // it has no session left for anybody
	RejectClientFull                // it has no session left for us
	RejectNotSupported              // it does not serve the protocol
)

// Request is one call.
//
//	1 uint32 request_id    2 uint32 method    3 uint32 flags
//	4 uint64 deadline      seconds; servers refuse 0
//	10 bytes payload
type Request struct {
	ID, Method uint32
	Flags      Flags
	Deadline   uint64 // seconds
	Payload    []byte
}

// Response is one answer to a call, of several if it streams.
//
//	1 uint32 request_id    2 uint32 status    3 uint32 flags
//	10 bytes payload       of a failure the text
type Response struct {
	ID, Status uint32
	Flags      Flags
	Payload    []byte
}

var (
	errFlags = errors.New("rpc: undefined flags")
	errReply = errors.New("rpc: a session reply that neither accepts nor rejects")
)

// Append appends the message to b.
func (s Session) Append(b []byte) []byte {
	if len(s.Versions) == 0 {
		return b
	}
	var packed []byte
	for _, v := range s.Versions {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	return prost.AppendBytes(b, 1, packed)
}

// ParseSession reads a Session.
func ParseSession(b []byte) (s Session, err error) {
	var versions []uint64
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		if f.Num == 1 {
			versions, err = f.Numbers(versions)
		}
		return err
	})
	for _, v := range versions {
		s.Versions = append(s.Versions, uint32(v))
	}
	return s, wrap(err)
}

// Append appends the message to b.
func (r SessionReply) Append(b []byte) []byte {
	num, value := protowire.Number(1), uint64(r.Accepted)
	if r.Rejected {
		num, value = 2, 1
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), value) // a zero too: which one it is matters
	return prost.AppendVarint(b, 3, uint64(r.Reason))
}

// ParseSessionReply reads a SessionReply.
func ParseSessionReply(b []byte) (r SessionReply, err error) {
	said := false
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		var n uint64
		switch f.Num {
		case 1:
			n, err = f.Number()
			said, r.Accepted, r.Rejected = true, uint32(n), false
		case 2:
			n, err = f.Number()
			said, r.Accepted, r.Rejected = true, 0, n != 0
		case 3:
			n, err = f.Number()
			r.Reason = RejectReason(uint32(n))
		}
		return err
	})
	if err == nil && !said {
		return r, errReply
	}
	return r, wrap(err)
}

// Append appends the message to b.
func (r Request) Append(b []byte) []byte {
	b = prost.AppendVarint(b, 1, uint64(r.ID))
	b = prost.AppendVarint(b, 2, uint64(r.Method))
	b = prost.AppendVarint(b, 3, uint64(r.Flags))
	b = prost.AppendVarint(b, 4, r.Deadline)
	return appendPayload(b, r.Payload)
}

// ParseRequest reads a Request. Its payload points into b.
func ParseRequest(b []byte) (r Request, err error) {
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		var n uint64
		switch f.Num {
		case 1:
			n, err = f.Number()
			r.ID = uint32(n)
		case 2:
			n, err = f.Number()
			r.Method = uint32(n)
		case 3:
			n, err = f.Number()
			r.Flags = Flags(uint32(n))
		case 4:
			r.Deadline, err = f.Number()
		case 10:
			r.Payload, err = f.Data()
		}
		return err
	})
	return r, check(err, r.Flags)
}

// Append appends the message to b.
func (r Response) Append(b []byte) []byte {
	b = prost.AppendVarint(b, 1, uint64(r.ID))
	b = prost.AppendVarint(b, 2, uint64(r.Status))
	b = prost.AppendVarint(b, 3, uint64(r.Flags))
	return appendPayload(b, r.Payload)
}

// ParseResponse reads a Response. Its payload points into b.
func ParseResponse(b []byte) (r Response, err error) {
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		var n uint64
		switch f.Num {
		case 1:
			n, err = f.Number()
			r.ID = uint32(n)
		case 2:
			n, err = f.Number()
			r.Status = uint32(n)
		case 3:
			n, err = f.Number()
			r.Flags = Flags(uint32(n))
		case 10:
			r.Payload, err = f.Data()
		}
		return err
	})
	return r, check(err, r.Flags)
}

func appendPayload(b, payload []byte) []byte {
	if len(payload) == 0 {
		return b
	}
	return prost.AppendBytes(b, 10, payload)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rpc: %w", err)
}

func check(err error, flags Flags) error {
	if err == nil && flags&^(FlagFIN|FlagACK) != 0 {
		return errFlags
	}
	return wrap(err)
}
