package wiremode

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"
)

// addrConn is a pipe's end that claims to come from somewhere.
type addrConn struct {
	net.Conn
	from string
}

func (c addrConn) RemoteAddr() net.Addr { return addr(c.from) }

type addr string

func (addr) Network() string  { return "tcp" }
func (a addr) String() string { return string(a) }

const (
	home   = "127.0.0.1:40000"
	abroad = "203.0.113.7:40000"
)

func localGate(sessions int) *Gate {
	return &Gate{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, MaxSessions: sessions}
}

// serve runs Serve on one end of a pipe; the channel gives its result.
func serve(ctx context.Context, from string, l Liveness) (net.Conn, <-chan error) {
	client, server := net.Pipe()
	done := make(chan error, 1)
	go func() { done <- Serve(ctx, addrConn{server, from}, l) }()
	return client, done
}

func probe(t *testing.T, conn net.Conn, line string) error {
	t.Helper()
	return Echo(t.Context(), conn, line)
}

func TestRead(t *testing.T) {
	r := bytes.NewReader([]byte{LivenessModern, 1})
	if b, err := Read(r); b != LivenessModern || err != nil || r.Len() != 1 {
		t.Errorf("Read = %#x, %v with %d bytes left", b, err, r.Len())
	}
	if _, err := Read(bytes.NewReader(nil)); !errors.Is(err, io.EOF) {
		t.Errorf("Read of nothing: %v", err)
	}
	if got := (&UnknownError{0x13}).Error(); !strings.Contains(got, "0x13") {
		t.Errorf("UnknownError says %q", got)
	}
}

func TestProbeAndServe(t *testing.T) {
	for _, c := range []struct {
		name   string
		first  byte
		limits Liveness
	}{
		{"modern", LivenessModern, ModernLiveness()},
		{"seed", LivenessSeed, SeedLiveness()},
		{"no limits", LivenessModern, Liveness{}},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, server := net.Pipe()
			defer client.Close()
			done := make(chan error, 1)
			go func() {
				first, err := Read(server)
				if err == nil && first != c.first {
					err = &UnknownError{first}
				}
				if err == nil {
					c.limits.Gate = localGate(1)
					err = Serve(context.Background(), addrConn{server, home}, c.limits)
				}
				done <- err
			}()
			if err := Probe(t.Context(), client, c.first, "one"); err != nil {
				t.Fatal(err)
			}
			for _, line := range []string{"", "two", strings.Repeat("x", cmp.Or(c.limits.MaxLine, defaultMaxLine))} {
				if err := probe(t, client, line); err != nil {
					t.Fatalf("line of %d bytes: %v", len(line), err)
				}
			}
			client.Close()
			if err := <-done; err != nil {
				t.Errorf("Serve: %v", err)
			}
		})
	}
}

func TestServeRefuses(t *testing.T) {
	long := ModernLiveness()
	long.Gate = localGate(1)
	closed, foreign, silent, seed := long, long, SeedLiveness(), SeedLiveness()
	closed.Gate = localGate(0)
	silent.Gate = localGate(1)
	for _, c := range []struct {
		name, from, line string
		l                Liveness
		want             error
	}{
		{"disabled", home, "hello", closed, ErrRefused},
		{"not allowed", abroad, "hello", foreign, ErrRefused},
		{"not allowed, before the first line", abroad, "", silent, ErrRefused},
		{"no address", "memory", "hello", foreign, ErrRefused},
		{"a made-up token", abroad, strings.Repeat("a", 64), foreign, ErrRefused},
		{"line too long", home, strings.Repeat("x", 81), long, ErrBadLine},
		{"line too long, seed", home, strings.Repeat("x", 51), seed, ErrBadLine},
		{"line too long, zero limits", home, strings.Repeat("x", 81), Liveness{}, ErrBadLine},
		{"not text", home, "\xff\xfe", long, ErrBadLine},
	} {
		t.Run(c.name, func(t *testing.T) {
			client, done := serve(context.Background(), c.from, c.l)
			defer client.Close()
			if c.line != "" {
				// The server may close before it has read all of it.
				_, _ = io.WriteString(client, c.line+"\n")
			}
			if got, err := io.ReadAll(client); len(got) != 0 || err != nil {
				t.Errorf("a refused session got %q, %v", got, err)
			}
			if err := <-done; !errors.Is(err, c.want) {
				t.Errorf("Serve: %v, want %v", err, c.want)
			}
		})
	}
}

func TestServeTimeLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		limits Liveness
		every  time.Duration // a line each; 0: none
		lines  int
		ends   time.Duration
	}{
		{"modern, no first line", ModernLiveness(), 0, 0, 5 * time.Second},
		{"modern, idle", ModernLiveness(), time.Second, 2, 2*time.Second + 30*time.Second},
		{"modern, lifetime", ModernLiveness(), 3500 * time.Millisecond, 1000, 5 * time.Minute},
		{"seed, silent", SeedLiveness(), 0, 0, 5 * time.Minute},
		{"seed, idle", SeedLiveness(), 4 * time.Minute, 3, 12*time.Minute + 5*time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				start := time.Now()
				client, server := net.Pipe()
				defer client.Close()
				done := make(chan error, 1)
				var took time.Duration
				go func() {
					err := Serve(context.Background(), server, c.limits)
					took = time.Since(start)
					done <- err
				}()
				for range c.lines {
					time.Sleep(c.every)
					if probe(t, client, "still here") != nil {
						break
					}
				}
				err := <-done
				if !errors.Is(err, os.ErrDeadlineExceeded) {
					t.Errorf("Serve: %v, want a deadline", err)
				}
				if took != c.ends {
					t.Errorf("ended after %v, want %v", took, c.ends)
				}
			})
		})
	}
}

func TestServeEndsWithContext(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	client, done := serve(ctx, home, ModernLiveness())
	defer client.Close()
	if err := probe(t, client, "hello"); err != nil {
		t.Fatal(err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("Serve: %v", err)
	}
}

func TestProbeErrors(t *testing.T) {
	answer := func(reply string) (net.Conn, func()) {
		client, server := net.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			defer server.Close()
			buf := make([]byte, len("\xa7token\n"))
			if _, err := io.ReadFull(server, buf); err == nil {
				_, _ = io.WriteString(server, reply)
			}
		}()
		return client, func() { client.Close(); <-done }
	}
	for _, c := range []struct {
		name, reply string
		want        error
	}{
		{"closed", "", ErrNoEcho},
		{"cut short", "tok", ErrNoEcho},
		{"another line", "tokem\n", ErrWrongEcho},
		{"a longer line", "tokens\n", ErrWrongEcho},
	} {
		t.Run(c.name, func(t *testing.T) {
			conn, end := answer(c.reply)
			defer end()
			if err := Probe(t.Context(), conn, LivenessModern, "token"); !errors.Is(err, c.want) {
				t.Errorf("Probe: %v, want %v", err, c.want)
			}
		})
	}
}

func TestProbeTimeLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		client, server := net.Pipe()
		defer client.Close()
		go func() { _, _ = io.Copy(io.Discard, server) }() // reads, never answers
		start := time.Now()
		if err := Probe(context.Background(), client, LivenessModern, "x"); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("Probe: %v", err)
		}
		if took := time.Since(start); took != probeTimeout {
			t.Errorf("gave up after %v, want %v", took, probeTimeout)
		}
		ctx, cancel := context.WithCancel(context.Background())
		time.AfterFunc(time.Second, cancel)
		if err := Probe(ctx, client, LivenessModern, "x"); !errors.Is(err, context.Canceled) {
			t.Errorf("Probe: %v", err)
		}
	})
}

// FuzzServe: whatever a client sends, it gets its valid lines back up to the
// first bad one, and nothing else.
func FuzzServe(f *testing.F) {
	f.Fuzz(func(t *testing.T, input []byte) {
		l := ModernLiveness()
		client, done := serve(context.Background(), home, l)
		read := make(chan []byte, 1)
		go func() {
			got, _ := io.ReadAll(client)
			read <- got
		}()
		// A pipe has no half close: end the input with a line of our own that
		// is too long, so that the server closes after all that came before.
		_, _ = client.Write(append(bytes.Clone(input), "\n"+strings.Repeat("x", l.MaxLine+1)+"\n"...))
		err := <-done
		got := <-read
		client.Close()
		if !errors.Is(err, ErrBadLine) {
			t.Fatalf("Serve: %v", err)
		}
		if want := echoOf(append(bytes.Clone(input), '\n'), l.MaxLine); !bytes.Equal(got, want) {
			t.Fatalf("echo of %q is %q, want %q", input, got, want)
		}
	})
}

// echoOf is the other way to say what Serve does.
func echoOf(input []byte, maxLine int) (echo []byte) {
	lines := bufio.NewScanner(bytes.NewReader(input))
	lines.Buffer(nil, len(input)+1)
	lines.Split(func(data []byte, _ bool) (int, []byte, error) {
		i := bytes.IndexByte(data, '\n')
		if i < 0 {
			return 0, nil, nil
		}
		return i + 1, data[:i], nil
	})
	for lines.Scan() {
		line := lines.Bytes()
		if len(line) > maxLine || !utf8.Valid(line) {
			break
		}
		echo = append(append(echo, bytes.TrimSuffix(line, []byte("\r"))...), '\n')
	}
	return echo
}
