package noise

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	flynn "github.com/flynn/noise"

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

// TestPatterns keeps the patterns in step with flynn/noise's.
func TestPatterns(t *testing.T) {
	tokens := map[flynn.MessagePattern]token{
		flynn.MessagePatternE: keyE, flynn.MessagePatternS: keyS,
		flynn.MessagePatternDHEE: dhEE, flynn.MessagePatternDHES: dhES, flynn.MessagePatternDHSE: dhSE,
	}
	for pattern, theirs := range []flynn.HandshakePattern{XX: flynn.HandshakeXX, IX: flynn.HandshakeIX} {
		var want, got [][]token
		for _, m := range theirs.Messages {
			var message []token
			for _, t := range m {
				message = append(message, tokens[t])
			}
			want = append(want, message)
		}
		for _, m := range scripts[pattern].messages {
			got = append(got, m.tokens)
		}
		if !reflect.DeepEqual(got, want) || scripts[pattern].name != theirs.Name {
			t.Errorf("%s is %v, want %v", Pattern(pattern), got, want)
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
		{"prologue", modern, prologue, "receive message 2", ErrBadMessage, io.ErrUnexpectedEOF},
		{"hash", modern, hash, "receive message 2", ErrBadMessage, io.ErrUnexpectedEOF},
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
			size := params.Pattern.script().messages[0].size
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

// scripted is a connection whose peer says what r holds and takes whatever it is sent.
type scripted struct {
	writes
	r io.Reader
}

func (c *scripted) Read(p []byte) (int, error)  { return c.r.Read(p) }
func (c *scripted) SetDeadline(time.Time) error { return nil }
func (c *scripted) Close() error                { return nil }

// TestHoldLast: the last message goes out with the first Write, in one piece, and not before.
func TestHoldLast(t *testing.T) {
	for name, params := range dialects {
		a, b := tcpPair(t)
		counted := &sizesOfWrites{Conn: a}
		served := make(chan error, 1)
		go func() {
			s, err := Server(context.Background(), b, Config{Params: params, Static: newKey(t)})
			if err == nil {
				_, err = io.ReadFull(s, make([]byte, 5))
			}
			served <- err
		}()
		c, err := Client(context.Background(), counted, Config{Params: params, Static: newKey(t), HoldLast: true})
		if err != nil {
			t.Fatal(err)
		}
		messages := params.Pattern.script().messages
		want := []int{HeaderSize + messages[0].size}
		if !slices.Equal(counted.sizes, want) {
			t.Errorf("%s: wrote %v before the first Write, want %v", name, counted.sizes, want)
		}
		if _, err := c.Write([]byte("first")); err != nil {
			t.Fatal(err)
		}
		_, _ = c.Write([]byte("more"))
		frame := HeaderSize + Overhead
		want = append(want, frame+5, frame+4)
		if len(messages) == 3 {
			want[1] += HeaderSize + messages[2].size
		}
		if err := <-served; err != nil || !slices.Equal(counted.sizes, want) {
			t.Errorf("%s: wrote %v, want %v; the server has %v", name, counted.sizes, want, err)
		}
	}
}

type sizesOfWrites struct {
	net.Conn
	sizes []int
}

func (w *sizesOfWrites) Write(p []byte) (int, error) {
	w.sizes = append(w.sizes, len(p))
	return w.Conn.Write(p)
}
