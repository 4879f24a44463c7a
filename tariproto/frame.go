package tariproto

import (
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
)

// MaxFrame is the largest body, in bytes, that tari_comms' codec passes in
// either direction.
const MaxFrame = 8 << 20

// headerSize: a frame is u32 big-endian length ‖ body.
const headerSize = 4

// growStep is how much ReadFrame allocates at first on the word of a length
// prefix; from there on it doubles what has arrived.
const growStep = 64 << 10

// FrameSizeError is a frame above the limit.
type FrameSizeError struct {
	Size uint64 // as announced by the remote, or as handed to WriteFrame
	Max  int
}

func (e *FrameSizeError) Error() string {
	return fmt.Sprintf("tariproto: frame of %d bytes, the limit is %d", e.Size, e.Max)
}

// AppendFrameHeader appends the length prefix of a body of n bytes, for
// callers that write header and body themselves; n is their responsibility.
func AppendFrameHeader(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}

// ReadFrame reads one frame and returns its body. It reuses buf's memory when
// the body fits and allocates otherwise, but never more than a small multiple
// of the bytes that have really arrived: a length prefix costs its sender
// four bytes and us 64 KiB at most.
//
// limit is the largest body in bytes, 0 for MaxFrame; above it the error is a
// *FrameSizeError, and the reader stands behind the prefix. An end between two
// frames is io.EOF, an end inside one io.ErrUnexpectedEOF; other errors are
// the reader's own, unwrapped.
func ReadFrame(r io.Reader, buf []byte, limit int) ([]byte, error) {
	if limit <= 0 {
		limit = MaxFrame
	}
	header := slices.Grow(buf[:0], headerSize)[:headerSize]
	if _, err := io.ReadFull(r, header); err != nil {
		return nil, err
	}
	size := binary.BigEndian.Uint32(header)
	if uint64(size) > uint64(limit) {
		return nil, &FrameSizeError{uint64(size), limit}
	}
	want := int(size)
	body := header[:0]
	for len(body) < want {
		if len(body) == cap(body) || cap(body) < min(want, growStep) {
			body = slices.Grow(body, min(want-len(body), max(len(body), growStep)))
		}
		next := body[len(body):min(want, cap(body))]
		if _, err := io.ReadFull(r, next); err != nil {
			return nil, noEOF(err)
		}
		body = body[:len(body)+len(next)]
	}
	return body, nil
}

// writeBuffers are where WriteFrame puts a header in front of its body.
var writeBuffers = sync.Pool{New: func() any { return new([headerSize + growStep]byte) }}

// WriteFrame writes one frame: in one write up to 64 KiB, so that it travels
// in one packet; of a larger one only that much is copied, and the rest is a
// second write. A body above MaxFrame is a *FrameSizeError, and nothing is
// written. Other errors are the writer's own.
func WriteFrame(w io.Writer, body []byte) error {
	if len(body) > MaxFrame {
		return &FrameSizeError{uint64(len(body)), MaxFrame}
	}
	buf := writeBuffers.Get().(*[headerSize + growStep]byte)
	defer writeBuffers.Put(buf)
	binary.BigEndian.PutUint32(buf[:], uint32(len(body)))
	n := copy(buf[headerSize:], body)
	if _, err := w.Write(buf[:headerSize+n]); err != nil {
		return err
	}
	if n == len(body) {
		return nil
	}
	_, err := w.Write(body[n:])
	return err
}
