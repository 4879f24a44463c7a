//go:build unix

package noise

import (
	"io"
	"net"
	"os"
	"reflect"
	"syscall"
)

// readiness reads from a socket into a buffer that it borrows when something is there, and not while it waits.
type readiness struct {
	socket syscall.RawConn
	try    func(fd uintptr) bool // once, made once so that a read allocates nothing

	small *[smallBuffer]byte // of the last read
	n     int
	err   error
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
	r.try = r.once
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

// read is as net.Conn's Read, into a buffer that is the caller's from then on; nil with an error.
func (r *readiness) read() (*[smallBuffer]byte, int, error) {
	if err := r.socket.Read(r.try); err != nil {
		return nil, 0, err // a deadline, or closed
	}
	small := r.small
	r.small = nil // which would keep it alive when it is given back
	if r.n > 0 {
		return small, r.n, nil
	}
	smallBuffers.Put(small)
	if r.err != nil {
		return nil, 0, os.NewSyscallError("read", r.err)
	}
	return nil, 0, io.EOF
}

// once returns false if nothing is there.
func (r *readiness) once(fd uintptr) bool {
	small := smallBuffers.Get().(*[smallBuffer]byte)
	n, err := syscall.Read(int(fd), small[:])
	for err == syscall.EINTR {
		n, err = syscall.Read(int(fd), small[:])
	}
	if err == syscall.EAGAIN {
		smallBuffers.Put(small)
		return false
	}
	r.small, r.n, r.err = small, n, err
	return true
}
