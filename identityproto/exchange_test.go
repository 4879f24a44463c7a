package identityproto

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// half is one end of a connection whose writes never block: what the peer says is prepared, what we say is kept.
type half struct {
	net.Conn // the deadline and the silence at the end of in
	in       io.Reader
	out      bytes.Buffer
	silent   bool // block at the end of in, until the deadline
	closed   bool
}

func (h *half) Read(b []byte) (int, error) {
	n, err := h.in.Read(b)
	if err == io.EOF && h.silent {
		return h.Conn.Read(b)
	}
	return n, err
}
func (h *half) Write(b []byte) (int, error) { return h.out.Write(b) }
func (h *half) CloseWrite() error           { h.closed = true; return nil }
func (h *half) SetDeadline(t time.Time) error {
	if h.Conn == nil {
		return nil
	}
	return h.Conn.SetDeadline(t)
}

func saying(b []byte) *half { return &half{in: bytes.NewReader(b)} }

var us = func() tarikey.SecretKey {
	k, err := tarikey.GenerateKey(nil)
	if err != nil {
		panic(err)
	}
	return k
}()

func signed(t testing.TB, change func(*Claim)) *Claim {
	t.Helper()
	c := &Claim{
		Addresses: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/18189")}, Features: FeatureNode,
		Protocols: []protocol.ID{"t/msg/0.1", "t/dht/1"}, UserAgent: "tari/test/1.0",
	}
	if change != nil {
		change(c)
	}
	if err := c.Sign(us, time.Now()); err != nil {
		t.Fatal(err)
	}
	return c
}

// frameOf frames any message, also one that EncodeFrame would refuse.
func frameOf(m []byte) []byte {
	return append(binary.LittleEndian.AppendUint16([]byte{0}, uint16(len(m))), m...)
}

func TestExchange(t *testing.T) {
	ours := signed(t, nil)
	frame, err := EncodeFrame(ours)
	if err != nil {
		t.Fatal(err)
	}
	c := saying(append(bytes.Clone(frame), "yamux"...))
	got, err := Exchange(t.Context(), c, ours, us.Public(), Rules{})
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(c.out.Bytes(), frame) {
		t.Errorf("sent %x, want %x", c.out.Bytes(), frame)
	}
	if rest, _ := io.ReadAll(c.in); string(rest) != "yamux" {
		t.Errorf("read into what belongs to yamux: %q is left", rest)
	}
	if got.UserAgent != ours.UserAgent || len(got.Filtered(Rules{})) != 1 {
		t.Errorf("got %+v", got)
	}
}

// TestExchangeIsOver: after it neither its time nor its context has a hold on the connection.
func TestExchangeIsOver(t *testing.T) {
	for name, exchange := range map[string]func(context.Context, *half, *Claim) (*Claim, error){
		"modern": func(ctx context.Context, h *half, ours *Claim) (*Claim, error) {
			h.in = bytes.NewReader(frameOf(EncodeMessage(ours)))
			return Exchange(ctx, h, ours, us.Public(), Rules{})
		},
		"seed": func(ctx context.Context, h *half, ours *Claim) (*Claim, error) {
			said := encodeSeed(ours)
			h.in = bytes.NewReader(append(tariproto.AppendFrameHeader(nil, len(said)), said...))
			return ExchangeSubstream(ctx, h, ours, us.Public(), Rules{})
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := net.Pipe()
				defer a.Close()
				defer b.Close()
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if _, err := exchange(ctx, &half{Conn: a}, signed(t, nil)); err != nil {
					t.Fatal(err)
				}
				cancel()
				time.AfterFunc(2*ExchangeTimeout, func() { _, _ = b.Write([]byte("yamux")) })
				if _, err := io.ReadFull(a, make([]byte, 5)); err != nil {
					t.Errorf("reading what follows: %v", err)
				}
			})
		})
	}
}

