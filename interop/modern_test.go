//go:build interop

package interop

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-multistream"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// TestModern: {we dial, it dials} × {IPv4, IPv6} × sizes, both ways, byte for
// byte; then a long series in order, and what each side keeps of the other.
func TestModern(t *testing.T) {
	modern.binary(t)
	for _, ip := range []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0"} {
		for _, weDial := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s/%s", ip[1:4], dialer(weDial)), func(t *testing.T) {
				rust := startRust(t, modern, "--listen", ip)
				us := startOurs(t, tari.Config{Listen: []ma.Multiaddr{ma.StringCast(ip)}})
				us.host.SetPublic(append(us.host.Network().ListenAddresses(), elsewhere))
				connect(t, us, rust, weDial)

				for i, size := range []int{1, 1024, 65_519, 65_520, 1 << 20, 8 << 20} {
					toRust(t, us, rust, size, uint64(i))
					fromRust(t, us, rust, size, uint64(i))
				}
				seriesToRust(t, us, rust, 10_000, 1024)
				seriesFromRust(t, us, rust, 10_000, 1024)
				duplexByUs(t, us, rust, 1<<20, 3)
				duplexByRust(t, us, rust, 1<<20, 4)
				checkStored(t, us, rust)
			})
		}
	}
}

// elsewhere is an address of ours that only our claim knows: what Rust was told
// to dial, it keeps as configuration, without the claim.
var elsewhere = ma.StringCast("/dns4/interop.example.com/tcp/18189")

func dialer(weDial bool) string {
	if weDial {
		return "we dial"
	}
	return "it dials"
}

// seriesToRust sends n messages and checks that all arrive in order.
func seriesToRust(t *testing.T, us *ourNode, rust *rustPeer, n, size int) {
	t.Helper()
	const series = 77
	at := rust.at()
	ctx := patient(t)
	for i := range n {
		if err := us.msgs.Send(ctx, peerID(t, rust), patternMessage(series, i, size)); err != nil {
			t.Fatalf("message %d: %v", i, err)
		}
	}
	for i := range n {
		var got event
		got, at = rust.next(at, fmt.Sprintf("our message %d of %d", i, n), isMessage)
		if want := sha256Hex(patternMessage(series, i, size)); got.SHA256 != want {
			t.Fatalf("message %d is %s, want %s", i, got.line, want)
		}
	}
}

// seriesFromRust is the other direction.
func seriesFromRust(t *testing.T, us *ourNode, rust *rustPeer, n, size int) {
	t.Helper()
	const series = 78
	from := us.inbox.len()
	reply := rust.start("send", map[string]any{"node_id": us.nodeID(), "size": size, "count": n, "seed": series})
	for i, got := range us.inbox.waitFor(t, "Rust's series", from, n) {
		if want := sha256Hex(patternMessage(series, i, size)); got.sha256 != want {
			t.Fatalf("message %d of %d bytes is %s, want %s", i, got.size, got.sha256, want)
		}
	}
	if r := reply(); !r.OK || r.Sent != n {
		t.Fatalf("Rust sent %d of %d: %+v", r.Sent, n, r.Failed)
	}
}

// checkStored: identities are kept on both sides, with a valid signature.
func checkStored(t *testing.T, us *ourNode, rust *rustPeer) {
	t.Helper()
	s := rust.stored(us.key())
	switch {
	case !s.Found || s.Banned:
		t.Fatalf("Rust keeps %+v", s)
	case !s.SignatureValid:
		t.Fatal("Rust calls the signature of our claim invalid")
	case !slices.Equal(s.ClaimAddresses, []string{us.address(), elsewhere.String()}):
		t.Fatalf("Rust keeps the claim %v; we are at %s", s.ClaimAddresses, us.address())
	case !slices.Contains(s.Addresses, us.address()), !slices.Contains(s.Addresses, elsewhere.String()):
		t.Fatalf("Rust keeps the addresses %v; we are at %s", s.Addresses, us.address())
	case s.Features != 3 || s.ClaimFeatures != 3:
		t.Fatalf("Rust keeps features %d, claimed %d", s.Features, s.ClaimFeatures)
	case !slices.Contains(s.Protocols, string(tariproto.Messaging)), !slices.Contains(s.Protocols, string(duplexID)):
		t.Fatalf("Rust keeps protocols %v", s.Protocols)
	}

	claim, ok := us.host.Claim(peerID(t, rust))
	if !ok {
		t.Fatal("we keep no claim")
	}
	if err := claim.VerifySignature(time.Now()); err != nil {
		t.Fatalf("Rust's claim: %v", err)
	}
	if claim.UserAgent != rust.ready.UserAgent || len(claim.Addresses) != 1 || claim.Addresses[0].String() != rust.ready.Address {
		t.Fatalf("we keep %q %v, Rust is %q at %s", claim.UserAgent, claim.Addresses, rust.ready.UserAgent, rust.ready.Address)
	}
	if addrs := us.host.Peerstore().Addrs(claim.Key.PeerID()); !slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool {
		return a.String() == rust.ready.Address
	}) {
		t.Fatalf("our peerstore has %v", addrs)
	}
}

