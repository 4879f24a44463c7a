package noise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// result is what a side made of a handshake.
type result struct {
	conn *Conn
	err  error
}

// shake runs both sides over a and b, closing a connection whose handshake failed, as callers have to.
func shake(ctx context.Context, a, b net.Conn, client, server Config) (c, s result) {
	done := make(chan result, 1)
	go func() {
		conn, err := Server(ctx, b, server)
		if err != nil {
			b.Close()
		}
		done <- result{conn, err}
	}()
	conn, err := Client(ctx, a, client)
	if err != nil {
		a.Close()
	}
	return result{conn, err}, <-done
}

// newKey returns a fresh key.
func newKey(t testing.TB) tarikey.SecretKey {
	t.Helper()
	sk, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// newPair returns both ends of an encrypted connection over a and b.
func newPair(t testing.TB, a, b net.Conn) (client, server *Conn) {
	t.Helper()
	c, s := shake(context.Background(), a, b, Config{Static: newKey(t)}, Config{Static: newKey(t)})
	if c.err != nil || s.err != nil {
		t.Fatal(c.err, s.err)
	}
	t.Cleanup(func() { c.conn.Close(); s.conn.Close() })
	return c.conn, s.conn
}

// modern and seed are the parameters of the two dialects.
var (
	modern = Params{Pattern: XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}
	seed   = Params{Pattern: IX}
)

var dialects = map[string]Params{"XX": modern, "IX": seed}

func TestHandshake(t *testing.T) {
	for name, params := range dialects {
		t.Run(name, func(t *testing.T) {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			client, server := Config{Params: params, Static: newKey(t)}, Config{Params: params, Static: newKey(t)}
			c, s := shake(context.Background(), a, b, client, server)
			if c.err != nil || s.err != nil {
				t.Fatal(c.err, s.err)
			}
			if got, want := c.conn.RemoteKey(), server.Static.Public(); got != want {
				t.Errorf("client sees %s, want %s", got, want)
			}
			if got, want := s.conn.RemoteKey(), client.Static.Public(); got != want {
				t.Errorf("server sees %s, want %s", got, want)
			}
			if !bytes.Equal(c.conn.binding, s.conn.binding) {
				t.Error("the two sides end with different hashes")
			}
		})
	}
}

// TestPatternSizes keeps the table of sizes in step with flynn/noise's patterns.
func TestPatternSizes(t *testing.T) {
	for pattern, script := range scripts {
		if got, want := len(script.sizes), len(script.handshake.Messages); got != want {
			t.Errorf("%s: %d sizes for %d messages", Pattern(pattern), got, want)
		}
	}
	if XX.String() != "XX" || IX.String() != "IX" || Pattern(7).String() != "unknown" {
		t.Errorf("names are %s, %s, %s", XX, IX, Pattern(7))
	}
}

func TestConfigErrors(t *testing.T) {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	for _, cfg := range []Config{{}, {Static: newKey(t), Params: Params{Pattern: 7}}} {
		var failed *HandshakeError
		if _, err := Client(context.Background(), a, cfg); !errors.As(err, &failed) || failed.Step != "start" {
			t.Errorf("Client(%v) = %v, want a refusal to start", cfg.Pattern, err)
		}
	}
	broken := Config{Static: newKey(t), Rand: strings.NewReader("short")}
	var failed *HandshakeError
	if _, err := Client(context.Background(), a, broken); !errors.As(err, &failed) || failed.Step != "send message 1" {
		t.Errorf("with too little randomness: %v", err)
	}
}

// TestParamsDiffer has two sides that do not agree. The side that finds out first says so; nobody gets a connection that works.
func TestParamsDiffer(t *testing.T) {
	prologue := modern
	prologue.Prologue = nil
	hash := modern
	hash.HashDH = false
	tests := []struct {
		name           string
		client, server Params
		clientStep     string
		clientErr      error
		serverErr      error
	}{
		{"prologue", modern, prologue, "receive message 2", nil, io.ErrUnexpectedEOF},
		{"hash", modern, hash, "receive message 2", nil, io.ErrUnexpectedEOF},
		{"XX to IX", modern, seed, "receive message 2", ErrNoAnswer, ErrMessageSize},
		{"IX to XX", seed, modern, "receive message 2", ErrNoAnswer, ErrMessageSize},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			a, b := tcpPair(t)
			c, s := shake(context.Background(), a, b, Config{Params: test.client, Static: newKey(t)}, Config{Params: test.server, Static: newKey(t)})
			var failed *HandshakeError
			if !errors.As(c.err, &failed) || failed.Step != test.clientStep || (test.clientErr != nil && !errors.Is(c.err, test.clientErr)) {
				t.Errorf("client: %v, want %s: %v", c.err, test.clientStep, test.clientErr)
			}
			if !errors.Is(s.err, test.serverErr) && !strings.Contains(fmt.Sprint(s.err), "reset") {
				t.Errorf("server: %v, want %v", s.err, test.serverErr)
			}
		})
	}
}