// TestLongestMessage: 1,024 bytes are read and written, one more are not.
func TestLongestMessage(t *testing.T) {
	room := MaxMessage - len(EncodeMessage(signed(t, func(c *Claim) { c.UserAgent = strings.Repeat("u", 200) })))
	for n, want := range map[int]struct{ read, written Kind }{
		MaxMessage:     {0, 0},
		MaxMessage + 1: {KindTooLarge, KindOurs},
	} {
		c := signed(t, func(c *Claim) { c.UserAgent = strings.Repeat("u", 200+room+n-MaxMessage) })
		message := EncodeMessage(c)
		if len(message) != n {
			t.Fatalf("a message of %d bytes, want %d", len(message), n)
		}
		rules := Rules{MaxUserAgent: MaxMessage}
		if _, err := DecodeMessage(message, us.Public(), rules, time.Now()); kindOf(err) != want.read {
			t.Errorf("decoding %d bytes: %v", n, err)
		}
		if _, err := EncodeFrame(c); kindOf(err) != want.written {
			t.Errorf("encoding %d bytes: %v", n, err)
		}
	}
}

// TestRules breaks every rule once and looks at the ban.
func TestRules(t *testing.T) {
	const long, short = 2 * time.Hour, 2 * time.Minute
	many := func(n int, format string) (out []protocol.ID) {
		for i := range n {
			out = append(out, protocol.ID(strings.ReplaceAll(format, "#", string(rune('a'+i)))))
		}
		return out
	}
	addrs := func(texts ...string) func(*Claim) {
		return func(c *Claim) {
			c.Addresses = nil
			for _, a := range texts {
				c.Addresses = append(c.Addresses, ma.StringCast(a))
			}
		}
	}
	message := func(change func(*Claim)) []byte { return EncodeMessage(signed(t, change)) }
	broken := func(change func(*Claim)) []byte { // after signing
		c := signed(t, nil)
		change(c)
		return EncodeMessage(c)
	}
	future := signed(t, nil)
	if err := future.Sign(us, time.Now().Add(25*time.Hour)); err != nil {
		t.Fatal(err)
	}
	nearFuture := signed(t, nil)
	if err := nearFuture.Sign(us, time.Now().Add(23*time.Hour)); err != nil {
		t.Fatal(err)
	}
	badScalar := broken(func(c *Claim) { copy(c.Signature.S[:], bytes.Repeat([]byte{0xff}, 32)) })
	twice := func(b []byte) []byte { return append(bytes.Clone(b), b...) }
	onionPort0 := append(bytes.Clone(ma.StringCast(onionText).Bytes()[:37]), 0, 0)

	for _, c := range []struct {
		name  string
		frame []byte
		kind  Kind
		ban   time.Duration
	}{
		{"as it should be", frameOf(message(nil)), 0, 0},
		{"20 protocols", frameOf(message(func(c *Claim) { c.Protocols = many(20, "t/#") })), 0, 0},
		{"21 protocols", frameOf(message(func(c *Claim) { c.Protocols = many(21, "t/#") })), KindProtocols, long},
		{"a protocol of 50 bytes", frameOf(message(func(c *Claim) { c.Protocols = many(1, strings.Repeat("p", 50)) })), 0, 0},
		{"a protocol of 51 bytes", frameOf(message(func(c *Claim) { c.Protocols = many(1, strings.Repeat("p", 51)) })), KindProtocols, long},
		{"no address", frameOf(message(addrs())), 0, 0},
		{"5 addresses", frameOf(message(addrs("/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4", "/ip4/1.1.1.1/tcp/5"))), 0, 0},
		{"6 addresses", frameOf(message(addrs("/ip4/1.1.1.1/tcp/1", "/ip4/1.1.1.1/tcp/2", "/ip4/1.1.1.1/tcp/3", "/ip4/1.1.1.1/tcp/4", "/ip4/1.1.1.1/tcp/5", "/ip4/1.1.1.1/tcp/6"))), KindAddressCount, long},
		{"user agent of 50", frameOf(message(func(c *Claim) { c.UserAgent = strings.Repeat("u", 50) })), 0, 0},
		{"user agent of 51", frameOf(message(func(c *Claim) { c.UserAgent = strings.Repeat("u", 51) })), KindUserAgentSize, long},
		{"user agent with an escape", frameOf(message(func(c *Claim) { c.UserAgent = "\x1b[31m" })), KindUserAgent, 0},
		{"user agent with umlauts", frameOf(message(func(c *Claim) { c.UserAgent = "ü" })), KindUserAgent, 0},
		{"protocol with a comma", frameOf(message(func(c *Claim) { c.Protocols = many(1, "a,b") })), KindProtocolText, 0},
		{"protocol with a newline", frameOf(message(func(c *Claim) { c.Protocols = many(1, "a\n") })), KindProtocolText, 0},
		{"no multiaddr", frameOf(prost.AppendBytes(message(nil), 1, []byte{0xff, 0xff, 0x03})), KindAddress, 0},
		{"cut multiaddr", frameOf(prost.AppendBytes(message(nil), 1, []byte{4, 1, 2, 3})), KindAddress, 0},
		{"empty multiaddr", frameOf(prost.AppendBytes(message(nil), 1, nil)), KindShape, long},
		{"unknown features", frameOf(message(func(c *Claim) { c.Features = 4 })), KindFeatures, 0},
		{"no signature", frameOf(broken(func(c *Claim) { c.Signature = nil })), KindNoSignature, 0},
		{"scalar not canonical", frameOf(badScalar), KindNoSignature, 0},
		{"date before 1970", frameOf(broken(func(c *Claim) { c.Signature.UpdatedAt = time.Unix(-1, 0) })), KindSignature, long},
		{"another user agent", frameOf(broken(func(c *Claim) { c.UserAgent = "other" })), 0, 0}, // not covered by the signature
		{"other features", frameOf(broken(func(c *Claim) { c.Features = 0 })), KindSignature, long},
		{"other address", frameOf(broken(addrs("/ip4/1.2.3.5/tcp/18189"))), KindSignature, long},
		{"other date", frameOf(broken(func(c *Claim) { c.Signature.UpdatedAt = c.Signature.UpdatedAt.Add(time.Second) })), KindSignature, long},
		{"a day and an hour ahead", frameOf(EncodeMessage(future)), KindFuture, 0},
		{"an hour less than a day ahead", frameOf(EncodeMessage(nearFuture)), 0, 0},
		{"UDP", frameOf(message(addrs("/ip4/1.2.3.4/udp/1"))), KindShape, long},
		{"port 0", frameOf(message(addrs("/ip4/1.2.3.4/tcp/0"))), KindShape, long},
		{"onion of version 2", frameOf(message(addrs("/onion/aaimaq4ygg2iegci:80"))), KindShape, long},
		{"onion with a wrong checksum", frameOf(message(addrs("/onion3/aww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"))), KindShape, long},
		{"name with a slash", frameOf(prost.AppendBytes(message(nil), 1, []byte{54, 3, 'a', '/', 'b', 6, 1, 1})), KindShape, long},
		{"name not UTF-8", frameOf(prost.AppendBytes(message(nil), 1, []byte{54, 1, 0xff, 6, 1, 1})), KindAddress, 0},
		{"an empty name, which Rust takes and drops", frameOf(prost.AppendBytes(message(nil), 1, []byte{54, 0, 6, 1, 1})), KindAddress, 0},
		{"onion with port 0", frameOf(prost.AppendBytes(message(nil), 1, onionPort0)), KindShape, long},
		{"memory without port", frameOf(message(addrs("/memory/0"))), KindShape, long},
		{"plain dns", frameOf(message(addrs("/dns/a.b/tcp/1"))), KindShape, long},
		{"private address", frameOf(message(addrs("/ip4/10.0.0.1/tcp/1"))), 0, 0},
		{"twice the same message", frameOf(twice(message(func(c *Claim) { c.Addresses = nil }))), 0, 0},
		{"no protobuf", frameOf([]byte{0xff}), KindDecode, long},
		{"wrong wire type", frameOf([]byte{0x10 | 2, 0}), KindDecode, long},
		{"user agent not UTF-8", frameOf(prost.AppendBytes(nil, 4, []byte{0xff})), KindDecode, long},
		{"1024 bytes", frameOf(prost.AppendBytes(message(func(c *Claim) { c.UserAgent = "" }), 15, make([]byte, 1024-3-len(message(func(c *Claim) { c.UserAgent = "" }))))), 0, 0},
		{"1025 bytes", frameOf(make([]byte, 1025)), KindTooLarge, long},
		{"65535 bytes", frameOf(make([]byte, 65535)), KindTooLarge, long},
		{"version 1", append([]byte{1}, frameOf(message(nil))[1:]...), KindVersion, short},
		{"nothing", nil, KindClosed, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			claim, err := Exchange(t.Context(), saying(c.frame), signed(t, nil), us.Public(), Rules{})
			if kindOf(err) != c.kind {
				t.Fatalf("got %v, want kind %d", err, c.kind)
			}
			if err == nil {
				return
			}
			if claim != nil {
				t.Error("a claim beside the error")
			}
			var ban interface{ BanFor() time.Duration }
			if !errors.As(err, &ban) || ban.BanFor() != c.ban {
				t.Errorf("banned for %s, want %s", ban.BanFor(), c.ban)
			}
			if strings.Contains(err.Error(), "1.2.3.") || strings.Contains(err.Error(), "wy6ybal4") || strings.Contains(err.Error(), "a.b") {
				t.Errorf("the error shows an address of the peer: %q", err)
			}
			for _, r := range err.Error() {
				if r < 0x20 || r > 0x7e && r != '…' {
					t.Errorf("the error shows raw bytes: %q", err)
				}
			}
		})
	}
}

