package boundedhttp

import (
	"bufio"
	"errors"
	"io"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// pipes is a listener in memory, whose time is that of synctest.
type pipes struct {
	conns  chan net.Conn
	closed chan struct{}
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.closed:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { close(p.closed); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipe"} }

// dial returns at once: the connection waits to be accepted.
func (p *pipes) dial() net.Conn {
	ours, theirs := net.Pipe()
	go func() {
		select {
		case p.conns <- theirs:
		case <-p.closed:
			theirs.Close()
		}
	}()
	return ours
}

var limits = Limits{
	Connections: 2, HeaderBytes: 1 << 10, HeaderTime: 5 * time.Second, RequestTime: 20 * time.Second, IdleTime: 8 * time.Second, CloseTime: time.Second,
}

const request = "GET / HTTP/1.1\r\nHost: x\r\n\r\n"

// serve answers with more than a pipe holds.
func serve(t *testing.T) (*pipes, *Server) {
	t.Helper()
	p := &pipes{conns: make(chan net.Conn), closed: make(chan struct{})}
	return p, Serve(p, http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 1<<16)) }), limits)
}

// answered makes a request and reads the answer.
func answered(t *testing.T, c net.Conn) {
	t.Helper()
	go func() { _, _ = io.WriteString(c, request) }()
	response, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, response.Body); n != 1<<16 || err != nil {
		t.Errorf("%d bytes, %v", n, err)
	}
}

// cutAfter reads until the server closes, and returns when that was.
func cutAfter(t *testing.T, c net.Conn) time.Duration {
	t.Helper()
	start := time.Now()
	_, err := io.Copy(io.Discard, c)
	if err != nil && !errors.Is(err, io.EOF) {
		t.Error(err)
	}
	return time.Since(start)
}

// TestSlow: who says nothing, half a request, or nothing more, and who does not read, is cut off at its time.
func TestSlow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := serve(t)
		for name, c := range map[string]struct {
			say  string
			took time.Duration
		}{
			"silent":      {"", limits.HeaderTime},
			"half":        {request[:20], limits.HeaderTime},
			"and no more": {request, limits.IdleTime},
		} {
			conn := p.dial()
			if _, err := io.WriteString(conn, c.say); c.say != "" && err != nil {
				t.Fatal(err)
			}
			if took := cutAfter(t, conn); took != c.took {
				t.Errorf("%s: cut after %v, not %v", name, took, c.took)
			}
			conn.Close()
		}
		deaf := p.dial()
		if _, err := io.WriteString(deaf, request); err != nil {
			t.Fatal(err)
		}
		time.Sleep(limits.RequestTime + time.Second)
		if n, err := io.Copy(io.Discard, deaf); n >= 1<<16 || err != nil {
			t.Errorf("who did not read got %d bytes after all, %v", n, err)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestMany: those beyond Limits.Connections wait, and are served once the silent ones are cut off.
func TestMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p, s := serve(t)
		for range limits.Connections {
			silent := p.dial()
			defer silent.Close()
		}
		synctest.Wait()
		start := time.Now()
		c := p.dial()
		answered(t, c)
		c.Close()
		if waited := time.Since(start); waited != limits.HeaderTime {
			t.Errorf("served after %v", waited)
		}
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
}

// TestClose: whatever clients do, they are cut off at Limits.CloseTime.
func TestClose(t *testing.T) {
	for name, say := range map[string]string{"silent": "", "half a request": request[:20], "does not read": request} {
		synctest.Test(t, func(t *testing.T) {
			p, s := serve(t)
			c := p.dial()
			defer c.Close()
			if _, err := io.WriteString(c, say); say != "" && err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
			start := time.Now()
			if err := s.Close(); err != nil {
				t.Error(name, err)
			}
			if took := time.Since(start); took > limits.CloseTime {
				t.Errorf("%s: Close took %v", name, took)
			}
			if took := cutAfter(t, c); took != 0 {
				t.Errorf("%s: the connection lived %v longer", name, took)
			}
		})
	}
}
