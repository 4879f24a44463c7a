package main

import (
	"context"
	"encoding/binary"
	"errors"
	"io"
	"sync/atomic"
)

// stack is one way to get bytes from one process to another.
type stack struct {
	name   string
	listen func(l *listener) (at string, err error)
	dialer func() (dialer, error) // with an identity of its own
}

// listener is what all stacks serve.
type listener struct {
	received atomic.Int64 // messages
}

// dialer makes links, one after the other.
type dialer struct {
	dial  func(ctx context.Context, at string) (link, error)
	first func(ctx context.Context, at, protocol string, data []byte) (link, stream, error) // dial, open and write at once; nil: one after the other
	close func()
}

// link is a connection.
type link struct {
	open  func(protocol string) (stream, error)
	send  func(message []byte) error // may return before the message has left, and does not keep it
	flush func() error               // all that was sent is in the socket
	call  func(payload []byte) error // of RPC, as items; nil where there is none
	items func(n, size int) error
	close func()
}

type stream interface {
	io.ReadWriteCloser
	CloseWrite() error
}

// The protocols of the workloads.
const (
	sinkProtocol    = "bench/sink"  // eight bytes of a number, that many bytes; answered by one
	echoProtocol    = "bench/echo"  // all comes back
	messageProtocol = "bench/batch" // messages of stacks that have no protocol for them, see batch.go
)

// serve serves a stream of any of them.
func (l *listener) serve(protocol string, s stream) {
	defer s.Close()
	switch protocol {
	case sinkProtocol:
		var head [8]byte
		if _, err := io.ReadFull(s, head[:]); err != nil {
			return
		}
		if _, err := io.CopyBuffer(writerOnly{io.Discard}, &io.LimitedReader{R: readerOnly{s}, N: int64(binary.BigEndian.Uint64(head[:]))}, make([]byte, chunk)); err == nil {
			_, _ = s.Write([]byte{1})
		}
	case echoProtocol:
		_, _ = io.CopyBuffer(writerOnly{s}, readerOnly{s}, make([]byte, 512)) // small: thousands of them may be idle
	case messageProtocol:
		_ = receiveBatches(s, func([]byte) { l.received.Add(1) })
	}
}

// chunk is how much is written and read at once.
const chunk = 64 << 10

// These hide ReadFrom and WriteTo: every stack reads and writes in the same way.
type (
	writerOnly struct{ io.Writer }
	readerOnly struct{ io.Reader }
)

var errNoStack = errors.New("no such stack")

func stackOf(name string) (stack, error) {
	for _, s := range []stack{tcpStack, aeadStack, oursStack, oursSeedStack, stockStack, stockHostStack} {
		if s.name == name {
			return s, nil
		}
	}
	return stack{}, errNoStack
}
