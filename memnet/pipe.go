package memnet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// bufferSize bounds the bytes that wait in one direction of a pipe; a Write beyond it blocks until the other end reads.
const bufferSize = 256 << 10

// Pipe returns the two ends of a connection in memory. Unlike net.Pipe it is buffered, 256 KiB each way, so two sides that both
// write before they read do not dead-lock. Deadlines work, also on the fake clock of testing/synctest, where a blocked Read or
// Write counts as durably blocked. The ends are *Conn.
func Pipe() (a, b net.Conn) {
	return newPipe(unnamed, unnamed)
}

func newPipe(aAddr, bAddr ma.Multiaddr) (a, b *Conn) {
	ab, ba := newHalf(), newHalf()
	return &Conn{in: ba, out: ab, local: aAddr, remote: bAddr}, &Conn{in: ab, out: ba, local: bAddr, remote: aAddr}
}

// Conn is one end of a connection in memory. It is a net.Conn and go-multiaddr's manet.Conn.
type Conn struct {
	in, out       *half
	local, remote ma.Multiaddr
}

// Read returns bytes that the other end wrote, io.EOF after it closed and all was read.
func (c *Conn) Read(p []byte) (int, error) { return c.in.read(p) }

// Write returns when all of p is in the buffer. After the other end closed it fails with EPIPE.
func (c *Conn) Write(p []byte) (int, error) { return c.out.write(p) }

// Close ends both directions. What was written before can still be read by the other end.
func (c *Conn) Close() error {
	c.out.finish()
	c.in.abandon()
	return nil
}

// CloseWrite ends our direction: the other end reads what is there and then io.EOF.
func (c *Conn) CloseWrite() error {
	c.out.finish()
	return nil
}

// SetDeadline bounds Read and Write; a zero time removes the bound.
func (c *Conn) SetDeadline(t time.Time) error {
	c.in.readBy.set(c.in, t)
	c.out.writeBy.set(c.out, t)
	return nil
}

// SetReadDeadline bounds Read.
func (c *Conn) SetReadDeadline(t time.Time) error { c.in.readBy.set(c.in, t); return nil }

// SetWriteDeadline bounds Write.
func (c *Conn) SetWriteDeadline(t time.Time) error { c.out.writeBy.set(c.out, t); return nil }

// LocalAddr is LocalMultiaddr as a net.Addr.
func (c *Conn) LocalAddr() net.Addr { return addr{c.local} }

// RemoteAddr is RemoteMultiaddr as a net.Addr.
func (c *Conn) RemoteAddr() net.Addr { return addr{c.remote} }

// LocalMultiaddr is the address of this end; /memory/0 for a dialer and for both ends of Pipe.
func (c *Conn) LocalMultiaddr() ma.Multiaddr { return c.local }

// RemoteMultiaddr is the address of the other end.
func (c *Conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

// A half is one direction: a bounded buffer between one writer's end and one reader's end.
type half struct {
	mu       sync.Mutex
	changed  *sync.Cond // any field below changed, or a deadline passed
	buf      []byte     // written and not yet read
	finished bool       // the writer closed: EOF after buf
	gone     bool       // the reader closed: writes fail
	readBy   deadline
	writeBy  deadline
}

func newHalf() *half {
	h := new(half)
	h.changed = sync.NewCond(&h.mu)
	return h
}

func (h *half) read(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for {
		switch {
		case h.gone:
			return 0, net.ErrClosed
		case h.readBy.passed:
			return 0, os.ErrDeadlineExceeded
		case len(h.buf) > 0:
			n := copy(p, h.buf)
			h.buf = h.buf[n:]
			if len(h.buf) == 0 {
				h.buf = nil
			}
			h.changed.Broadcast()
			return n, nil
		case h.finished:
			return 0, io.EOF
		case len(p) == 0:
			return 0, nil
		}
		h.changed.Wait()
	}
}

func (h *half) write(p []byte) (int, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := 0
	for {
		switch {
		case h.finished:
			return n, net.ErrClosed
		case h.gone:
			return n, syscall.EPIPE
		case h.writeBy.passed:
			return n, os.ErrDeadlineExceeded
		case n == len(p):
			return n, nil
		}
		if room := bufferSize - len(h.buf); room > 0 {
			chunk := p[n:min(n+room, len(p))]
			h.buf = append(h.buf, chunk...)
			n += len(chunk)
			h.changed.Broadcast()
			continue
		}
		h.changed.Wait()
	}
}

func (h *half) finish() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.finished = true
	h.writeBy.stop()
	h.changed.Broadcast()
}

func (h *half) abandon() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.gone = true
	h.buf = nil
	h.readBy.stop()
	h.changed.Broadcast()
}

// A deadline belongs to a half, whose mutex guards it.
type deadline struct {
	timer  *time.Timer
	passed bool
}

func (d *deadline) stop() {
	if d.timer != nil {
		d.timer.Stop()
		d.timer = nil
	}
}

func (d *deadline) set(h *half, t time.Time) {
	h.mu.Lock()
	defer h.mu.Unlock()
	d.stop()
	d.passed = !t.IsZero() && !t.After(time.Now())
	if !t.IsZero() && !d.passed && !(h.finished && d == &h.writeBy) && !(h.gone && d == &h.readBy) {
		var timer *time.Timer
		timer = time.AfterFunc(time.Until(t), func() {
			h.mu.Lock()
			defer h.mu.Unlock()
			if d.timer == timer { // a later set won
				d.passed = true
				h.changed.Broadcast()
			}
		})
		d.timer = timer
	}
	h.changed.Broadcast()
}

type addr struct{ maddr ma.Multiaddr }

func (addr) Network() string  { return "memory" }
func (a addr) String() string { return a.maddr.String() }
