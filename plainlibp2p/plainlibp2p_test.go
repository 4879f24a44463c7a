package plainlibp2p_test

import (
	"context"
	"errors"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/control"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/multiformats/go-multistream"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

var _ tari.Libp2p = (*plainlibp2p.Upgrader)(nil)

const whoami = protocol.ID("/test/whoami/1")

// patience is far more than anything here takes, on the slowest of machines.
const patience = 60 * time.Second

func newUpgrader(t *testing.T) *plainlibp2p.Upgrader {
	t.Helper()
	u, err := plainlibp2p.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// start runs a host that tells whoever asks as whom it sees him.
func start(t *testing.T, cfg tari.Config) *tari.Host {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}
	}
	cfg.AllowTestAddresses = true
	h, err := tari.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := h.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	h.SetStreamHandler(whoami, func(s network.Stream) {
		_, _ = io.WriteString(s, s.Conn().RemotePeer().String())
		s.Close()
	})
	return h
}

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// ask opens a stream and returns who the other says we are.
func ask(t *testing.T, from *tari.Host, to peer.ID) string {
	t.Helper()
	s, err := from.NewStream(testContext(t), to, "/test/nobody-has-this", whoami)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(patience))
	answer, err := io.ReadAll(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(answer)
}

// Two hosts speak plain libp2p, and on the same ports both speak Tari with a third.
func TestBothKindsOnOnePort(t *testing.T) {
	for _, addr := range []string{"/ip4/127.0.0.1/tcp/0", "/memory/0"} {
		t.Run(addr[1:4], func(t *testing.T) {
			listen := []ma.Multiaddr{ma.StringCast(addr)}
			plainA, plainB := newUpgrader(t), newUpgrader(t)
			a := start(t, tari.Config{Listen: listen, Limits: tari.Limits{Libp2p: plainA}})
			b := start(t, tari.Config{Listen: listen, Limits: tari.Limits{Libp2p: plainB}})
			tarry := start(t, tari.Config{Listen: listen})
			for _, h := range []*tari.Host{a, tarry} {
				if err := h.Connect(testContext(t), peer.AddrInfo{ID: b.ID(), Addrs: b.Addrs()}); err != nil {
					t.Fatal(err)
				}
			}
			if err := a.Connect(testContext(t), peer.AddrInfo{ID: plainB.ID(), Addrs: b.Addrs()}); err != nil {
				t.Fatal(err)
			}

			for _, c := range []struct {
				from   *tari.Host
				to, as peer.ID
			}{
				{a, plainB.ID(), plainA.ID()},
				{b, plainA.ID(), plainB.ID()},
				{a, b.ID(), a.ID()},
				{b, a.ID(), b.ID()},
				{tarry, b.ID(), tarry.ID()},
			} {
				if got := ask(t, c.from, c.to); got != c.as.String() {
					t.Errorf("%v sees %s, want %v", c.to, got, c.as)
				}
				state := c.from.Network().ConnsToPeer(c.to)[0].ConnState()
				if plain := c.to == plainA.ID() || c.to == plainB.ID(); plain == (state.Security == tari.SecurityID) {
					t.Errorf("the connection with %v is secured by %s", c.to, state.Security)
				}
			}
			if _, ok := a.Claim(plainB.ID()); ok {
				t.Error("a peer of plain libp2p has a claim")
			}
			if _, err := a.NewStream(testContext(t), plainB.ID(), "/test/nobody-has-this"); !errors.Is(err, multistream.ErrNotSupported[protocol.ID]{}) {
				t.Errorf("no such protocol: %v", err)
			}
		})
	}
}

// Without Limits.Libp2p nothing of the kind comes in, or goes out.
func TestOff(t *testing.T) {
	failed := make(chan error, 1)
	off := start(t, tari.Config{Hooks: tari.Hooks{
		OnFailed: func(_ peer.ID, dir network.Direction, _ ma.Multiaddr, err error) {
			if dir == network.DirInbound {
				failed <- err
			}
		},
	}})
	plain := newUpgrader(t)
	on := start(t, tari.Config{Limits: tari.Limits{Libp2p: plain}})

	if err := on.Connect(testContext(t), peer.AddrInfo{ID: newUpgrader(t).ID(), Addrs: off.Addrs()}); err == nil {
		t.Error("a host that was not told to speaks plain libp2p")
	}
	var unknown *wiremode.UnknownError
	if err := <-failed; !errors.As(err, &unknown) || unknown.Byte != 0x13 {
		t.Errorf("refused because: %v", err)
	}
	if err := off.Connect(testContext(t), peer.AddrInfo{ID: plain.ID(), Addrs: on.Addrs()}); err == nil || !strings.Contains(err.Error(), "not the id of a Tari peer") {
		t.Errorf("dialed: %v", err)
	}
}

