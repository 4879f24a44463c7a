package yamux

import (
	"net"

	pool "github.com/libp2p/go-buffer-pool"
)

// lender is a connection that lends what has arrived, so that it need not be copied before it is looked at. A *noise.Conn is one.
type lender interface {
	// Next waits if it has to, and returns at least one byte. They are good until the next call.
	Next() ([]byte, error)
	// Buffered is true if Next would not wait.
	Buffered() bool
}

// input is what arrives, cut into headers and bodies where it lies.
type input struct {
	from   lender
	before func() bool      // called before it waits for more; true: it does not
	after  func()           // called when more is there
	rest   []byte           // lent and not used
	split  [headerSize]byte // a header that comes in parts
	have   int              // how much of it is there
}

func newInput(c net.Conn, before func() bool, after func()) input {
	from, ok := c.(lender)
	if !ok {
		from = &plainLender{conn: c}
	}
	return input{from: from, before: before, after: after}
}

// wait makes sure of at least one byte.
func (in *input) wait() error {
	if len(in.rest) > 0 {
		return nil
	}
	in.rest = nil // empty, but it would keep what was lent alive while nothing comes
	if !in.from.Buffered() && in.before() {
		return errLeaveOff
	}
	p, err := in.from.Next()
	if err != nil {
		return err
	}
	in.after()
	in.rest = p
	return nil
}

// some returns 1 to n bytes, good until the next call of a method.
func (in *input) some(n int) ([]byte, error) {
	if err := in.wait(); err != nil {
		return nil, err
	}
	n = min(n, len(in.rest))
	p := in.rest[:n]
	in.rest = in.rest[n:]
	return p, nil
}

// header returns the next headerSize bytes, likewise.
func (in *input) header() ([]byte, error) {
	if in.have == 0 && len(in.rest) >= headerSize {
		return in.some(headerSize)
	}
	for in.have < headerSize {
		p, err := in.some(headerSize - in.have)
		if err != nil {
			return nil, err
		}
		in.have += copy(in.split[in.have:], p)
	}
	in.have = 0
	return in.split[:], nil
}

// discard reads until there is nothing more.
func (in *input) discard() {
	in.before = func() bool { return false }
	for in.wait() == nil {
		in.rest = nil
	}
}

// plainLender lends what it reads from any connection: into a small buffer, or a large one after a read that filled what there was.
type plainLender struct {
	conn  net.Conn
	small [smallRead]byte
	large []byte // nil unless the connection is busy
	full  bool
}

const (
	smallRead = 4 << 10
	largeRead = 64 << 10
)

func (*plainLender) Buffered() bool { return false }

func (l *plainLender) Next() ([]byte, error) {
	switch {
	case l.full && l.large == nil:
		l.large = pool.Get(largeRead)
	case !l.full && l.large != nil:
		pool.Put(l.large)
		l.large = nil
	}
	p := l.small[:]
	if l.large != nil {
		p = l.large
	}
	n, err := l.conn.Read(p)
	l.full = n >= smallRead
	if n > 0 {
		return p[:n], nil // an error that came along comes again
	}
	if l.large != nil {
		pool.Put(l.large)
		l.large, l.full = nil, false
	}
	return nil, err
}
