package messagingproto

import (
	"slices"
	"sync"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// batchSize is how many bytes of messages go out in one write: what fits into
// one yamux frame that fits into one Noise frame of tari_comms (65,519 - 12).
const batchSize = 65_507

// message is one frame within a batch. There may be a thousand in 64 KiB, so it is kept small.
type message struct {
	start, end int           // its place, header included, in the batch's bytes
	deadline   time.Duration // on the service's clock
	retried    bool          // a write of it was interrupted before
	tries      int32         // writes of it that were begun
	receipt    receipt
}

func (m *message) size() int { return m.end - m.start - frameHeader }

// frameHeader is the u32 length before each message.
const frameHeader = 4

// A batch is what one write takes: frames one after the other.
type batch struct {
	bytes    []byte
	messages []message
}

// batches keeps buffers of batches that went out.
var batches = sync.Pool{New: func() any { return new(batch) }}

// fits says whether a message of size bytes still goes into the batch. A
// message larger than batchSize has a batch of its own.
func (b *batch) fits(size int) bool {
	return len(b.bytes)+frameHeader+size <= batchSize
}

func (b *batch) add(body []byte, m message) {
	m.start = len(b.bytes)
	b.bytes = slices.Grow(b.bytes, frameHeader+len(body))
	b.bytes = tariproto.AppendFrameHeader(b.bytes, len(body))
	b.bytes = append(b.bytes, body...)
	m.end = len(b.bytes)
	b.messages = append(b.messages, m)
}

// size is how many bytes the messages have, without their headers.
func (b *batch) size() int { return len(b.bytes) - frameHeader*len(b.messages) }

// tried counts a write of the batch of which n bytes went out: the first
// message was tried in any case, the others if it came to them.
func (b *batch) tried(n int) {
	for i := range b.messages {
		if i > 0 && b.messages[i].start >= n {
			return
		}
		b.messages[i].tries++
	}
}

// keep removes the messages that want says no to, and their bytes.
func (b *batch) keep(want func(*message) bool) {
	kept, end := b.messages[:0], 0
	for i := range b.messages {
		m := b.messages[i]
		if !want(&m) {
			continue
		}
		if m.start != end {
			n := copy(b.bytes[end:], b.bytes[m.start:m.end])
			m.start, m.end = end, end+n
		}
		end = m.end
		kept = append(kept, m)
	}
	clear(b.messages[len(kept):])
	b.messages, b.bytes = kept, b.bytes[:end]
}

// recycle gives the batch back, unless its buffer is one of a large message.
func (b *batch) recycle() {
	if cap(b.bytes) > 2*batchSize {
		return
	}
	clear(b.messages)
	b.messages, b.bytes = b.messages[:0], b.bytes[:0]
	batches.Put(b)
}
