//go:build interop

package interop

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// seedNet is a network of the crate of 2020; all of them share a wire byte.
func seedNet() tari.Config { return tari.Config{Network: dialect.Ridcully} }

// TestSeed: {we dial, it dials} × sizes, both ways, byte for byte; 50 in order;
// the custom protocol both ways; what each side keeps of the other.
func TestSeed(t *testing.T) {
	seed.binary(t)
	for _, weDial := range []bool{true, false} {
		t.Run(dialer(weDial), func(t *testing.T) {
			rust := startRust(t, seed)
			us := startOurs(t, seedNet())
			connect(t, us, rust, weDial)

			for i, size := range []int{0, 1, 1024, 65_519, 65_520, 1 << 20} {
				toRust(t, us, rust, size, uint64(i))
				fromRust(t, us, rust, size, uint64(i))
			}
			seriesToRust(t, us, rust, 50, 1024)
			seriesFromRust(t, us, rust, 50, 1024)
			duplexByUs(t, us, rust, 1<<20, 3)
			duplexByRust(t, us, rust, 1<<20, 4)
			checkStoredSeed(t, us, rust)
		})
	}
}

// checkStoredSeed: node id and addresses on both sides; nothing is signed.
func checkStoredSeed(t *testing.T, us *ourNode, rust *rustPeer) {
	t.Helper()
	s := rust.do("peer", map[string]any{"public_key": us.key().String()})
	if !s.Found || s.Banned || s.NodeID != us.nodeID() || !slices.Equal(s.storedPeer.Addresses, []string{us.address()}) {
		t.Fatalf("Rust keeps %s", s.line)
	}
	if s.storedPeer.Features != 3 || !slices.Contains(s.Protocols, string(tariproto.MessagingSeed)) || !slices.Contains(s.Protocols, string(duplexID)) {
		t.Fatalf("Rust keeps %s", s.line)
	}
	claim, ok := us.host.Claim(peerID(t, rust))
	if !ok {
		t.Fatal("we keep no claim")
	}
	if claim.Key.NodeID().String() != rust.ready.NodeID || claim.UserAgent != rust.ready.UserAgent ||
		len(claim.Addresses) != 1 || claim.Addresses[0].String() != rust.ready.Address {
		t.Fatalf("we keep %s %q %v, Rust is %+v", claim.Key.NodeID(), claim.UserAgent, claim.Addresses, rust.ready)
	}
}

// TestSeedBothWaysAtOnce: 64 MiB each way on one stream at the same time. The
// windows of that era are absolute and renewed only at zero; no side may wait
// for the other for ever.
func TestSeedBothWaysAtOnce(t *testing.T) {
	seed.binary(t)
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	connect(t, us, rust, true)
	duplexByUs(t, us, rust, 64<<20, 1)
	duplexByRust(t, us, rust, 64<<20, 2)
}

// TestSeedRestarts: each side comes back, and messages go on both ways.
func TestSeedRestarts(t *testing.T) { restarts(t, seed, seedNet()) }

// TestOneListener: both eras come to one port of ours, at the same time, and
// each exchanges messages with it.
func TestOneListener(t *testing.T) {
	then, now := startRust(t, seed), startRust(t, modern)
	us := startOurs(t, tari.Config{Network: dialect.Mainnet, Accept: []dialect.Network{dialect.Ridcully}})
	for _, rust := range []*rustPeer{then, now} {
		connect(t, us, rust, false)
	}
	for i, rust := range []*rustPeer{then, now, then, now} {
		toRust(t, us, rust, 10_000, uint64(i))
		fromRust(t, us, rust, 10_000, uint64(i))
	}
	notBanned(t, us, now)
}

// TestWrongPairings: a host of one era and a peer of the other fail cleanly,
// whoever dials; who was dialed names the byte, who dialed says what it may be.
func TestWrongPairings(t *testing.T) {
	for _, c := range []struct {
		rust era
		us   tari.Config
		byte byte
	}{
		{modern, seedNet(), mainnetByte},
		{seed, tari.Config{}, seedByte},
	} {
		t.Run(fmt.Sprintf("%s Rust, we the other", c.rust.name), func(t *testing.T) {
			rust := startRust(t, c.rust)
			us := startOurs(t, c.us)
			checkNoAnswer(t, us.host.Connect(patient(t), addrInfo(t, rust)))
			reply := rust.try("dial", map[string]any{"public_key": us.key().String(), "addresses": []string{us.address()}})
			if reply.OK {
				t.Fatal("the Rust peer connected")
			}
			checkUnknownByte(t, us, c.byte)
			notBanned(t, us, rust)

			// Both go on: a peer of the right era gets in.
			right := startOurs(t, tari.Config{Network: map[bool]dialect.Network{true: dialect.Mainnet, false: dialect.Ridcully}[c.rust == modern]})
			connect(t, right, rust, true)
		})
	}
}

// TestSeedNoUsableAddress: without test addresses the crate of 2020 refuses a
// claim that has only loopback in it; an address of ours that is reachable
// from everywhere makes it take us.
func TestSeedNoUsableAddress(t *testing.T) {
	seed.binary(t)
	rust := startRust(t, seed, "--allow-test-addresses", "false", "--public-address", "/ip4/1.2.3.4/tcp/18189")
	us := startOurs(t, seedNet())
	from := rust.at()
	_ = us.host.Connect(patient(t), addrInfo(t, rust)) // Rust may refuse after it answered
	rust.waitFrom(from, "the refusal", func(ev event) bool { return ev.Event == "inbound_failed" })

	waitUntil(t, "we hear of the refusal too", func() bool { return len(us.host.Network().ConnsToPeer(peerID(t, rust))) == 0 })
	us.host.SetPublic([]ma.Multiaddr{ma.StringCast("/ip4/1.2.3.5/tcp/18189")})
	connect(t, us, rust, true)
}

// TestSeedIdle: nine minutes without a message, over the eight after which both
// sides close an idle messaging stream, and messages go on both ways. (The crate
// then also ends a connection without streams; the next message dials.) It takes
// its time, so it runs only with TARI_LIBP2P_LONG=1.
func TestSeedIdle(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") == "" {
		t.Skip("nine real minutes: set TARI_LIBP2P_LONG=1")
	}
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	connect(t, us, rust, true)
	toRust(t, us, rust, 1000, 1)
	fromRust(t, us, rust, 1000, 1)

	time.Sleep(9 * time.Minute)

	toRust(t, us, rust, 1000, 2)
	fromRustAgain(t, us, rust)
	seriesToRust(t, us, rust, 10, 100)
	seriesFromRust(t, us, rust, 10, 100)
	t.Log("row: a link to 0.8.1 idle for nine minutes, past the end of its messaging stream | messages go both ways after it | passed")
}
