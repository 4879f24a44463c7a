//go:build interop && linux

package netns

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// proxy is a SOCKS5 proxy in Tor's place: what is asked for an onion name gets
// the listener of a peer, the rest is refused. It remembers what it was asked for.
type proxy struct {
	address string
	peer    string // host:port

	mu    sync.Mutex
	asked []string
}

func startProxy(t *testing.T, peer string) *proxy {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := &proxy{address: l.Addr().String(), peer: peer}
	var serving sync.WaitGroup
	t.Cleanup(func() { _ = l.Close(); serving.Wait() })
	serving.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() { defer c.Close(); p.serve(c) })
		}
	})
	return p
}

func (p *proxy) all() []string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return append([]string(nil), p.asked...)
}

func (p *proxy) serve(c net.Conn) {
	host, ok := request(c)
	if !ok {
		return
	}
	p.mu.Lock()
	p.asked = append(p.asked, host)
	p.mu.Unlock()
	if !strings.HasSuffix(host, ".onion") {
		_, _ = c.Write([]byte{5, 4, 0, 1, 0, 0, 0, 0, 0, 0}) // host unreachable
		return
	}
	to, err := net.Dial("tcp", p.peer)
	if err != nil {
		return
	}
	defer to.Close()
	if _, err := c.Write([]byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}); err != nil {
		return
	}
	back := make(chan struct{})
	go func() { defer close(back); _, _ = io.Copy(c, to); _ = c.Close() }()
	_, _ = io.Copy(to, c)
	_ = to.Close()
	<-back
}

// request reads greeting, user and password if there are any, and the request.
func request(c net.Conn) (host string, ok bool) {
	read := func(n int) []byte {
		b := make([]byte, n)
		if _, err := io.ReadFull(c, b); err != nil {
			return make([]byte, n)
		}
		return b
	}
	methods := read(int(read(2)[1]))
	if bytes.IndexByte(methods, 2) >= 0 {
		_, _ = c.Write([]byte{5, 2})
		read(int(read(2)[1]))
		read(int(read(1)[0]))
		_, _ = c.Write([]byte{1, 0})
	} else {
		_, _ = c.Write([]byte{5, 0})
	}
	switch head := read(4); head[3] {
	case 1:
		host = netip.AddrFrom4([4]byte(read(4))).String()
	case 3:
		host = string(read(int(read(1)[0])))
	case 4:
		host = netip.AddrFrom16([16]byte(read(16))).String()
	}
	port := binary.BigEndian.Uint16(read(2))
	return host, host != "" && port != 0
}
