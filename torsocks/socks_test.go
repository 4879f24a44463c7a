package torsocks

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"
)

// proxy runs a proxy of one connection on loopback; serve plays its part.
func proxy(t *testing.T, serve func(c net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer c.Close()
		_ = c.SetDeadline(time.Now().Add(time.Minute))
		serve(c)
	}()
	t.Cleanup(func() { _ = l.Close(); <-done })
	return l.Addr().String()
}

// expect reads want, or says what came instead.
func expect(c net.Conn, want []byte) error {
	got := make([]byte, len(want))
	if _, err := io.ReadFull(c, got); err != nil {
		return err
	}
	if !bytes.Equal(got, want) {
		return fmt.Errorf("the dialer sent %x, want %x", got, want)
	}
	return nil
}

// answers of a proxy that does everything right
var (
	greetUser = []byte{5, 2, 0, 2}
	authPeer  = append(append([]byte{1, 4}, "peer\x04"...), "peer"...)
	ask       = append(append([]byte{5, 1, 0, 3, 9}, "abc.onion"...), 0x46, 0xdd)
	granted   = []byte{5, 0, 0, 1, 0, 0, 0, 0, 0, 0}
)

func TestDial(t *testing.T) {
	for name, bound := range map[string][]byte{
		"IPv4 bound":             granted,
		"IPv6 bound":             append([]byte{5, 0, 0, 4}, make([]byte, 18)...),
		"name bound":             append(append([]byte{5, 0, 0, 3, 5}, "proxy"...), 0, 80),
		"early data of the peer": append(bytes.Clone(granted), "hello"...),
	} {
		t.Run(name, func(t *testing.T) {
			var trouble error
			addr := proxy(t, func(c net.Conn) {
				trouble = errors.Join(expect(c, greetUser), write(c, 5, 2), expect(c, authPeer), write(c, 1, 0), expect(c, ask), write(c, bound...))
				if !strings.HasPrefix(name, "early") {
					trouble = errors.Join(trouble, write(c, []byte("hello")...))
				}
				_, _ = io.Copy(io.Discard, c)
			})
			c, err := (&Dialer{Proxy: addr}).Dial(t.Context(), "abc.onion", 18141, "peer")
			if err != nil {
				t.Fatal(err, trouble)
			}
			defer c.Close()
			got := make([]byte, 5)
			if _, err := io.ReadFull(c, got); err != nil || string(got) != "hello" {
				t.Fatalf("after the answer came %q, %v; %v", got, err, trouble)
			}
		})
	}
}

func write(c net.Conn, b ...byte) error {
	_, err := c.Write(b)
	return err
}

// TestTargets holds what is asked for against RFC 1928's three forms.
func TestTargets(t *testing.T) {
	for host, want := range map[string][]byte{
		"1.2.3.4":          {5, 1, 0, 1, 1, 2, 3, 4, 0, 80},
		"::ffff:1.2.3.4":   {5, 1, 0, 1, 1, 2, 3, 4, 0, 80},
		"2001:db8::1":      append(append([]byte{5, 1, 0, 4, 0x20, 1, 0xd, 0xb8}, make([]byte, 11)...), 1, 0, 80),
		"node.example.com": append(append([]byte{5, 1, 0, 3, 16}, "node.example.com"...), 0, 80),
	} {
		if got := connectRequest(host, 80); !bytes.Equal(got, want) {
			t.Errorf("%s: %x, want %x", host, got, want)
		}
	}
}

func TestFixedUser(t *testing.T) {
	d := &Dialer{User: "me", Password: "secret"}
	if u, p := d.credentials("peer"); u != "me" || p != "secret" {
		t.Errorf("got %q %q", u, p)
	}
	d = &Dialer{}
	if u, p := d.credentials(strings.Repeat("x", 300)); len(u) != 255 || len(p) != 255 {
		t.Errorf("isolation of %d and %d bytes", len(u), len(p))
	}
	if u, _ := d.credentials(""); u != "" {
		t.Errorf("no isolation asked for, user %q", u)
	}
}

