package tari

import (
	"crypto/rand"
	"errors"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

func TestTwoHosts(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		for _, addr := range []string{"/ip4/127.0.0.1/tcp/0", "/ip6/::1/tcp/0", "/memory/0"} {
			t.Run(addr[1:4], func(t *testing.T) {
				listen := []ma.Multiaddr{ma.StringCast(addr)}
				if strings.HasPrefix(addr, "/ip6") {
					l, err := net.Listen("tcp6", "[::1]:0")
					if err != nil {
						t.Skip("no IPv6 here")
					}
					l.Close()
				}
				claims := make(chan *identityproto.Claim, 1)
				a := startHost(t, Config{Network: n, Listen: listen, UserAgent: "a/1"})
				b := startHost(t, Config{Network: n, Listen: listen, UserAgent: "b/1", Hooks: Hooks{
					OnClaim: func(_ peer.ID, c *identityproto.Claim, _ network.Direction, _ ma.Multiaddr) { claims <- c },
				}})
				connect(t, a, b)
				say(t, a, b.ID(), "hello b")
				claim := <-claims
				if claim.Key != a.PublicKey() || claim.UserAgent != "a/1" || claim.Features != identityproto.FeatureNode {
					t.Errorf("a claims %+v", claim)
				}
				if !slices.EqualFunc(claim.Addresses, a.Addrs(), ma.Multiaddr.Equal) {
					t.Errorf("a claims the addresses %v, listens on %v", claim.Addresses, a.Addrs())
				}
				say(t, b, a.ID(), "hello a")
				session, ok := a.Session(b.ID())
				if !ok || session.Remote != b.PublicKey() || session.Dialect.String() != dialect.Of(n).String() || len(session.Stages) < 3 {
					t.Errorf("session of a: %+v", session)
				}
				ids, err := a.Peerstore().GetProtocols(b.ID())
				if err != nil || !slices.Contains(ids, echo) {
					t.Errorf("peerstore of a: protocols %v, %v", ids, err)
				}
				if agent, err := a.Peerstore().Get(b.ID(), "AgentVersion"); err != nil || agent != "b/1" {
					t.Errorf("peerstore of a: agent %v, %v", agent, err)
				}
			})
		}
	})
}

func TestGoLibp2pPing(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		a, b := startHost(t, Config{Network: n}), startHost(t, Config{Network: n})
		ping.NewPingService(b)
		connect(t, a, b)
		results := ping.Ping(testContext(t), a, b.ID())
		for range 3 {
			if r := <-results; r.Error != nil {
				t.Fatal(r.Error)
			}
		}
	})
}

// Subscribers see a peer's protocols in the peerstore as soon as they hear of it.
func TestEvents(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	sub, err := a.EventBus().Subscribe([]any{
		new(event.EvtPeerIdentificationCompleted), new(event.EvtPeerConnectednessChanged), new(event.EvtLocalProtocolsUpdated),
	}, eventbus.BufSize(64))
	if err != nil {
		t.Fatal(err)
	}
	defer sub.Close()
	a.SetStreamHandler("/test/other", serveEcho)
	connect(t, a, b)
	var identified, up, down, updated bool
	timeout := time.After(patience)
	for !(identified && up && down && updated) {
		select {
		case e := <-sub.Out():
			switch e := e.(type) {
			case event.EvtPeerIdentificationCompleted:
				identified = true
				if e.Peer != b.ID() || !slices.Contains(e.Protocols, echo) {
					t.Errorf("identified %+v", e)
				}
			case event.EvtPeerConnectednessChanged:
				down = down || e.Connectedness == network.NotConnected
				if ids, _ := a.Peerstore().GetProtocols(b.ID()); e.Connectedness == network.Connected && !slices.Contains(ids, echo) {
					t.Errorf("connected before the protocols are known: %v", ids)
				}
				if e.Connectedness == network.Connected && !up {
					up = true
					b.Close() // not before: the swarm might tell of neither
				}
			case event.EvtLocalProtocolsUpdated:
				updated = slices.Contains(e.Added, "/test/other")
			}
		case <-timeout:
			t.Fatalf("identified %v, up %v, down %v, updated %v", identified, up, down, updated)
		}
	}
}

func TestOneListenerServesAllNetworksWithDifferentBytes(t *testing.T) {
	var accept []dialect.Network
	taken := map[byte]bool{}
	for _, n := range dialect.Networks() {
		if !taken[n.WireByte] {
			accept = append(accept, n)
			taken[n.WireByte] = true
		}
	}
	server := startHost(t, Config{Network: accept[0], Accept: accept[1:]})
	for _, n := range accept {
		client := startHost(t, Config{Network: n})
		connect(t, client, server)
		say(t, client, server.ID(), "from "+n.Name)
		session, _ := client.Session(server.ID())
		if session.Dialect.WireByte() != n.WireByte {
			t.Errorf("spoke byte %#x on %s", session.Dialect.WireByte(), n.Name)
		}
	}
}