// TestPreamble checks that what precedes message 1 goes in the same write.
func TestPreamble(t *testing.T) {
	for name, params := range dialects {
		t.Run(name, func(t *testing.T) {
			peer := &scripted{r: strings.NewReader("")}
			_, err := Client(context.Background(), peer, Config{Params: params, Static: newKey(t), Preamble: []byte{0xca, 0xfe}})
			if !errors.Is(err, ErrNoAnswer) {
				t.Errorf("error is %v, want ErrNoAnswer", err)
			}
			size := params.Pattern.script().sizes[0]
			want := append([]byte{0xca, 0xfe, 0, byte(size)}, make([]byte, size)...)
			if len(peer.all) != 1 || len(peer.all[0]) != len(want) || !bytes.HasPrefix(peer.all[0], want[:4]) {
				t.Errorf("writes are %x, want %x and a message of %d bytes", peer.all, want[:4], size)
			}
		})
	}
}

// TestZeroFramesBetweenMessages has a peer that sends frames of length 0 before its handshake message.
func TestZeroFramesBetweenMessages(t *testing.T) {
	a, b := tcpPair(t)
	if _, err := a.Write(make([]byte, 20_000)); err != nil {
		t.Fatal(err)
	}
	c, s := shake(context.Background(), a, b, Config{Static: newKey(t)}, Config{Static: newKey(t)})
	if c.err != nil || s.err != nil {
		t.Fatal(c.err, s.err)
	}
}

// vectorStreams returns what each side of a vector sends, and where each message ends in that.
func vectorStreams(v vector) (initiator, responder []byte) {
	for i, message := range v.Messages {
		if i%2 == 0 {
			initiator = append(initiator, message...)
		} else {
			responder = append(responder, message...)
		}
	}
	return initiator, responder
}

// flip is a connection that damages the byte at an offset of what is written to it.
type flip struct {
	net.Conn
	at   int
	mask byte
}

func (f *flip) Write(p []byte) (int, error) {
	if f.at >= 0 && f.at < len(p) {
		p = bytes.Clone(p)
		p[f.at] ^= f.mask
	}
	f.at -= len(p)
	return f.Conn.Write(p)
}

// TestTamper damages every byte of every message. A damaged message 1 is refused by the responder if it can tell (the size, or a key
// that is none), and otherwise by the initiator, who finds that message 2 does not match; a later one by who receives it.
func TestTamper(t *testing.T) {
	for _, v := range handshakeVectors(t) {
		t.Run(v.Pattern, func(t *testing.T) {
			for message, frame := range v.Messages {
				for at := range frame {
					for _, mask := range []byte{0x01, 0x80} {
						tamper(t, v, message, at, mask)
					}
				}
			}
		})
	}
}

