//go:build unix

package noise

import (
	"io"
	"net"
	"os"
	"reflect"
	"syscall"
)

// readiness reads from a socket into a buffer that it borrows when something is there, and not while it waits. It writes what a socket
// takes without waiting. One goroutine may read while another writes.
type readiness struct {
	socket syscall.RawConn
	try    func(fd uintptr) bool // once, made once so that a read allocates nothing
	put    func(fd uintptr) bool // putOnce, likewise

	big  bool // what to borrow
	loan loan // of the last read
	n    int
	err  error

	out    []byte // what to write
	outN   int
	outErr error
}

// readinessOf is nil for a connection that is no TCP socket, or is more than that: it could hold bytes back, or change them.
func readinessOf(c net.Conn) *readiness {
	tcp := socketOf(c)
	if tcp == nil {
		return nil
	}
	socket, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	r := &readiness{socket: socket}
	r.try, r.put = r.once, r.putOnce
	return r
}

// socketOf returns c itself or what go-multiaddr wraps it in: a struct without a name, which can have no Read of its own.
func socketOf(c net.Conn) *net.TCPConn {
	if tcp, ok := c.(*net.TCPConn); ok {
		return tcp
	}
	wrap := reflect.Indirect(reflect.ValueOf(c))
	if wrap.Kind() != reflect.Struct || wrap.Type().Name() != "" {
		return nil
	}
	for i := range wrap.NumField() {
		if f := wrap.Type().Field(i); f.Anonymous && f.Type == reflect.TypeFor[*net.TCPConn]() {
			return wrap.Field(i).Interface().(*net.TCPConn)
		}
	}
	return nil
}

// read is as net.Conn's Read, into a buffer that is the caller's from then on; none with an error.
func (r *readiness) read(big bool) (loan, int, error) {
	r.big = big
	if err := r.socket.Read(r.try); err != nil {
		return loan{}, 0, err // a deadline, or closed
	}
	l := r.loan
	r.loan = loan{} // which would keep it alive when it is given back
	if r.n > 0 {
		return l, r.n, nil
	}
	l.giveBack()
	if r.err != nil {
		return loan{}, 0, os.NewSyscallError("read", r.err)
	}
	return loan{}, 0, io.EOF
}

// once returns false if nothing is there.
func (r *readiness) once(fd uintptr) bool {
	l := borrow(r.big)
	n, err := syscall.Read(int(fd), l.bytes())
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), l.bytes())
	}
	if err == syscall.EAGAIN {
		l.giveBack()
		return false
	}
	r.loan, r.n, r.err = l, n, err
	return true
}

// write writes what the socket takes at once, which may be nothing.
func (r *readiness) write(p []byte) (int, error) {
	r.out = p
	err := r.socket.Write(r.put)
	r.out = nil
	if err != nil {
		return 0, err // a deadline, or closed
	}
	if r.outErr != nil {
		return 0, os.NewSyscallError("write", r.outErr)
	}
	return r.outN, nil
}

func (r *readiness) putOnce(fd uintptr) bool {
	n, err := syscall.Write(int(fd), r.out)
	for err == syscall.EINTR {
		n, err = syscall.Write(int(fd), r.out)
	}
	if err == syscall.EAGAIN {
		n, err = 0, nil
	}
	r.outN, r.outErr = n, err
	return true
}