func TestBytesWithTwoMeaningsAreRefused(t *testing.T) {
	other := dialect.Network{Name: "other"}
	for name, cfg := range map[string]Config{
		"two networks":             {Network: dialect.Mainnet, Accept: []dialect.Network{other}},
		"a network and a liveness": {Network: dialect.Mainnet, Accept: []dialect.Network{{Name: "other", WireByte: dialect.Mainnet.Liveness}}},
		"negative limit":           {Limits: Limits{Inbound: -1}},
		"unprintable user agent":   {UserAgent: "tab\tbed"},
		"nobody can listen there":  {Listen: []ma.Multiaddr{ma.StringCast("/udp/1")}},
	} {
		if h, err := New(cfg); err == nil {
			h.Close()
			t.Errorf("%s: accepted", name)
		}
	}
	if h, err := New(Config{Network: dialect.Mainnet, Accept: []dialect.Network{dialect.Mainnet}}); err != nil {
		t.Errorf("the same network twice: %v", err)
	} else {
		h.Close()
	}
}

// Each failed dial says at which stage, and the other side's hook agrees.
func TestDialErrorsNameTheStage(t *testing.T) {
	type failure struct {
		dir network.Direction
		err error
	}
	start := func(t *testing.T, cfg Config) (*Host, chan failure) {
		failures := make(chan failure, 8)
		cfg.Hooks.OnFailed = func(_ peer.ID, dir network.Direction, _ ma.Multiaddr, err error) { failures <- failure{dir, err} }
		return startHost(t, cfg), failures
	}
	t.Run("other network", func(t *testing.T) {
		a, atA := start(t, Config{Network: dialect.Mainnet})
		b, atB := start(t, Config{Network: dialect.Nextnet})
		err := a.Connect(testContext(t), infoOf(b))
		wantStage(t, err, dialect.StageNoise)
		if !errors.Is(err, noise.ErrNoAnswer) {
			t.Errorf("dialer: %v, want ErrNoAnswer", err)
		}
		var unknown *wiremode.UnknownError
		if f := <-atB; !errors.As(f.err, &unknown) || unknown.Byte != dialect.Mainnet.WireByte || f.dir != network.DirInbound {
			t.Errorf("listener: %v", f.err)
		}
		if f := <-atA; f.dir != network.DirOutbound {
			t.Errorf("the dialer's hook has direction %v", f.dir)
		}
	})
	t.Run("other key", func(t *testing.T) {
		a, _ := start(t, Config{})
		b, _ := start(t, Config{})
		expected, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		err = a.Connect(testContext(t), peer.AddrInfo{ID: expected.Public().PeerID(), Addrs: b.Addrs()})
		wantStage(t, err, dialect.StageNoise)
		var mismatch *dialect.KeyMismatchError
		if !errors.As(err, &mismatch) || mismatch.Got != b.PublicKey() || mismatch.Expected != expected.Public() {
			t.Errorf("got %v, want a KeyMismatchError", err)
		}
	})
	t.Run("nobody there", func(t *testing.T) {
		a, _ := start(t, Config{})
		b, _ := start(t, Config{})
		info := infoOf(b)
		b.Close()
		if err := a.Connect(testContext(t), info); err == nil {
			t.Error("connected to a closed host")
		}
		if err := b.Connect(testContext(t), infoOf(a)); !errors.Is(err, ErrClosed) {
			t.Errorf("Connect of a closed host: %v", err)
		}
	})
}

func wantStage(t *testing.T, err error, stage string) {
	t.Helper()
	var at *dialect.StageError
	if !errors.As(err, &at) || at.Stage != stage {
		t.Errorf("got %v, want a failure at stage %s", err, stage)
	}
}

// The swarm puts no key of a Tari peer into the peerstore, which has it all the same; one of another kind it keeps.
func TestKeysOfPeers(t *testing.T) {
	a, b := startHost(t, Config{}), startHost(t, Config{})
	connect(t, a, b)
	if key := a.Peerstore().PubKey(b.ID()); key == nil || !key.Equals(b.PublicKey().Libp2p()) {
		t.Errorf("the peer's key is %v", key)
	}
	_, other, err := crypto.GenerateECDSAKeyPair(rand.Reader) // whose ids are hashes
	if err != nil {
		t.Fatal(err)
	}
	id, err := peer.IDFromPublicKey(other)
	if err != nil {
		t.Fatal(err)
	}
	peers := a.Network().Peerstore()
	if err := peers.AddPubKey(b.ID(), other); err == nil {
		t.Error("a key that is not the peer's was taken")
	}
	if err := peers.AddPubKey(id, other); err != nil || !a.Peerstore().PubKey(id).Equals(other) {
		t.Errorf("a key of another kind: %v", err)
	}
}