func tamper(t *testing.T, v vector, message, at int, mask byte) {
	t.Helper()
	client, server := v.configs(t)
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	if message == 2 {
		at += len(v.Messages[0])
	}
	var c, s result
	if message%2 == 0 {
		c, s = shake(context.Background(), &flip{a, at, mask}, b, client, server)
	} else {
		c, s = shake(context.Background(), a, &flip{b, at, mask}, client, server)
	}
	var clientErr, serverErr *HandshakeError
	errors.As(c.err, &clientErr)
	errors.As(s.err, &serverErr)
	where := fmt.Sprintf("message %d, byte %d, bit %#02x: client %v, server %v", message+1, at, mask, c.err, s.err)
	switch message {
	case 0:
		if clientErr == nil || clientErr.Step != "receive message 2" {
			t.Errorf("%s: want the client to fail at message 2", where)
		}
		var key *tarikey.KeyError
		if at < HeaderSize && !errors.Is(s.err, ErrMessageSize) && !errors.Is(s.err, io.ErrUnexpectedEOF) {
			t.Errorf("%s: want the server to refuse the size", where)
		}
		if serverErr != nil && serverErr.Step == "send message 2" && !errors.As(s.err, &key) {
			t.Errorf("%s: want a key error", where)
		}
	case 1:
		if clientErr == nil || clientErr.Step != "receive message 2" {
			t.Errorf("%s: want the client to refuse message 2", where)
		}
		if len(v.Messages) == 3 && serverErr == nil {
			t.Errorf("%s: the server has a connection", where)
		}
	case 2:
		if serverErr == nil || serverErr.Step != "receive message 3" {
			t.Errorf("%s: want the server to refuse message 3", where)
		}
	}
}

// handshakeVectors returns one vector of each pattern.
func handshakeVectors(t testing.TB) []vector {
	var out []vector
	seen := map[string]bool{}
	for _, v := range loadVectors(t) {
		if !seen[v.Pattern] {
			out = append(out, v)
		}
		seen[v.Pattern] = true
	}
	if len(out) != 2 {
		t.Fatalf("%d patterns in the vectors, want 2", len(out))
	}
	return out
}

// TestStops has a peer that sends the first n bytes of what an honest one would, for every n, and then either closes or says
// nothing any more. The handshake ends at once, or when the step it is at is over.
func TestStops(t *testing.T) {
	for _, v := range handshakeVectors(t) {
		fromClient, fromServer := vectorStreams(v)
		for _, closes := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s closes=%v", v.Pattern, closes), func(t *testing.T) {
				for n := range fromClient {
					_, cfg := v.configs(t)
					err := stop(t, Server, cfg, fromClient[:n], closes)
					checkStop(t, err, closes, n, io.ErrUnexpectedEOF)
				}
				for n := range fromServer {
					cfg, _ := v.configs(t)
					want := io.ErrUnexpectedEOF
					if n == 0 {
						want = ErrNoAnswer
					}
					err := stop(t, Client, cfg, fromServer[:n], closes)
					checkStop(t, err, closes, n, want)
				}
			})
		}
	}
}

func checkStop(t *testing.T, err error, closed bool, n int, whenClosed error) {
	t.Helper()
	want := os.ErrDeadlineExceeded
	if closed {
		want = whenClosed
	}
	var failed *HandshakeError
	if !errors.Is(err, want) || !errors.As(err, &failed) || !strings.HasPrefix(failed.Step, "receive message ") {
		t.Errorf("after %d bytes: %v, want %v", n, err, want)
	}
	if errors.Is(err, ErrNoAnswer) && want != ErrNoAnswer {
		t.Errorf("after %d bytes: %v, but it did answer or did not close", n, err)
	}
}

// stop returns how a side's handshake ends against a peer that sends only so much.
func stop(t *testing.T, side func(context.Context, net.Conn, Config) (*Conn, error), cfg Config, sent []byte, closes bool) (err error) {
	if closes {
		_, err = side(context.Background(), &scripted{r: bytes.NewReader(sent)}, cfg)
		return err
	}
	synctest.Test(t, func(t *testing.T) {
		us, peer := net.Pipe()
		go io.Copy(io.Discard, peer)
		go peer.Write(sent)
		start := time.Now()
		_, err = side(context.Background(), us, cfg)
		if took := time.Since(start); took != DefaultStepTimeout {
			t.Errorf("after %d bytes: took %v of fake time, want %v", len(sent), took, DefaultStepTimeout)
		}
		us.Close()
		peer.Close()
	})
	return err
}

// TestContext ends a handshake in the middle, by a deadline and by a cancel with a cause.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		expectContext(t, late, context.DeadlineExceeded)

		reason := errors.New("host is closing")
		cancelled, stop := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { stop(reason) })
		expectContext(t, cancelled, reason)

		expectContext(t, cancelled, reason) // ended before it begins
	})
}

