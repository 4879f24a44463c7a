package noise

import (
	"crypto/cipher"
	"encoding/binary"
	"io"
	"math"
	"net"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/chacha20poly1305"
)

// What arrives is read into a borrowed buffer: smallBuffer, or bigBuffer, four whole frames, while the connection is busy. One that
// waits holds none, if it is a socket (see readiness), else a small one.
const (
	smallBuffer = 4 << 10
	bigBuffer   = 4 * (HeaderSize + MaxFrame)
)

var (
	smallBuffers = sync.Pool{New: func() any { return new([smallBuffer]byte) }}
	bigBuffers   = sync.Pool{New: func() any { return new([bigBuffer]byte) }}
)

// loan is a borrowed buffer: none, or one of the two.
type loan struct {
	small *[smallBuffer]byte
	big   *[bigBuffer]byte
}

func borrow(big bool) loan {
	if big {
		return loan{big: bigBuffers.Get().(*[bigBuffer]byte)}
	}
	return loan{small: smallBuffers.Get().(*[smallBuffer]byte)}
}

// bytes is all of the buffer.
func (l *loan) bytes() []byte {
	switch {
	case l.big != nil:
		return l.big[:]
	case l.small != nil:
		return l.small[:]
	}
	return nil
}

func (l *loan) giveBack() {
	if l.small != nil {
		smallBuffers.Put(l.small)
	}
	if l.big != nil {
		bigBuffers.Put(l.big)
	}
	*l = loan{}
}

// key is the key of one direction and the number of the next frame under it.
type key struct {
	aead  cipher.AEAD
	next  uint64
	nonce [chacha20poly1305.NonceSize]byte // scratch, here so that it is not allocated for each frame
}

func (k *key) set(secret [32]byte) {
	aead, err := chacha20poly1305.New(secret[:])
	if err != nil {
		panic("noise: " + err.Error()) // only for a key that has not 32 bytes
	}
	k.aead = aead
}

// advance returns the nonce of the next frame: four zero bytes, then its number, little-endian.
func (k *key) advance() ([]byte, error) {
	if k.next == math.MaxUint64 {
		return nil, errExhausted
	}
	binary.LittleEndian.PutUint64(k.nonce[4:], k.next)
	k.next++
	return k.nonce[:], nil
}

// receiver turns the bytes of a connection into plaintext. Handshake messages come through its buffer too.
type receiver struct {
	mu    sync.Mutex
	key   key
	ready *readiness // nil if the connection has to be read to know whether something is there
	loan
	buf   []byte // all of what is borrowed
	busy  bool   // the last read would have filled a small buffer
	r, w  int    // buf[r:w] is read and not cut yet
	plain []byte // decrypted and not delivered yet; within buf, below r
	err   error  // a bad frame, or the end: there is no way on
}

// read fills p from what is there, and waits for more only as long as it has nothing.
func (rx *receiver) read(c net.Conn, p []byte) (n int, err error) {
	rx.mu.Lock()
	defer rx.mu.Unlock()
	for n < len(p) {
		if len(rx.plain) > 0 {
			k := copy(p[n:], rx.plain)
			rx.plain = rx.plain[k:]
			n += k
			continue
		}
		if rx.err == nil {
			if body, ok := rx.cut(); ok {
				n += rx.open(p[n:], body)
				continue
			}
		}
		if n > 0 {
			break
		}
		if rx.err != nil {
			return 0, rx.err
		}
		if err := rx.fill(c); err != nil {
			return 0, err
		}
	}
	return n, nil
}

// next returns what is decrypted, or else the next frame, in place.
func (rx *receiver) next(c net.Conn) ([]byte, error) {
	rx.mu.Lock()
	defer rx.mu.Unlock()
	for !rx.decrypted() {
		if err := rx.fill(c); err != nil {
			return nil, err
		}
	}
	p := rx.plain
	rx.plain = nil
	if len(p) == 0 {
		return nil, rx.err
	}
	return p, nil
}

// buffered is true if next would not wait.
func (rx *receiver) buffered() bool {
	rx.mu.Lock()
	defer rx.mu.Unlock()
	return rx.decrypted()
}