// TestReplies gives every code that a proxy can refuse with.
func TestReplies(t *testing.T) {
	for code := 1; code < 256; code++ {
		addr := proxy(t, func(c net.Conn) {
			_ = expect(c, []byte{5, 1, 0})
			_ = write(c, 5, 0)
			_ = expect(c, ask)
			_ = write(c, 5, byte(code), 0, 1, 0, 0, 0, 0, 0, 0)
		})
		_, err := (&Dialer{Proxy: addr}).Dial(t.Context(), "abc.onion", 18141, "")
		var reply *ReplyError
		if !errors.As(err, &reply) || int(reply.Code) != code {
			t.Fatalf("code %#x: %v", code, err)
		}
		known := code <= 8 || code >= 0xf0 && code <= 0xf7
		if known == strings.Contains(reply.Error(), "unknown code") {
			t.Errorf("code %#x: %q", code, reply)
		}
		if reply.Timeout() != (code == 6 || code == 0xf7) {
			t.Errorf("code %#x: Timeout() = %v", code, reply.Timeout())
		}
	}
}

// TestCutShort ends the proxy's part after every byte of it.
func TestCutShort(t *testing.T) {
	script := [][]byte{{5, 2}, {1, 0}, granted}
	total := 14
	for cut := range total {
		addr := proxy(t, func(c net.Conn) {
			left := cut
			for i, in := range [][]byte{greetUser, authPeer, ask} {
				if expect(c, in) != nil {
					return
				}
				out := script[i]
				if len(out) > left {
					_ = write(c, out[:left]...)
					return
				}
				_ = write(c, out...)
				left -= len(out)
			}
		})
		c, err := (&Dialer{Proxy: addr}).Dial(t.Context(), "abc.onion", 18141, "peer")
		if err == nil {
			c.Close()
			t.Fatalf("cut after %d bytes of %d: no error", cut, total)
		}
		want := "request"
		if cut < 2 {
			want = "greeting"
		} else if cut < 4 {
			want = "authentication"
		}
		var step *StepError
		if !errors.As(err, &step) || step.Step != want {
			t.Errorf("cut after %d bytes: %v, want a failure of %s", cut, err, want)
		}
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		name  string
		out   [][]byte // the proxy's answers to greeting, authentication and request
		want  error
		inner string
	}{
		{"no method", [][]byte{{5, 0xff}}, ErrNoMethod, "greeting"},
		{"a method not offered", [][]byte{{5, 1}}, ErrNoMethod, "greeting"},
		{"SOCKS4", [][]byte{{4, 0}}, ErrProtocol, "greeting"},
		{"HTTP", [][]byte{[]byte("HTTP/1.1 400 Bad Request\r\n")}, ErrProtocol, "greeting"},
		{"wrong password", [][]byte{{5, 2}, {1, 1}}, ErrAuth, "authentication"},
		{"wrong version of the authentication", [][]byte{{5, 2}, {5, 0}}, ErrProtocol, "authentication"},
		{"wrong version of the reply", [][]byte{{5, 2}, {1, 0}, {4, 0, 0, 1}}, ErrProtocol, "request"},
		{"reserved byte", [][]byte{{5, 2}, {1, 0}, {5, 0, 1, 1}}, ErrProtocol, "request"},
		{"unknown address type", [][]byte{{5, 2}, {1, 0}, {5, 0, 0, 2}}, ErrProtocol, "request"},
	} {
		t.Run(c.name, func(t *testing.T) {
			addr := proxy(t, func(conn net.Conn) {
				for i, in := range [][]byte{greetUser, authPeer, ask} {
					if i >= len(c.out) || expect(conn, in) != nil {
						break
					}
					_ = write(conn, c.out[i]...)
				}
				_, _ = io.Copy(io.Discard, conn)
			})
			_, err := (&Dialer{Proxy: addr}).Dial(t.Context(), "abc.onion", 18141, "peer")
			var step *StepError
			if !errors.Is(err, c.want) || !errors.As(err, &step) || step.Step != c.inner {
				t.Errorf("got %v, want %v in the %s", err, c.want, c.inner)
			}
		})
	}
}

