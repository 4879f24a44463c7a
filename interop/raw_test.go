//go:build interop

package interop

import (
	"context"
	"encoding/binary"
	"io"
	"net"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// What a hostile peer needs: the stages of the modern dialect one by one, with
// nothing checked. The facts stand here once more, apart from package dialect.
var modernNoise = noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}

const (
	mainnetByte = 0x00
	nextnetByte = 0x52
	seedByte    = 0x06
)

// newKey makes a throw-away identity.
func newKey(t testing.TB) tarikey.SecretKey {
	t.Helper()
	sk, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return sk
}

// tcpOf is host:port of a multiaddr.
func tcpOf(t testing.TB, address string) string {
	t.Helper()
	_, hostport, err := manet.DialArgs(ma.StringCast(address))
	if err != nil {
		t.Fatal(err)
	}
	return hostport
}

// dialTCP connects to a Rust peer and bounds everything done on the connection.
func dialTCP(t testing.TB, p *rustPeer) net.Conn {
	t.Helper()
	c, err := net.DialTimeout("tcp", tcpOf(t, p.ready.Address), patience)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(patience))
	return c
}

// rawClient goes as far as a finished handshake with a Rust peer.
func rawClient(t testing.TB, p *rustPeer, params noise.Params, wire byte, sk tarikey.SecretKey) *noise.Conn {
	t.Helper()
	c := dialTCP(t, p)
	nc, err := noise.Client(t.Context(), c, noise.Config{Params: params, Static: sk, Preamble: []byte{wire}, StepTimeout: patience})
	if err != nil {
		t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	return nc
}

// rawServer listens on loopback, lets a Rust peer come as far as a finished
// handshake, and gives the connection to serve.
func rawServer(t testing.TB, params noise.Params, sk tarikey.SecretKey, serve func(*noise.Conn)) (address string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	t.Cleanup(func() {
		_ = l.Close()
		<-done
	})
	go func() {
		defer close(done)
		c, err := l.Accept()
		if err != nil {
			return
		}
		defer func() { _ = c.Close() }()
		_ = c.SetDeadline(time.Now().Add(patience))
		if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
			return
		}
		nc, err := noise.Server(context.Background(), c, noise.Config{Params: params, Static: sk, StepTimeout: patience})
		if err != nil {
			return
		}
		_ = c.SetDeadline(time.Now().Add(patience))
		serve(nc)
	}()
	addr, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return addr.String()
}

// goodClaim is a claim that no peer has a reason to refuse.
func goodClaim() *identityproto.Claim {
	return &identityproto.Claim{
		Addresses: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/18189")},
		Features:  identityproto.FeatureNode,
		UserAgent: "tari-libp2p/interop",
	}
}

// encode signs the claim now and writes it as a message, unchecked.
func encode(t testing.TB, c *identityproto.Claim, sk tarikey.SecretKey, at time.Time) []byte {
	t.Helper()
	if err := c.Sign(sk, at); err != nil {
		t.Fatal(err)
	}
	return identityproto.EncodeMessage(c)
}

// frame puts the modern header before a message.
func frame(version byte, message []byte) []byte {
	b := []byte{version, 0, 0}
	binary.LittleEndian.PutUint16(b[1:], uint16(len(message)))
	return append(b, message...)
}

// readFrame reads the peer's identity frame and returns its message.
func readFrame(r io.Reader) ([]byte, error) {
	var header [3]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return nil, err
	}
	message := make([]byte, binary.LittleEndian.Uint16(header[1:]))
	_, err := io.ReadFull(r, message)
	return message, err
}

// stored asks the Rust peer what it keeps of a key.
func (p *rustPeer) stored(key tarikey.PublicKey) storedPeer {
	p.t.Helper()
	return p.do("peer", map[string]any{"public_key": key.String()}).storedPeer
}

// waitBanned asks until the key is banned.
func (p *rustPeer) waitBanned(key tarikey.PublicKey) storedPeer {
	p.t.Helper()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(patience); time.Now().Before(end); <-tick.C {
		if s := p.stored(key); s.Banned {
			return s
		}
	}
	p.t.Fatalf("the %s peer did not ban %s within %v\n%s", p.era.name, key, patience, p.lastEvents(20))
	return storedPeer{}
}

// checkBan holds a stored ban against the length it should have, less what a
// slow machine may have taken since.
func checkBan(t testing.TB, s storedPeer, want time.Duration) {
	t.Helper()
	got := time.Duration(s.BannedForSecs) * time.Second
	if !s.Banned || got > want+time.Second || got < want-2*patience || got <= 0 {
		t.Fatalf("banned=%v for %v (%s), want %v", s.Banned, got, s.BanReason, want)
	}
}