// decrypted opens, in place, the next frame that is there and not empty; it is true if there is something to deliver, or a bad frame.
func (rx *receiver) decrypted() bool {
	for len(rx.plain) == 0 && rx.err == nil {
		body, ok := rx.cut()
		if !ok {
			return false
		}
		rx.open(nil, body)
	}
	return true
}

// open decrypts a frame into p if it fits there, returning how much that is, or else in place for later reads.
func (rx *receiver) open(p, body []byte) int {
	if len(body) < Overhead {
		rx.err = ErrShortFrame
		return 0
	}
	nonce, err := rx.key.advance()
	if err != nil {
		rx.err = err
		return 0
	}
	fits := len(p) >= len(body)-Overhead
	dst := body[:0]
	if fits {
		dst = p[:0]
	}
	plain, err := rx.key.aead.Open(dst, nonce, body, nil)
	if err != nil {
		rx.err = ErrBadTag
		return 0
	}
	if fits {
		return len(plain)
	}
	rx.plain = plain
	return 0
}

// cut takes the next whole frame out of the buffer, skipping frames of length 0. The body is good until the next fill.
func (rx *receiver) cut() (body []byte, ok bool) {
	for rx.whole() {
		size, _ := rx.announced()
		body = rx.buf[rx.r+HeaderSize : rx.r+HeaderSize+size]
		rx.r += HeaderSize + size
		if size > 0 {
			return body, true
		}
	}
	return nil, false
}

// whole tells whether all of the next frame is there.
func (rx *receiver) whole() bool {
	size, ok := rx.announced()
	return ok && rx.w-rx.r-HeaderSize >= size
}

// announced returns the size of the next frame if its header is there.
func (rx *receiver) announced() (size int, ok bool) {
	if rx.w-rx.r < HeaderSize {
		return 0, false
	}
	return int(binary.BigEndian.Uint16(rx.buf[rx.r:])), true
}

// empty tells whether the peer stands between two frames.
func (rx *receiver) empty() bool { return rx.r == rx.w }

// fill reads once. Its error is io.EOF only between frames; all but a deadline's are final.
func (rx *receiver) fill(c net.Conn) error {
	rx.makeRoom()
	n, err := rx.readOnce(c)
	rx.w += n
	rx.busy = n >= smallBuffer
	if n > 0 {
		return nil // an error that came along comes again
	}
	if err == io.EOF && !rx.empty() {
		err = io.ErrUnexpectedEOF
	}
	if err != nil && !isTimeout(err) {
		rx.err = err
		rx.giveBack() // what is left is half a frame, and whoever still has the connection need not keep that
	}
	return err
}

// readOnce borrows a buffer if there is none; if it can, when there are bytes for it.
func (rx *receiver) readOnce(c net.Conn) (n int, err error) {
	if rx.buf == nil && rx.ready != nil {
		rx.loan, n, err = rx.ready.read(rx.busy)
		rx.buf = rx.bytes()
		return n, err
	}
	if rx.buf == nil {
		rx.loan = borrow(false)
		rx.buf = rx.bytes()
	}
	return c.Read(rx.buf[rx.w:])
}

// giveBack returns the buffer, of which nothing is needed any more.
func (rx *receiver) giveBack() {
	rx.loan.giveBack()
	rx.buf, rx.plain = nil, nil // plain is empty, and would keep the buffer alive
}

// makeRoom leaves space for at least the rest of the next frame. A buffer that is empty is given back unless the last read filled it.
// The big one is borrowed when that frame does not fit into the small one or when the last read filled it.
func (rx *receiver) makeRoom() {
	full := rx.w > 0 && rx.w == len(rx.buf)
	size, _ := rx.announced()
	switch rest := rx.buf[rx.r:rx.w]; {
	case len(rest) == 0 && !full:
		rx.giveBack()
	case rx.big == nil && (full || HeaderSize+size > len(rx.buf)):
		big := borrow(true)
		n := copy(big.bytes(), rest)
		rx.giveBack()
		rx.loan, rx.buf = big, big.bytes()
		rx.r, rx.w = 0, n
		return
	case full, rx.r+HeaderSize+size > len(rx.buf):
		copy(rx.buf, rest)
	default:
		return
	}
	rx.r, rx.w = 0, rx.w-rx.r
}

