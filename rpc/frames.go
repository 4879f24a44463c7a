package rpc

import (
	"encoding/binary"
	"io"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// headSize: a frame is u32 big-endian length ‖ body.
const headSize = 4

// Our own choice.
const (
	readSize = 16 << 10 // what a session's first read may bring
	keepSize = 64 << 10 // a larger buffer is not kept
)

// frames reads frames through one buffer. After an error, a deadline that has
// passed for example, what has arrived is still there, and the same call can be
// made again.
//
// Of a frame no more is allocated than a small multiple of what has arrived.
type frames struct {
	r     io.Reader
	limit int // of a body, in bytes
	buf   []byte
	start int // buf[start:end] has arrived and not been used
	end   int
	drop  int // bytes of the frame at start that are not wanted
}

// size returns how long the next frame's body is. An end between two frames is
// io.EOF, a length above the limit a *tariproto.FrameSizeError.
func (f *frames) size() (int, error) {
	for f.drop > 0 {
		if f.start == f.end {
			if err := f.fill(1); err != nil {
				return 0, noEOF(err)
			}
		}
		n := min(f.drop, f.end-f.start)
		f.start, f.drop = f.start+n, f.drop-n
	}
	if err := f.fill(headSize); err != nil {
		return 0, err
	}
	size := binary.BigEndian.Uint32(f.buf[f.start:])
	if uint64(size) > uint64(f.limit) {
		return 0, &tariproto.FrameSizeError{Size: uint64(size), Max: f.limit}
	}
	return int(size), nil
}

// next takes a frame. Its body is valid until the next call.
func (f *frames) next() ([]byte, error) {
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	if err := f.fill(headSize + size); err != nil {
		return nil, err
	}
	body := f.buf[f.start+headSize:][:size:size]
	f.start += headSize + size
	return body, nil
}

// take is next for a body that the caller keeps: a small one is copied, a large
// one leaves with its buffer.
func (f *frames) take() ([]byte, error) {
	body, err := f.next()
	if err != nil || len(body) < keepSize {
		return slices.Clone(body), err
	}
	rest := slices.Clone(f.buf[f.start:f.end])
	f.buf, f.start, f.end = rest, 0, len(rest)
	return body, nil
}

// skip drops the next frame and returns the first bytes of its body, at most n,
// valid until the next call.
func (f *frames) skip(n int) ([]byte, error) {
	size, err := f.size()
	if err != nil {
		return nil, err
	}
	n = min(n, size)
	if err := f.fill(headSize + n); err != nil {
		return nil, err
	}
	f.drop = headSize + size
	return f.buf[f.start+headSize:][:n:n], nil
}

// fill reads until n bytes are there.
func (f *frames) fill(n int) error {
	for f.end-f.start < n {
		f.room(n)
		read, err := f.r.Read(f.buf[f.end:])
		f.end += read
		if err != nil && f.end-f.start < n {
			if f.end > f.start {
				err = noEOF(err)
			}
			return err
		}
	}
	return nil
}

// room makes place behind end, for a part at least of the n bytes that begin at
// start: a buffer that is full grows by no more than what has arrived.
func (f *frames) room(n int) {
	have := f.end - f.start
	if have == 0 {
		f.start, f.end = 0, 0
	}
	if f.end < len(f.buf) {
		return
	}
	to := f.buf
	if size := max(readSize, min(n, 2*have+keepSize)); size > len(f.buf) {
		to = make([]byte, size)
	}
	copy(to, f.buf[f.start:f.end])
	f.buf, f.start, f.end = to, 0, have
}

// release gives a large buffer back if nothing is in it.
func (f *frames) release() {
	if f.start == f.end && len(f.buf) > keepSize {
		f.buf, f.start, f.end = nil, 0, 0
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

// message is one of the four messages.
type message interface{ append([]byte) []byte }

// appendFrame appends a message in its frame.
func appendFrame[M message](b []byte, m M) []byte {
	at := len(b)
	b = m.append(append(b, make([]byte, headSize)...))
	binary.BigEndian.PutUint32(b[at:], uint32(len(b)-at-headSize))
	return b
}

// head is a request or a response without its payload.
type head interface{ appendHead([]byte) []byte }

// appendWith appends a request or a response in its frame, around a payload
// that is written in place. A body above limit is a *tariproto.FrameSizeError.
func appendWith[H head](b []byte, h H, payload proto.Message, limit int) ([]byte, error) {
	size := proto.Size(payload)
	if size > limit {
		return b, &tariproto.FrameSizeError{Size: uint64(size), Max: limit}
	}
	at := len(b)
	b = slices.Grow(b, headSize+responseHead+size)
	b = h.appendHead(append(b, 0, 0, 0, 0))
	if size > 0 {
		b = protowire.AppendTag(b, payloadField, protowire.BytesType)
		b = protowire.AppendVarint(b, uint64(size))
		var err error
		before := len(b)
		if b, err = (proto.MarshalOptions{UseCachedSize: true}).MarshalAppend(b, payload); err != nil {
			return b[:at], wrap(err)
		}
		if len(b)-before != size {
			return b[:at], errUnfinished
		}
	}
	body := len(b) - at - headSize
	if body > limit {
		return b[:at], &tariproto.FrameSizeError{Size: uint64(body), Max: limit}
	}
	binary.BigEndian.PutUint32(b[at:], uint32(body))
	return b, nil
}