// Who uses the library and does not import the package links nothing of it.
func TestTheLibraryDoesNotLinkIt(t *testing.T) {
	out, err := exec.CommandContext(testContext(t), "go", "list", "-deps", "../node").Output()
	if err != nil {
		t.Fatal(err)
	}
	linked := strings.Fields(string(out))
	if !slices.Contains(linked, "github.com/libp2p/go-libp2p/p2p/net/swarm") {
		t.Fatal("go list does not say what is linked")
	}
	for _, p := range []string{"github.com/tari-libp2p/tari-libp2p/plainlibp2p", "github.com/libp2p/go-libp2p/p2p/security/noise", "github.com/libp2p/go-libp2p/p2p/net/upgrader"} {
		if slices.Contains(linked, p) {
			t.Errorf("links %s", p)
		}
	}
}

func TestAPeerWithAnotherKey(t *testing.T) {
	a := start(t, tari.Config{Limits: tari.Limits{Libp2p: newUpgrader(t)}})
	b := start(t, tari.Config{Limits: tari.Limits{Libp2p: newUpgrader(t)}})
	err := a.Connect(testContext(t), peer.AddrInfo{ID: newUpgrader(t).ID(), Addrs: b.Addrs()})
	var mismatch sec.ErrPeerIDMismatch
	if !errors.As(err, &mismatch) {
		t.Errorf("got %v", err)
	}
}

func TestToItself(t *testing.T) {
	plain := newUpgrader(t)
	a := start(t, tari.Config{Limits: tari.Limits{Libp2p: plain}})
	if err := a.Connect(testContext(t), peer.AddrInfo{ID: plain.ID(), Addrs: a.Addrs()}); err == nil || !strings.Contains(err.Error(), "dial to self") {
		t.Errorf("got %v", err)
	}
}

// Each connection gives its place back: with room for one, a second comes in after the first has gone.
func TestPlacesComeBack(t *testing.T) {
	plain := newUpgrader(t)
	b := start(t, tari.Config{Limits: tari.Limits{Libp2p: plain, Inbound: 1}})
	for range 3 {
		a := start(t, tari.Config{Limits: tari.Limits{Libp2p: newUpgrader(t)}})
		to := peer.AddrInfo{ID: plain.ID(), Addrs: b.Addrs()}
		for end := time.Now().Add(patience); ; time.Sleep(5 * time.Millisecond) { // the place comes back when b has noticed
			err := a.Connect(testContext(t), to)
			if err == nil {
				if _, err = a.NewStream(testContext(t), plain.ID(), whoami); err == nil {
					break
				}
			}
			if time.Now().After(end) {
				t.Fatal(err)
			}
		}
		a.Close()
	}
}

// gater refuses whoever has proven his key.
type gater struct{}

func (gater) InterceptPeerDial(peer.ID) bool               { return true }
func (gater) InterceptAddrDial(peer.ID, ma.Multiaddr) bool { return true }
func (gater) InterceptAccept(network.ConnMultiaddrs) bool  { return true }
func (gater) InterceptSecured(dir network.Direction, _ peer.ID, _ network.ConnMultiaddrs) bool {
	return dir == network.DirOutbound
}
func (gater) InterceptUpgraded(network.Conn) (bool, control.DisconnectReason) { return true, 0 }