// sender turns plaintext into frames.
type sender struct {
	mu  sync.Mutex
	key key
	loan
	held   []byte // goes before the first frame: see Config.HoldLast
	unsent []byte // sealed, within what is borrowed
	err    error  // the peer may have half a frame: there is no way on

	deadline atomic.Int64 // Unix nanoseconds, 0 for none; not behind mu, which a write holds while it waits
}

// setDeadline notes the write deadline. What is sealed has to be sent, so write must know that it is too late before it seals.
func (tx *sender) setDeadline(t time.Time) {
	if t.IsZero() {
		tx.deadline.Store(0)
	} else {
		tx.deadline.Store(t.UnixNano())
	}
}

func (tx *sender) late() bool {
	t := tx.deadline.Load()
	return t != 0 && time.Now().UnixNano() >= t
}

// write seals as many frames as fit into a buffer, writes them at once, and so on to the end of p.
func (tx *sender) write(c net.Conn, p []byte) (n int, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.late() && tx.err == nil {
		return 0, os.ErrDeadlineExceeded
	}
	if err := tx.flush(c); err != nil { // what an expired deadline left
		return 0, err
	}
	for n < len(p) {
		k, err := tx.seal(p[n:])
		n += k
		if err == nil {
			err = tx.flush(c)
		}
		if err != nil {
			return n, err
		}
	}
	return n, nil
}

// try is write as far as the socket takes it without waiting.
func (tx *sender) try(c *readiness, p []byte) (n int, sent bool, err error) {
	tx.mu.Lock()
	defer tx.mu.Unlock()
	if tx.late() && tx.err == nil {
		return 0, len(tx.unsent) == 0, os.ErrDeadlineExceeded
	}
	for {
		if err := tx.tryFlush(c); err != nil || len(tx.unsent) > 0 || n == len(p) {
			return n, len(tx.unsent) == 0, err
		}
		k, err := tx.seal(p[n:])
		n += k
		if err != nil {
			return n, false, err
		}
	}
}

// seal makes frames of the beginning of p and returns how much of it they carry.
func (tx *sender) seal(p []byte) (n int, err error) {
	tx.loan = borrow(len(tx.held)+HeaderSize+len(p)+Overhead > smallBuffer) // one frame, or several of the largest
	out := append(tx.bytes()[:0], tx.held...)
	tx.held = nil
	for n < len(p) && len(out)+HeaderSize+Overhead < cap(out) {
		size := min(len(p)-n, MaxPlaintext, cap(out)-len(out)-HeaderSize-Overhead)
		nonce, err := tx.key.advance()
		if err != nil {
			tx.err = err
			break
		}
		out = binary.BigEndian.AppendUint16(out, uint16(size+Overhead))
		out = tx.key.aead.Seal(out, nonce, p[n:n+size], nil)
		n += size
	}
	tx.unsent = out
	return n, tx.err
}

// flush writes what is sealed. A deadline that expires leaves the rest for later; any other error is final.
func (tx *sender) flush(c net.Conn) error {
	if tx.err != nil || len(tx.unsent) == 0 {
		return tx.err
	}
	return tx.sent(c.Write(tx.unsent))
}

func (tx *sender) tryFlush(c *readiness) error {
	if tx.err != nil || len(tx.unsent) == 0 {
		return tx.err
	}
	return tx.sent(c.write(tx.unsent))
}

// sent takes what a write returned.
func (tx *sender) sent(n int, err error) error {
	tx.unsent = tx.unsent[n:]
	if err != nil && !isTimeout(err) {
		tx.err = err
	}
	if len(tx.unsent) == 0 || tx.err != nil {
		tx.giveBack()
	}
	return err
}

func (tx *sender) giveBack() {
	tx.loan.giveBack()
	tx.unsent = nil
}