// TestSilence holds the deadline of every step.
func TestSilence(t *testing.T) {
	for answers, want := range []string{"greeting", "authentication", "request"} {
		addr := proxy(t, func(c net.Conn) {
			for i, in := range [][]byte{greetUser, authPeer, ask}[:answers] {
				_ = expect(c, in)
				_ = write(c, [][]byte{{5, 2}, {1, 0}}[i]...)
			}
			_, _ = io.Copy(io.Discard, c)
		})
		d := &Dialer{Proxy: addr, StepTimeout: 200 * time.Millisecond, RequestTimeout: 200 * time.Millisecond}
		if want != "greeting" {
			d.StepTimeout = time.Minute
		}
		if want == "authentication" {
			d.StepTimeout = 5 * time.Second
		}
		_, err := d.Dial(t.Context(), "abc.onion", 18141, "peer")
		var step *StepError
		var timeout net.Error
		if !errors.As(err, &step) || step.Step != want || !errors.As(err, &timeout) || !timeout.Timeout() {
			t.Errorf("silent at the %s: %v", want, err)
		}
	}
}

func TestCancel(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	addr := proxy(t, func(c net.Conn) {
		_ = expect(c, greetUser)
		cancel()
		_, _ = io.Copy(io.Discard, c)
	})
	_, err := (&Dialer{Proxy: addr}).Dial(ctx, "abc.onion", 18141, "peer")
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// TestFind asks where the proxy is at each dial, and says so if nobody knows.
func TestFind(t *testing.T) {
	addr := proxy(t, func(c net.Conn) {
		_ = expect(c, []byte{5, 1, 0})
		_ = write(c, 5, 0xff)
	})
	where := ""
	unknown := errors.New("no proxy yet")
	d := &Dialer{Find: func() (string, error) {
		if where == "" {
			return "", unknown
		}
		return where, nil
	}}
	if _, err := d.Dial(t.Context(), "abc.onion", 1, ""); !errors.Is(err, unknown) {
		t.Errorf("got %v", err)
	}
	where = addr
	if _, err := d.Dial(t.Context(), "abc.onion", 1, ""); !errors.Is(err, ErrNoMethod) {
		t.Errorf("got %v", err)
	}
}

func TestNoProxy(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	_, err = (&Dialer{Proxy: addr}).Dial(t.Context(), "abc.onion", 18141, "")
	var step *StepError
	if !errors.As(err, &step) || step.Step != "proxy" {
		t.Errorf("got %v", err)
	}
	for _, target := range []struct {
		host string
		port uint16
	}{{"", 1}, {strings.Repeat("x", 256), 1}, {"abc.onion", 0}} {
		if _, err := (&Dialer{Proxy: addr}).Dial(t.Context(), target.host, target.port, ""); !errors.Is(err, ErrTarget) {
			t.Errorf("%.10q:%d: %v", target.host, target.port, err)
		}
	}
}

// FuzzAnswers feeds the dialer what a hostile proxy may answer.
func FuzzAnswers(f *testing.F) {
	f.Add([]byte{5, 2, 1, 0, 5, 0, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{5, 0, 5, 0xf0, 0, 1})
	f.Add([]byte{5, 2, 1, 0, 5, 0, 0, 3, 255})
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		c := &scripted{in: bytes.NewReader(b)}
		err := (&Dialer{}).ask(context.Background(), c, "abc.onion", 1, "peer")
		var step *StepError
		if err != nil && !errors.As(err, &step) {
			t.Errorf("untyped error %v", err)
		}
	})
}

// scripted is a proxy that answers from a byte string, whatever it is told.
type scripted struct {
	net.Conn
	in *bytes.Reader
}

func (s *scripted) Read(b []byte) (int, error)    { return s.in.Read(b) }
func (s *scripted) Write(b []byte) (int, error)   { return len(b), nil }
func (s *scripted) SetDeadline(_ time.Time) error { return nil }
