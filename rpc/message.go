package rpc

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// version is the only version of the protocol there is.
const version = 0

// flags of requests and responses.
type flags uint32

// The flags; any other bit ends a session.
const (
	flagFIN flags = 1 // the last of this call, in either direction
	flagACK flags = 2 // a ping, or the answer to one
)

// hello opens a session: the client lists the versions it speaks.
//
//	1 repeated uint32 supported_versions, packed
type hello struct{ Versions []uint32 }

// helloReply answers a hello: one of its versions, or a refusal.
//
//	1 uint32 accepted_version     either this, 0 spelled out
//	2 bool   rejected             or this
//	3 enum   reject_reason
type helloReply struct {
	Accepted uint32
	Rejected bool
	Reason   RejectReason
}

// request is one call.
//
//	1 uint32 request_id    2 uint32 method    3 uint32 flags
//	4 uint64 deadline      seconds; servers refuse 0
//	10 bytes payload
type request struct {
	ID, Method uint32
	Flags      flags
	Deadline   uint64 // seconds
	Payload    []byte
}

// response is one answer to a call, of several if it streams.
//
//	1 uint32 request_id    2 uint32 status    3 uint32 flags
//	10 bytes payload       of a failure the text
type response struct {
	ID      uint32
	Status  Code
	Flags   flags
	Payload []byte
}

// payloadField is the field of the payload in requests and responses.
const payloadField = 10

var (
	errFlags = errors.New("undefined flags")
	errReply = errors.New("a session reply that neither accepts nor rejects")
)

func (h hello) append(b []byte) []byte {
	if len(h.Versions) == 0 {
		return b
	}
	var packed []byte
	for _, v := range h.Versions {
		packed = protowire.AppendVarint(packed, uint64(v))
	}
	return prost.AppendBytes(b, 1, packed)
}

func parseHello(b []byte) (h hello, err error) {
	var versions []uint64
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		if f.Num == 1 {
			versions, err = f.Numbers(versions)
		}
		return err
	})
	for _, v := range versions {
		h.Versions = append(h.Versions, uint32(v))
	}
	return h, wrap(err)
}

func (r helloReply) append(b []byte) []byte {
	num, value := protowire.Number(1), uint64(r.Accepted)
	if r.Rejected {
		num, value = 2, 1
	}
	b = protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), value) // a zero too: which one it is matters
	return prost.AppendVarint(b, 3, uint64(r.Reason))
}

func parseHelloReply(b []byte) (r helloReply, err error) {
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
		err = errReply
	}
	return r, wrap(err)
}

func (r request) append(b []byte) []byte {
	return appendPayload(r.appendHead(b), r.Payload)
}

// appendHead is append without the payload.
func (r request) appendHead(b []byte) []byte {
	b = prost.AppendVarint(b, 1, uint64(r.ID))
	b = prost.AppendVarint(b, 2, uint64(r.Method))
	b = prost.AppendVarint(b, 3, uint64(r.Flags))
	return prost.AppendVarint(b, 4, r.Deadline)
}

// parseRequest reads a request. Its payload points into b.
func parseRequest(b []byte) (r request, err error) {
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
			r.Flags = flags(uint32(n))
		case 4:
			r.Deadline, err = f.Number()
		case payloadField:
			r.Payload, err = f.Data()
		}
		return err
	})
	return r, check(err, r.Flags)
}

func (r response) append(b []byte) []byte {
	return appendPayload(r.appendHead(b), r.Payload)
}

// appendHead is append without the payload.
func (r response) appendHead(b []byte) []byte {
	b = prost.AppendVarint(b, 1, uint64(r.ID))
	b = prost.AppendVarint(b, 2, uint64(r.Status))
	return prost.AppendVarint(b, 3, uint64(r.Flags))
}

// parseResponse reads a response. Its payload points into b.
func parseResponse(b []byte) (r response, err error) {
	err = prost.Each(b, 0, func(f prost.Field) (err error) {
		var n uint64
		switch f.Num {
		case 1:
			n, err = f.Number()
			r.ID = uint32(n)
		case 2:
			n, err = f.Number()
			r.Status = Code(uint32(n))
		case 3:
			n, err = f.Number()
			r.Flags = flags(uint32(n))
		case payloadField:
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
	return prost.AppendBytes(b, payloadField, payload)
}

func wrap(err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("rpc: %w", err)
}

func check(err error, set flags) error {
	if err == nil && set&^(flagFIN|flagACK) != 0 {
		err = errFlags
	}
	return wrap(err)
}