// Who is banned, and who shows a Tari key without speaking Tari, gets no connection.
func TestRefused(t *testing.T) {
	failed := make(chan error, 1)
	cfg := tari.Config{Hooks: tari.Hooks{OnFailed: func(_ peer.ID, _ network.Direction, _ ma.Multiaddr, err error) { failed <- err }}}
	cfg.Limits.Libp2p = newUpgrader(t)
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}

	t.Run("Tari key", func(t *testing.T) {
		b := start(t, cfg)
		muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
		security, err := noise.New(noise.ID, key.Libp2p(), muxers)
		if err != nil {
			t.Fatal(err)
		}
		stock, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := manet.Dial(b.Addrs()[0])
		if err != nil {
			t.Fatal(err)
		}
		c, err := stock.Upgrade(testContext(t), nil, raw, network.DirOutbound, cfg.Limits.Libp2p.(*plainlibp2p.Upgrader).ID(), &network.NullScope{})
		if err == nil {
			defer c.Close()
		}
		if err := <-failed; !strings.Contains(err.Error(), "has to speak Tari") {
			t.Errorf("refused because: %v", err)
		}
		if n := b.Network().Connectedness(key.Public().PeerID()); n == network.Connected {
			t.Error("connected")
		}
	})
	t.Run("gater", func(t *testing.T) {
		cfg := cfg
		cfg.Gater = gater{}
		b := start(t, cfg)
		a := start(t, tari.Config{Limits: tari.Limits{Libp2p: newUpgrader(t)}})
		_ = a.Connect(testContext(t), peer.AddrInfo{ID: cfg.Limits.Libp2p.(*plainlibp2p.Upgrader).ID(), Addrs: b.Addrs()})
		if err := <-failed; !errors.Is(err, tari.ErrRefused) {
			t.Errorf("refused because: %v", err)
		}
	})
	t.Run("a Tari key of ours", func(t *testing.T) {
		if _, err := plainlibp2p.New(key.Libp2p()); err == nil {
			t.Error("taken")
		}
	})
}

// Strangers who break off, or send rubbish, are given up, and do not hold up Close.
func TestStrangers(t *testing.T) {
	failed := make(chan error, 1)
	h := start(t, tari.Config{
		Limits: tari.Limits{Libp2p: newUpgrader(t)},
		Hooks:  tari.Hooks{OnFailed: func(_ peer.ID, _ network.Direction, _ ma.Multiaddr, err error) { failed <- err }},
	})
	hello := "\x13/multistream/1.0.0\n"
	for name, says := range map[string]string{
		"first byte alone": "\x13",
		"half":             hello[:7],
		"another version":  "\x13/multistream/9.0.0\n",
		"no security":      hello + "\x0c/plaintext/\n",
		"bad length":       hello + "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff",
		"rubbish in Noise": hello + "\x07/noise\n" + strings.Repeat("\xff", 1<<10),
	} {
		t.Run(name, func(t *testing.T) {
			c, err := manet.Dial(h.Addrs()[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, says); err != nil {
				t.Fatal(err)
			}
			_ = c.(interface{ CloseWrite() error }).CloseWrite()
			if err := <-failed; err == nil {
				t.Error("no error")
			}
		})
	}
	silent, err := manet.Dial(h.Addrs()[0])
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close()
	if _, err := io.WriteString(silent, hello); err != nil {
		t.Fatal(err)
	}
	if _, err := io.ReadFull(silent, make([]byte, len(hello))); err != nil { // the host is in the midst of it now
		t.Fatal(err)
	}
	h.Close()
	if err := <-failed; err == nil {
		t.Error("no error")
	}
}

// Who says no more than that he speaks libp2p has as long as a Tari peer.
func TestSilence(t *testing.T) {
	for name, says := range map[string]string{"first byte alone": "\x13", "header": "\x13/multistream/1.0.0\n", "security": "\x13/multistream/1.0.0\n\x07/noise\n"} {
		synctest.Test(t, func(t *testing.T) {
			h := start(t, tari.Config{
				Listen: []ma.Multiaddr{ma.StringCast("/memory/0")},
				Limits: tari.Limits{Libp2p: newUpgrader(t)},
			})
			c, err := memnet.Dial(context.Background(), h.Addrs()[0])
			if err != nil {
				t.Fatal(err)
			}
			defer c.Close()
			if _, err := io.WriteString(c, says); err != nil {
				t.Fatal(err)
			}
			began := time.Now()
			_, _ = io.Copy(io.Discard, c) // until the host closes
			if took := time.Since(began); took != dialect.Budget {
				t.Errorf("%s: closed after %v", name, took)
			}
		})
	}
}

func TestAWireByteThatIsTaken(t *testing.T) {
	mine := dialect.Network{Name: "mine", WireByte: 0x13}
	h, err := tari.New(tari.Config{Network: mine})
	if err != nil {
		t.Fatal(err)
	}
	h.Close()
	if _, err := tari.New(tari.Config{Network: mine, Limits: tari.Limits{Libp2p: newUpgrader(t)}}); err == nil {
		t.Error("one byte means two things")
	}
}