// TestModernWrongNetwork: mainnet and nextnet do not talk, whoever dials, and
// each side says why.
func TestModernWrongNetwork(t *testing.T) {
	rust := startRust(t, modern, "--wire-byte", "82")
	us := startOurs(t, tari.Config{})

	err := us.host.Connect(patient(t), addrInfo(t, rust))
	checkNoAnswer(t, err)

	reply := rust.try("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}})
	if reply.OK {
		t.Fatal("the Rust peer connected to another network")
	}
	checkUnknownByte(t, us, nextnetByte)
	notBanned(t, us, rust)
}

// checkNoAnswer: what a wrong pairing looks like to who dialed.
func checkNoAnswer(t *testing.T, err error) {
	t.Helper()
	var stage *dialect.StageError
	if !errors.As(err, &stage) || stage.Stage != dialect.StageNoise {
		t.Fatalf("the error does not name the stage: %v", err)
	}
	if !strings.Contains(err.Error(), "closed before Noise answered: other network or dialect, or refused") {
		t.Fatalf("the error does not say what it may be: %v", err)
	}
}

// checkUnknownByte: what it looks like to who was dialed.
func checkUnknownByte(t *testing.T, us *ourNode, want byte) {
	t.Helper()
	for _, f := range us.failed.waitFor(t, "the inbound failure", 0, 1) {
		var unknown *wiremode.UnknownError
		if f.dir == network.DirInbound && errors.As(f.err, &unknown) && unknown.Byte == want {
			return
		}
	}
	waitUntil(t, fmt.Sprintf("an inbound failure that names the byte %#02x", want), func() bool {
		for _, f := range us.failed.all() {
			var unknown *wiremode.UnknownError
			if f.dir == network.DirInbound && errors.As(f.err, &unknown) && unknown.Byte == want {
				return true
			}
		}
		return false
	})
}

// TestModernWrongKey: whoever answers with another key than the one dialed is
// let go, without a ban for anyone.
func TestModernWrongKey(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	other := newKey(t).Public()

	info := addrInfo(t, rust)
	info.ID = other.PeerID()
	err := us.host.Connect(patient(t), info)
	var mismatch *dialect.KeyMismatchError
	if !errors.As(err, &mismatch) || mismatch.Expected != other || mismatch.Got.String() != rust.ready.PublicKey {
		t.Fatalf("we dialed another key: %v", err)
	}

	reply := rust.try("dial", map[string]any{"public_key": other.String(), "addresses": []string{us.address()}})
	if reply.OK {
		t.Fatal("the Rust peer connected to another key")
	}
	connect(t, us, rust, true)
	notBanned(t, us, rust)
}

// TestModernBadClaimsOfRust: the Rust node says whatever its flags tell it, and
// we refuse it as it would refuse us.
func TestModernBadClaimsOfRust(t *testing.T) {
	modern.binary(t)
	for _, c := range []struct {
		name string
		args []string
		ban  time.Duration
	}{
		{"a user agent of 51 bytes", []string{"--user-agent", strings.Repeat("a", 51)}, banLong},
		{"a user agent that does not print", []string{"--user-agent", "a\x01b"}, 0},
		{"an address of the wrong shape", []string{"--public-address", "/ip4/1.2.3.4/udp/1"}, banLong},
	} {
		t.Run(c.name, func(t *testing.T) {
			rust := startRust(t, modern, c.args...)
			us := startOurs(t, tari.Config{})
			for i, dial := range []func() bool{
				func() bool { return us.host.Connect(patient(t), addrInfo(t, rust)) == nil },
				func() bool {
					return rust.try("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}}).OK
				},
			} {
				// Rust may think for a moment that it is connected, and answers a
				// dial with that connection.
				waitUntil(t, "our refusal", func() bool { dial(); return us.failed.len() > i })
				f := us.failed.all()[i]
				var stage *dialect.StageError
				if !errors.As(f.err, &stage) || stage.Stage != dialect.StageIdentity {
					t.Fatalf("refused with: %v", f.err)
				}
				if c.ban == 0 {
					if got := us.offences.all(); len(got) > 0 {
						t.Fatalf("we ban for %v: %v", got[0].ban, got[0].err)
					}
					continue
				}
				o := us.offences.waitFor(t, "the offence", i, 1)[0]
				if o.ban != c.ban || o.from != peerID(t, rust) {
					t.Fatalf("we ban %s for %v, want %v: %v", o.from, o.ban, c.ban, o.err)
				}
			}
		})
	}
}

// TestModernUnsupportedProtocol: refused in both directions, and nothing else
// happens.
func TestModernUnsupportedProtocol(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)

	s, err := us.host.NewStream(patient(t), peerID(t, rust), "no/such/protocol")
	if err == nil {
		_ = s.Reset()
		t.Fatal("Rust speaks a protocol that does not exist")
	}
	var unsupported multistream.ErrNotSupported[protocol.ID]
	if !errors.As(err, &unsupported) {
		t.Fatalf("our error: %v", err)
	}
	if reply := rust.try("open", map[string]any{"node_id": us.nodeID(), "protocol": "no/such/protocol"}); reply.OK {
		t.Fatal("we speak a protocol that does not exist")
	}
	toRust(t, us, rust, 100, 1)
	fromRust(t, us, rust, 100, 1)
	notBanned(t, us, rust)
}

// TestModernTooLarge: 8 MiB and one byte leave neither side, and the sender is
// told.
func TestModernTooLarge(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)

	err := us.msgs.Send(patient(t), peerID(t, rust), make([]byte, tariproto.MaxFrame+1))
	if messagingproto.ReasonOf(err) != messagingproto.TooLarge {
		t.Fatalf("our Send: %v", err)
	}
	reply := rust.try("send", map[string]any{"node_id": us.nodeID(), "size": tariproto.MaxFrame + 1})
	if reply.OK || len(reply.Failed) != 1 || reply.Failed[0].Reason != "MessageTooLarge" {
		t.Fatalf("Rust's send: %s", reply.line)
	}
	toRust(t, us, rust, 100, 1)
	fromRust(t, us, rust, 100, 1)
	notBanned(t, us, rust)
}