// TestOtherLimits: who has other limits than mainnet says so in the rules.
func TestOtherLimits(t *testing.T) {
	c := signed(t, func(c *Claim) {
		c.Protocols, c.UserAgent = []protocol.ID{"one", "three"}, "agent"
		c.Addresses = []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/1"), ma.StringCast("/ip4/1.2.3.4/tcp/2")}
	})
	for rules, want := range map[Rules]Kind{
		{MaxProtocols: 2, MaxProtocolSize: 5, MaxAddresses: 2, MaxUserAgent: 5}: 0,
		{MaxProtocols: 1}:    KindProtocols,
		{MaxProtocolSize: 4}: KindProtocols,
		{MaxAddresses: 1}:    KindAddressCount,
		{MaxUserAgent: 4}:    KindUserAgentSize,
	} {
		if _, err := DecodeMessage(EncodeMessage(c), us.Public(), rules, time.Now()); kindOf(err) != want {
			t.Errorf("%+v: %v", rules, err)
		}
	}
	more := signed(t, func(c *Claim) { c.UserAgent = strings.Repeat("u", 60) })
	if _, err := DecodeMessage(EncodeMessage(more), us.Public(), Rules{MaxUserAgent: 60}, time.Now()); err != nil {
		t.Errorf("a higher limit: %v", err)
	}
}

