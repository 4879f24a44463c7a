//go:build interop

package interop

import (
	"io"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

const (
	banLong  = 2 * time.Hour
	banShort = 2 * time.Minute
)

// hostileClaim is a way to break the rules of the modern identity exchange.
type hostileClaim struct {
	name string
	ban  time.Duration // what tari_comms does about it; 0 is nothing
	// frame makes the bytes to send; nil ends the connection instead.
	frame func(t *testing.T, sk tarikey.SecretKey) []byte
}

func hostileClaims() []hostileClaim {
	// changed signs a good claim with one thing different.
	changed := func(change func(*identityproto.Claim)) func(*testing.T, tarikey.SecretKey) []byte {
		return func(t *testing.T, sk tarikey.SecretKey) []byte {
			c := goodClaim()
			change(c)
			return frame(0, encode(t, c, sk, time.Now()))
		}
	}
	ids := func(n, size int) []protocol.ID {
		out := make([]protocol.ID, n)
		for i := range out {
			out[i] = protocol.ID(strings.Repeat("p", size-1) + string(rune('a'+i)))
		}
		return out
	}
	return []hostileClaim{
		{"21 protocols", banLong, changed(func(c *identityproto.Claim) { c.Protocols = ids(21, 4) })},
		{"a protocol id of 51 bytes", banLong, changed(func(c *identityproto.Claim) { c.Protocols = ids(1, 51) })},
		{"6 addresses", banLong, changed(func(c *identityproto.Claim) {
			for range 5 {
				c.Addresses = append(c.Addresses, ma.StringCast("/ip4/127.0.0.1/tcp/18190"))
			}
		})},
		{"a user agent of 51 bytes", banLong, changed(func(c *identityproto.Claim) { c.UserAgent = strings.Repeat("a", 51) })},
		{"an address of the wrong shape", banLong, changed(func(c *identityproto.Claim) {
			c.Addresses = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/udp/18189")}
		})},
		{"a port of 0", banLong, changed(func(c *identityproto.Claim) {
			c.Addresses = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
		})},
		{"a tampered address", banLong, func(t *testing.T, sk tarikey.SecretKey) []byte {
			c := goodClaim()
			encode(t, c, sk, time.Now())
			c.Addresses = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/18190")}
			return frame(0, identityproto.EncodeMessage(c))
		}},
		{"the signature of another key", banLong, func(t *testing.T, _ tarikey.SecretKey) []byte {
			return frame(0, encode(t, goodClaim(), newKey(t), time.Now()))
		}},
		{"no protobuf", banLong, func(*testing.T, tarikey.SecretKey) []byte {
			return frame(0, []byte{0xff, 0xff, 0xff})
		}},
		{"a message of 1,025 bytes", banLong, func(*testing.T, tarikey.SecretKey) []byte {
			return frame(0, make([]byte, 1025))
		}},
		{"a greater version", banShort, func(t *testing.T, sk tarikey.SecretKey) []byte {
			return frame(1, encode(t, goodClaim(), sk, time.Now()))
		}},
		// The crate has a ban of two minutes for this, and never comes to it: a
		// connection that ends is an I/O error like any other.
		{"the end of the connection", 0, nil},
		{"a user agent that does not print", 0, changed(func(c *identityproto.Claim) { c.UserAgent = "a\x01b" })},
		{"a comma in a protocol id", 0, changed(func(c *identityproto.Claim) { c.Protocols = []protocol.ID{"a,b"} })},
		{"bytes that are no address", 0, func(t *testing.T, sk tarikey.SecretKey) []byte {
			m := protowire.AppendTag(nil, 1, protowire.BytesType)
			m = protowire.AppendBytes(m, []byte{0xee, 0xee})
			return frame(0, append(m, encode(t, goodClaim(), sk, time.Now())...))
		}},
		{"unknown features", 0, changed(func(c *identityproto.Claim) { c.Features = 1 << 9 })},
		{"no signature", 0, func(*testing.T, tarikey.SecretKey) []byte {
			return frame(0, identityproto.EncodeMessage(goodClaim()))
		}},
		{"a signature from the day after tomorrow", 0, func(t *testing.T, sk tarikey.SecretKey) []byte {
			return frame(0, encode(t, goodClaim(), sk, time.Now().Add(48*time.Hour)))
		}},
	}
}

// TestModernRustRefusesHostileClaims checks the table of bans in docs/spec
// against the crate itself, with us as initiator and as responder: what we hold
// peers to is what Rust holds us to.
func TestModernRustRefusesHostileClaims(t *testing.T) {
	rust := startRust(t, modern)
	for _, h := range hostileClaims() {
		t.Run("initiator/"+h.name, func(t *testing.T) {
			rust, sk := rust.in(t), newKey(t)
			from := rust.at()
			c := rawClient(t, rust, modernNoise, mainnetByte, sk)
			sendHostile(t, c, h, sk)
			rust.waitFrom(from, "the refusal", func(ev event) bool { return ev.Event == "inbound_failed" })
			checkRefused(t, rust, h, sk)
		})
	}
	t.Run("initiator/silence", func(t *testing.T) {
		rust, sk := rust.in(t), newKey(t)
		rawClient(t, rust, modernNoise, mainnetByte, sk)
		checkBan(t, rust.waitBanned(sk.Public()), banShort)
	})
	for _, h := range hostileClaims() {
		if h.frame == nil {
			continue
		}
		t.Run("responder/"+h.name, func(t *testing.T) {
			rust, sk := rust.in(t), newKey(t)
			bytes := h.frame(t, sk)
			address := rawServer(t, modernNoise, sk, func(c *noise.Conn) {
				_, _ = c.Write(bytes)
				_, _ = io.Copy(io.Discard, c)
			})
			reply := rust.try("dial", map[string]any{"public_key": sk.Public().String(), "addresses": []string{address}})
			if reply.OK {
				t.Fatal("the Rust peer connected")
			}
			checkRefused(t, rust, h, sk)
		})
	}
	t.Run("a good claim still gets in", func(t *testing.T) {
		rawModern(t, rust.in(t), newKey(t))
	})
}

func sendHostile(t *testing.T, c *noise.Conn, h hostileClaim, sk tarikey.SecretKey) {
	t.Helper()
	if h.frame == nil {
		if _, err := readFrame(c); err != nil { // unread, it would turn our end into a reset
			t.Fatal(err)
		}
		_ = c.Close()
		return
	}
	if _, err := c.Write(h.frame(t, sk)); err != nil {
		t.Fatal(err)
	}
}

func checkRefused(t *testing.T, rust *rustPeer, h hostileClaim, sk tarikey.SecretKey) {
	t.Helper()
	if h.ban == 0 {
		if s := rust.stored(sk.Public()); s.Banned {
			t.Fatalf("banned for %d s: %s", s.BannedForSecs, s.BanReason)
		}
		return
	}
	checkBan(t, rust.waitBanned(sk.Public()), h.ban)
}

// rawModern connects a throw-away identity with good manners and returns the
// muxer, to misbehave above it.
func rawModern(t *testing.T, rust *rustPeer, sk tarikey.SecretKey) *yamux.Session {
	t.Helper()
	from := rust.at()
	c := rawClient(t, rust, modernNoise, mainnetByte, sk)
	if _, err := c.Write(frame(0, encode(t, goodClaim(), sk, time.Now()))); err != nil {
		t.Fatal(err)
	}
	if _, err := readFrame(c); err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Time{})
	s, err := yamux.Client(c, yamux.Config{}, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	node := sk.Public().NodeID().String()
	rust.waitFrom(from, "the connection", func(ev event) bool { return ev.Event == "connected" && ev.NodeID == node })
	return s
}

// TestModernRustPunishesHostileSubstreams: what is refused after the handshake.
func TestModernRustPunishesHostileSubstreams(t *testing.T) {
	rust := startRust(t, modern)
	cases := []struct {
		name  string
		ban   time.Duration
		bytes []byte
	}{
		{"an unknown negotiation flag", banLong, []byte("\x09\x80t/msg/0.1")},
		{"a message above 8 MiB", 10 * time.Minute, append([]byte("\x09\x03t/msg/0.1"), tariproto.AppendFrameHeader(nil, tariproto.MaxFrame+1)...)},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			rust, sk := rust.in(t), newKey(t)
			s := rawModern(t, rust, sk)
			stream, err := s.OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if _, err := stream.Write(c.bytes); err != nil {
				t.Fatal(err)
			}
			checkBan(t, rust.waitBanned(sk.Public()), c.ban)
		})
	}
	t.Run("an unknown protocol is no offence", func(t *testing.T) {
		rust, sk := rust.in(t), newKey(t)
		s := rawModern(t, rust, sk)
		stream, err := s.OpenStream(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tariproto.Select(stream, "no/such/protocol"); err == nil {
			t.Fatal("the Rust peer speaks a protocol that does not exist")
		}
		if s := rust.stored(sk.Public()); s.Banned {
			t.Fatalf("banned: %s", s.BanReason)
		}
	})
}

// TestModernRustSurvivesNoise: what comes before anyone has a name costs
// nobody a ban and the node nothing.
func TestModernRustSurvivesNoise(t *testing.T) {
	rust := startRust(t, modern)
	for name, bytes := range map[string]string{
		"another network's byte":  "\x52",
		"the seed dialect's byte": "\x06",
		"garbage after the byte":  "\x00\x00\x05hello",
	} {
		t.Run(name, func(t *testing.T) {
			c := dialTCP(t, rust.in(t))
			if _, err := io.WriteString(c, bytes); err != nil {
				t.Fatal(err)
			}
			if rest, err := io.ReadAll(c); len(rest) > 0 {
				t.Fatalf("the Rust peer answered %x, %v", rest, err)
			}
		})
	}
	rawModern(t, rust, newKey(t))
}
