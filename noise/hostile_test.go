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
		if at < HeaderSize && !errors.Is(s.err, ErrMessageSize) {
			t.Errorf("%s: want the server to refuse the size", where)
		}
		var notAKey *tarikey.KeyError
		switch {
		case serverErr != nil && serverErr.Step == "send message 2" && !errors.As(s.err, &notAKey):
			t.Errorf("%s: want the server to refuse a key", where)
		case (serverErr == nil || serverErr.Step == "receive message 3") && !errors.Is(c.err, ErrBadMessage):
			t.Errorf("%s: want the client to refuse message 2", where)
		}
	case 1:
		if clientErr == nil || clientErr.Step != "receive message 2" || !refused(c.err, at) {
			t.Errorf("%s: want the client to refuse message 2", where)
		}
		if len(v.Messages) == 3 && serverErr == nil {
			t.Errorf("%s: the server has a connection", where)
		}
	case 2:
		if serverErr == nil || serverErr.Step != "receive message 3" || !refused(s.err, at-len(v.Messages[0])) {
			t.Errorf("%s: want the server to refuse message 3", where)
		}
	}
}

// refused tells whether err is the right one for damage at a byte of a frame.
func refused(err error, at int) bool {
	if at < HeaderSize {
		return errors.Is(err, ErrMessageSize)
	}
	var notAKey *tarikey.KeyError
	return errors.Is(err, ErrBadMessage) || errors.As(err, &notAKey)
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

// TestHandshakeAndFramesTogether has a peer whose handshake and frames all come at once: what follows the handshake is not lost.
func TestHandshakeAndFramesTogether(t *testing.T) {
	for _, v := range handshakeVectors(t) {
		fromClient, fromServer := vectorStreams(v)
		var saidByClient, saidByServer []byte
		for _, frame := range v.Frames {
			if frame.From == "initiator" {
				fromClient, saidByClient = append(fromClient, frame.Frame...), append(saidByClient, frame.Plaintext...)
			} else {
				fromServer, saidByServer = append(fromServer, frame.Frame...), append(saidByServer, frame.Plaintext...)
			}
		}
		client, server := v.configs(t)
		for _, c := range []struct {
			side func(context.Context, net.Conn, Config) (*Conn, error)
			cfg  Config
			all  []byte
			want []byte
		}{{Server, server, fromClient, saidByClient}, {Client, client, fromServer, saidByServer}} {
			conn, err := c.side(context.Background(), &scripted{r: bytes.NewReader(c.all)}, c.cfg)
			if err != nil {
				t.Errorf("%s: %v", v.Pattern, err)
				continue
			}
			if got, err := io.ReadAll(conn); err != nil || !bytes.Equal(got, c.want) || len(got) == 0 {
				t.Errorf("%s: read %x, %v, want %x", v.Pattern, got, err, c.want)
			}
		}
	}
}

// TestReplayedSession has a peer say once more, to the same key of ours, all that it said in a session before. Its first message may be
// its own again; whatever proves that it has the key fails, or, where message 1 of IX is all that it says in the handshake, its first frame.
func TestReplayedSession(t *testing.T) {
	for _, v := range handshakeVectors(t) {
		fromClient, fromServer := vectorStreams(v)
		for _, frame := range v.Frames {
			if frame.From == "initiator" {
				fromClient = append(fromClient, frame.Frame...)
			} else {
				fromServer = append(fromServer, frame.Frame...)
			}
		}
		client, server := v.configs(t)
		client.Rand, server.Rand = nil, nil // a new session
		if _, err := Client(t.Context(), &scripted{r: bytes.NewReader(fromServer)}, client); !errors.Is(err, ErrBadMessage) {
			t.Errorf("%s: what the responder said: %v", v.Pattern, err)
		}
		c, err := Server(t.Context(), &scripted{r: bytes.NewReader(fromClient)}, server)
		if err == nil && server.Pattern == IX {
			var n int
			if n, err = c.Read(make([]byte, 100)); n != 0 || err != ErrBadTag {
				t.Errorf("%s: what the initiator said: %d bytes, %v", v.Pattern, n, err)
			}
			continue
		}
		if !errors.Is(err, ErrBadMessage) {
			t.Errorf("%s: what the initiator said: %v", v.Pattern, err)
		}
	}
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