const onionText = "/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234"

// TestTamperedClaim flips every bit of a claim. What the signature covers is
// then refused; of the rest (protocols, user agent) it must still be a claim or an error, never a panic.
func TestTamperedClaim(t *testing.T) {
	c := signed(t, func(c *Claim) { c.Protocols, c.UserAgent = nil, "" })
	message := EncodeMessage(c)
	for i := range message {
		for bit := range 8 {
			bad := bytes.Clone(message)
			bad[i] ^= 1 << bit
			if got, err := DecodeMessage(bad, us.Public(), Rules{}, time.Now()); err == nil {
				t.Errorf("byte %d, bit %d flipped: accepted as %+v", i, bit, got)
			}
		}
	}
}

func TestTruncated(t *testing.T) {
	frame, err := EncodeFrame(signed(t, nil))
	if err != nil {
		t.Fatal(err)
	}
	for n := range frame {
		_, err := Exchange(t.Context(), saying(frame[:n]), signed(t, nil), us.Public(), Rules{})
		if kindOf(err) != KindClosed {
			t.Fatalf("ended after %d bytes: %v", n, err)
		}
	}
}

// TestSilence: ten seconds, and who dialed does not ban for it.
func TestSilence(t *testing.T) {
	for _, outbound := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			a, b := net.Pipe()
			defer a.Close()
			defer b.Close()
			c := &half{Conn: a, in: bytes.NewReader([]byte{0, 9}), silent: true}
			start := time.Now()
			_, err := Exchange(t.Context(), c, signed(t, nil), us.Public(), Rules{Outbound: outbound})
			if kindOf(err) != KindTimeout || time.Since(start) != ExchangeTimeout {
				t.Fatalf("after %s: %v", time.Since(start), err)
			}
			if ban := err.(*Error).BanFor(); (ban == 0) != outbound || !err.(*Error).Timeout() {
				t.Errorf("outbound %v: ban %s", outbound, ban)
			}
		})
	}
}

