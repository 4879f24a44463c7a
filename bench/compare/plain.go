package main

import (
	"bufio"
	"context"
	"crypto/cipher"
	"encoding/binary"
	"errors"
	"io"
	"net"

	"golang.org/x/crypto/chacha20poly1305"
)

// tcpStack is the kernel alone: every stream is a connection, whose first line names the protocol. aeadStack is the same with what any
// encrypted stack has to do at least: seal and open each byte once, with a fixed key.
var (
	tcpStack  = plainStack("tcp", func(c *net.TCPConn) stream { return c })
	aeadStack = plainStack("tcp+aead", func(c *net.TCPConn) stream { return newSealed(c) })
)

func plainStack(name string, wrap func(*net.TCPConn) stream) stack {
	return stack{
		name: name,
		listen: func(l *listener) (string, error) {
			in, err := net.Listen("tcp4", "127.0.0.1:0")
			if err != nil {
				return "", err
			}
			go func() {
				for {
					c, err := in.Accept()
					if err != nil {
						return
					}
					go func() {
						s := wrap(c.(*net.TCPConn))
						var n [1]byte
						if _, err := io.ReadFull(s, n[:]); err != nil {
							_ = s.Close()
							return
						}
						protocol := make([]byte, n[0])
						if _, err := io.ReadFull(s, protocol); err != nil {
							_ = s.Close()
							return
						}
						l.serve(string(protocol), s)
					}()
				}
			}()
			return in.Addr().String(), nil
		},
		dialer: func() (dialer, error) {
			return dialer{
				dial: func(ctx context.Context, at string) (link, error) {
					var open []stream
					return batched(link{
						open: func(protocol string) (stream, error) {
							c, err := new(net.Dialer).DialContext(ctx, "tcp", at)
							if err != nil {
								return nil, err
							}
							s := wrap(c.(*net.TCPConn))
							open = append(open, s)
							_, err = s.Write(append([]byte{byte(len(protocol))}, protocol...))
							return s, err
						},
						close: func() {
							for _, s := range open {
								_ = s.Close()
							}
						},
					}), nil
				},
				close: func() {},
			}, nil
		},
	}
}

// sealed is a connection whose bytes are sealed in records of at most maxRecord, as many in one write as a Write has.
type sealed struct {
	*net.TCPConn
	aead     cipher.AEAD
	in       *bufio.Reader
	out      []byte
	plain    []byte // opened and not yet read
	buf      []byte
	sent, at uint64
}

const maxRecord = 65519

func newSealed(c *net.TCPConn) *sealed {
	aead, err := chacha20poly1305.New(make([]byte, chacha20poly1305.KeySize))
	if err != nil {
		panic(err) // the key has the right size
	}
	return &sealed{TCPConn: c, aead: aead, in: bufio.NewReaderSize(c, 4*chunk), buf: make([]byte, maxRecord+aead.Overhead())}
}

func nonce(n uint64) []byte {
	return binary.LittleEndian.AppendUint64(make([]byte, 4, 12), n)
}

func (s *sealed) Write(p []byte) (n int, err error) {
	s.out = s.out[:0]
	for n < len(p) {
		part := p[n:min(n+maxRecord, len(p))]
		s.out = binary.BigEndian.AppendUint16(s.out, uint16(len(part)+s.aead.Overhead()))
		s.out = s.aead.Seal(s.out, nonce(s.sent), part, nil)
		s.sent++
		n += len(part)
	}
	_, err = s.TCPConn.Write(s.out)
	return n, err
}

func (s *sealed) Read(p []byte) (int, error) {
	if len(s.plain) == 0 {
		head, err := s.in.Peek(2)
		if err != nil {
			return 0, err
		}
		n := int(binary.BigEndian.Uint16(head))
		if n > len(s.buf) {
			return 0, errors.New("record too long")
		}
		_, _ = s.in.Discard(2)
		if _, err := io.ReadFull(s.in, s.buf[:n]); err != nil {
			return 0, err
		}
		if s.plain, err = s.aead.Open(s.buf[:0], nonce(s.at), s.buf[:n], nil); err != nil {
			return 0, err
		}
		s.at++
	}
	n := copy(p, s.plain)
	s.plain = s.plain[n:]
	return n, nil
}
