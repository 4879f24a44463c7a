package messagingproto

import (
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

const (
	smallBuffer = 4 << 10  // what an idle stream holds
	bigBuffer   = 68 << 10 // what a busy stream holds: a message of 64 KiB and more; for larger ones it grows
)

// reserver is the part of go-libp2p's resource scope that frames need: leave to
// hold more than bigBuffer bytes.
type reserver interface {
	ReserveMemory(size int, prio uint8) error
	ReleaseMemory(size int)
}

// errNoMemory: the resource manager does not allow the buffer of a large message.
var errNoMemory = errors.New("messaging: no memory for a message of this size")

// frames cuts a stream into frames. It reads as much as there is and lends
// slices of its buffer, which grows only as bytes arrive: a length that a peer
// merely claims allocates nothing.
type frames struct {
	r          io.Reader
	scope      reserver
	buf        []byte
	start, end int // the bytes received and not yet lent
	reserved   int
}

// next returns the next frame; it is valid until the next call. io.EOF means
// that the stream ended between frames.
func (f *frames) next() ([]byte, error) {
	for {
		need := frameHeader
		if f.end-f.start >= frameHeader {
			size := binary.BigEndian.Uint32(f.buf[f.start:])
			if size > MaxMessage {
				return nil, &tariproto.FrameSizeError{Size: uint64(size), Max: MaxMessage}
			}
			need += int(size)
			if f.end-f.start >= need {
				frame := f.buf[f.start+frameHeader : f.start+need : f.start+need]
				f.start += need
				return frame, nil
			}
		}
		if err := f.fill(need); err != nil {
			return nil, err
		}
	}
}

// fill reads more bytes of a frame of which need bytes are needed in all.
func (f *frames) fill(need int) error {
	if err := f.makeRoom(need); err != nil {
		return err
	}
	n, err := f.r.Read(f.buf[f.end:])
	f.end += n
	switch {
	case n > 0:
		return nil // an error comes back with the next read
	case err == io.EOF && f.end > f.start:
		return io.ErrUnexpectedEOF
	case err == nil:
		return io.ErrNoProgress
	}
	return err
}

// makeRoom moves what was received to the front of the buffer and changes the
// buffer's size where that is due.
func (f *frames) makeRoom(need int) error {
	have := f.end - f.start
	size := len(f.buf)
	switch {
	case size == 0, size == bigBuffer && have == 0 && f.end <= size/4:
		size = smallBuffer // a new stream, or one that is not busy any more
	case size > bigBuffer && need <= bigBuffer:
		size = bigBuffer // the large message is through
	case have == size:
		size = min(max(4*size, bigBuffer), max(need, bigBuffer)) // in the middle of a large one
	case f.end == size && size < bigBuffer:
		size = bigBuffer // the last read filled the buffer: a busy stream
	}
	old := f.buf
	if size != len(old) {
		if err := f.reserve(size); err != nil {
			return err
		}
		f.buf = newBuffer(size)
	}
	if f.start > 0 || size != len(old) {
		copy(f.buf, old[f.start:f.end])
		f.start, f.end = 0, have
	}
	if size != len(old) {
		freeBuffer(old)
	}
	return nil
}

// release gives the buffer back. Frames lent before are not valid any more.
func (f *frames) release() {
	freeBuffer(f.buf)
	f.buf, f.start, f.end = nil, 0, 0
	_ = f.reserve(0) // giving back cannot fail
}

// bigBuffers keeps buffers of streams that were busy.
var bigBuffers = sync.Pool{New: func() any { return new([bigBuffer]byte) }}

// largeSizes are those through which a buffer grows, and that of the largest message. largeBuffers keeps such buffers until the next
// collections, so that large messages one after the other make no garbage.
var (
	largeSizes   = [...]int{4 * bigBuffer, 16 * bigBuffer, 64 * bigBuffer, frameHeader + MaxMessage}
	largeBuffers [len(largeSizes)]sync.Pool
)

func newBuffer(size int) []byte {
	if size == bigBuffer {
		return bigBuffers.Get().(*[bigBuffer]byte)[:]
	}
	if i := slices.Index(largeSizes[:], size); i >= 0 {
		if b, ok := largeBuffers[i].Get().(*[]byte); ok {
			return *b
		}
	}
	return make([]byte, size)
}

func freeBuffer(b []byte) {
	if len(b) == bigBuffer {
		bigBuffers.Put((*[bigBuffer]byte)(b))
	} else if i := slices.Index(largeSizes[:], len(b)); i >= 0 {
		largeBuffers[i].Put(&b)
	}
}

// reserve accounts for a buffer of size bytes with the resource manager.
func (f *frames) reserve(size int) error {
	want := 0
	if size > bigBuffer {
		want = size
	}
	switch {
	case f.scope == nil:
	case want > f.reserved:
		if err := f.scope.ReserveMemory(want-f.reserved, network.ReservationPriorityMedium); err != nil {
			return errNoMemory
		}
	case want < f.reserved:
		f.scope.ReleaseMemory(f.reserved - want)
	}
	f.reserved = want
	return nil
}