// TestCancelled: it is not the peer's fault when our own time for the whole handshake ends, or we lose interest.
func TestCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithCancel(t.Context())
		time.AfterFunc(time.Second, cancel)
		_, err := Exchange(ctx, &half{Conn: a, in: bytes.NewReader(nil), silent: true}, signed(t, nil), us.Public(), Rules{})
		if !errors.Is(err, context.Canceled) || kindOf(err) != KindIO || err.(*Error).BanFor() != 0 {
			t.Errorf("got %v", err)
		}
	})

	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := Exchange(ctx, &half{Conn: a, in: bytes.NewReader(nil), silent: true}, signed(t, nil), us.Public(), Rules{})
		if !errors.Is(err, context.DeadlineExceeded) || err.(*Error).BanFor() != 0 {
			t.Errorf("got %v", err)
		}
	})
}

func TestOursRefused(t *testing.T) {
	for name, c := range map[string]*Claim{
		"none":     nil,
		"unsigned": {Key: us.Public()},
		"too big":  signed(t, func(c *Claim) { c.UserAgent = strings.Repeat("u", 1024) }),
	} {
		if _, err := Exchange(t.Context(), saying(nil), c, us.Public(), Rules{}); kindOf(err) != KindOurs || err.(*Error).BanFor() != 0 {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSeedExchange(t *testing.T) {
	v := load[seedVectors](t, "seed.json").Session
	// what A and B said after the 22 bytes of A's negotiation
	a, b := unhex(t, v.Conversation[0].Hex)[22:], unhex(t, v.Conversation[1].Hex)
	rules := Rules{AllowTestAddresses: true}
	claimA, err := decodeSeed(a[4:], key(t, v.A), rules)
	if err != nil {
		t.Fatal(err)
	}
	s := saying(append(bytes.Clone(b), "more"...))
	claimB, err := ExchangeSubstream(t.Context(), s, claimA, key(t, v.B), rules)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(s.out.Bytes(), a) || !s.closed {
		t.Errorf("sent %x (half closed: %v), the recorded peer sent %x", s.out.Bytes(), s.closed, a)
	}
	if claimB.UserAgent != "bob/1" || !claimB.Supports("/tari/messaging/0.1.0") {
		t.Errorf("got %+v", claimB)
	}
	for name, c := range map[string]struct {
		in    []byte
		rules Rules
		kind  Kind
	}{
		"loopback address": {b, Rules{}, KindNoAddress},
		"another's id":     {a, rules, KindNodeID},
		"cut":              {b[:len(b)-1], rules, KindClosed},
		"huge":             {[]byte{0xff, 0xff, 0xff, 0xff}, rules, KindTooLarge},
		"no protobuf":      {[]byte{0, 0, 0, 1, 0xff}, rules, KindDecode},
	} {
		_, err := ExchangeSubstream(t.Context(), saying(c.in), claimA, key(t, v.B), c.rules)
		if kindOf(err) != c.kind {
			t.Errorf("%s: %v", name, err)
		} else if err.(*Error).BanFor() != 0 {
			t.Errorf("%s: banned", name)
		}
	}
}