// overtaken is a connection on which ctx ends just when a deadline is set: the past deadline, by which a handshake is interrupted,
// comes first, and the later one in place of it.
type overtaken struct {
	net.Conn
	cancel      context.CancelFunc
	interrupted chan struct{}
}

func (o *overtaken) SetDeadline(t time.Time) error {
	if time.Until(t) > 0 {
		o.cancel()
		<-o.interrupted
		return o.Conn.SetDeadline(t)
	}
	defer close(o.interrupted)
	return o.Conn.SetDeadline(t)
}

// TestContextOvertaken checks that a step does not undo an interruption with its own deadline.
func TestContextOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithCancel(context.Background())
		start := time.Now()
		_, err := Server(ctx, &overtaken{a, cancel, make(chan struct{})}, Config{Static: newKey(t)})
		if !errors.Is(err, context.Canceled) || time.Since(start) > 0 {
			t.Errorf("%v after %v, want a cancel at once", err, time.Since(start))
		}
	})
}

// sluggish is a connection on which an interruption takes a second to return.
type sluggish struct {
	net.Conn
	returned bool
}

func (s *sluggish) SetDeadline(t time.Time) error {
	err := s.Conn.SetDeadline(t)
	if time.Until(t) < 0 {
		time.Sleep(time.Second)
		s.returned = true
	}
	return err
}

// TestContextLetsGo checks that nothing touches the connection any more once a handshake has ended.
func TestContextLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c := &sluggish{Conn: a}
		if _, err := Server(ctx, c, Config{Static: newKey(t)}); !errors.Is(err, context.DeadlineExceeded) || !c.returned {
			t.Errorf("%v, interruption over: %v", err, c.returned)
		}
	})
}

func expectContext(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go io.Copy(io.Discard, b)
	start := time.Now()
	if _, err := Client(ctx, a, Config{Static: newKey(t)}); !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v of fake time, want a second at most", took)
	}
}

// TestSlowPeer takes almost all of its time over every message: each has its own.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		slow := &lag{a, DefaultStepTimeout - time.Second}
		c, s := shake(context.Background(), slow, b, Config{Static: newKey(t), StepTimeout: time.Hour}, Config{Static: newKey(t)})
		if c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		// No deadline is left behind.
		go func() { time.Sleep(time.Hour); c.conn.Write([]byte("late")) }()
		p := make([]byte, 10)
		if n, err := s.conn.Read(p); err != nil || string(p[:n]) != "late" {
			t.Errorf("read %q, %v", p[:n], err)
		}
		a.Close()
		b.Close()
	})
}

// lag is a connection that waits before each write.
type lag struct {
	net.Conn
	time time.Duration
}

func (l *lag) Write(p []byte) (int, error) {
	time.Sleep(l.time)
	return l.Conn.Write(p)
}

// TestKeysThatAreNone sends points that no key may be where message 1 has one.
func TestKeysThatAreNone(t *testing.T) {
	points := map[string][]byte{
		"identity":         make([]byte, 32),
		"not on the curve": append([]byte{1}, make([]byte, 31)...),
		"not canonical":    append([]byte{0xed}, append(bytes.Repeat([]byte{0xff}, 30), 0x7f)...),
	}
	good := newKey(t).Public().Bytes()
	for name, point := range points {
		for pattern, messages := range map[Pattern][][]byte{
			XX: {point},
			IX: {bytes.Join([][]byte{point, good}, nil), bytes.Join([][]byte{good, point}, nil)},
		} {
			for _, message := range messages {
				frame := append([]byte{0, byte(len(message))}, message...)
				conn := &scripted{r: bytes.NewReader(frame)}
				_, err := Server(context.Background(), conn, Config{Params: Params{Pattern: pattern}, Static: newKey(t)})
				var key *tarikey.KeyError
				if !errors.As(err, &key) {
					t.Errorf("%s in %s: %v, want a key error", name, pattern, err)
				}
				if name == "identity" && !errors.Is(err, tarikey.ErrIdentityPoint) {
					t.Errorf("%s in %s: %v", name, pattern, err)
				}
			}
		}
	}
}

// scripted is a connection whose peer says what r holds and takes whatever it is sent.
type scripted struct {
	writes
	r io.Reader
}

func (c *scripted) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *scripted) SetDeadline(time.Time) error { return nil }
func (c *scripted) Close() error                { return nil }
