package noise

import (
	"errors"
	"net"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Conn is an encrypted connection to a peer whose key is proven. One goroutine may read while another writes, and
// any number may call its methods.
//
// Read returns io.EOF when the peer closed between frames and io.ErrUnexpectedEOF when it closed inside one; Noise has no closing
// message, so whoever can cut the connection can do the first too. A frame that fails its check, or a write that fails otherwise
// than by a deadline, ends that direction for good.
type Conn struct {
	inner   net.Conn
	remote  tarikey.PublicKey
	binding []byte // the handshake's hash, the same on both sides
	rx      receiver
	tx      sender
}

func newConn(c net.Conn) *Conn { return &Conn{inner: c, rx: receiver{ready: readinessOf(c)}} }

// RemoteKey returns the key that the peer proved to hold.
func (c *Conn) RemoteKey() tarikey.PublicKey { return c.remote }

// Binding is the hash of the handshake: the same on both sides, and of no other connection.
func (c *Conn) Binding() []byte { return c.binding }

// Read returns what is decrypted already, and waits only if that is nothing. It reads ahead of what it returns.
func (c *Conn) Read(p []byte) (int, error) { return c.rx.read(c.inner, p) }

// Next is Read without a copy: it returns at least one byte, lent until the next call of Next or Read.
func (c *Conn) Next() ([]byte, error) { return c.rx.next(c.inner) }

// Buffered is true if Next would not wait.
func (c *Conn) Buffered() bool { return c.rx.buffered() }

// Write sends p, in as few frames and writes as it can; an empty p sends nothing. When a deadline cuts it short, the count
// it returns includes what is sealed and not sent yet; the next Write sends that first.
func (c *Conn) Write(p []byte) (int, error) { return c.tx.write(c.inner, p) }

// TryWrite is Write that does not wait. It returns how much of p is sealed, and whether all that is sealed has been sent: the next
// Write or TryWrite sends the rest first. It is errors.ErrUnsupported on a connection that cannot do that.
func (c *Conn) TryWrite(p []byte) (n int, sent bool, err error) {
	if c.rx.ready == nil {
		return 0, false, errors.ErrUnsupported
	}
	return c.tx.try(c.rx.ready, p)
}

// Close closes the connection underneath. Write keeps nothing back, so there is nothing to flush.
func (c *Conn) Close() error { return c.inner.Close() }

// CloseWrite ends our half of the connection underneath if it can do that, and is errors.ErrUnsupported if not.
func (c *Conn) CloseWrite() error {
	if half, ok := c.inner.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// LocalAddr returns the address of the connection underneath.
func (c *Conn) LocalAddr() net.Addr { return c.inner.LocalAddr() }

// RemoteAddr returns the address of the connection underneath.
func (c *Conn) RemoteAddr() net.Addr { return c.inner.RemoteAddr() }

// SetDeadline sets the deadlines of the connection underneath.
func (c *Conn) SetDeadline(t time.Time) error {
	c.tx.setDeadline(t)
	return c.inner.SetDeadline(t)
}

// SetReadDeadline sets the read deadline of the connection underneath.
func (c *Conn) SetReadDeadline(t time.Time) error { return c.inner.SetReadDeadline(t) }

// SetWriteDeadline sets the write deadline of the connection underneath.
func (c *Conn) SetWriteDeadline(t time.Time) error {
	c.tx.setDeadline(t)
	return c.inner.SetWriteDeadline(t)
}