// TestModernRestarts: each side comes back with its key and port, and messages
// go on both ways.
func TestModernRestarts(t *testing.T) { restarts(t, modern, tari.Config{}) }

func restarts(t *testing.T, e era, cfg tari.Config) {
	data, secret := t.TempDir(), newKey(t)
	args := []string{"--data-dir", data, "--secret-key", fmt.Sprintf("%x", secret.Bytes())}
	rust := startRust(t, e, args...)
	us := startOurs(t, cfg)
	connect(t, us, rust, true)
	toRust(t, us, rust, 1000, 1)
	fromRust(t, us, rust, 1000, 1)

	// The Rust peer crashes and comes back.
	rust.kill()
	waitUntil(t, "we notice", func() bool { return us.host.Network().Connectedness(peerID(t, rust)) != network.Connected })
	rust = startRust(t, e, append(args, "--listen", rust.ready.Address)...)
	us.host.Peerstore().AddAddrs(peerID(t, rust), addrInfo(t, rust).Addrs, time.Hour)
	toRust(t, us, rust, 1000, 2)
	fromRustAgain(t, us, rust)

	// We go and come back; Rust dials.
	from := rust.at()
	us.restart()
	rust.waitFrom(from, "that we left", func(ev event) bool { return ev.Event == "disconnected" && ev.NodeID == us.nodeID() })
	connect(t, us, rust, false)
	fromRustAgain(t, us, rust)
	toRust(t, us, rust, 1000, 3)
	notBanned(t, us, rust)
}

// fromRustAgain is a message of Rust's after a reconnect. The crate of 2020
// loses its first one then, even to its own kind; its second must arrive.
func fromRustAgain(t *testing.T, us *ourNode, rust *rustPeer) {
	t.Helper()
	if rust.era == seed {
		rust.try("send", map[string]any{"node_id": us.nodeID(), "size": 1000, "seed": 8})
		want := sha256Hex(patternMessage(9, 0, 1000))
		rust.do("send", map[string]any{"node_id": us.nodeID(), "size": 1000, "seed": 9})
		waitUntil(t, "Rust's second message after a reconnect", func() bool {
			return slices.ContainsFunc(us.inbox.all(), func(m message) bool { return m.sha256 == want })
		})
		return
	}
	fromRust(t, us, rust, 1000, 9)
}
