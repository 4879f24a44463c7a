package conformance

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"go.uber.org/goleak"
	"google.golang.org/protobuf/types/known/emptypb"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const testService = protocol.ID("t/test/1")

// start starts a node of ours with a service of RPC.
func start(t *testing.T, in dialect.Network) tari.Address {
	t.Helper()
	n, err := node.New(node.Config{Network: in, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	nothing := func(context.Context, peer.ID, *emptypb.Empty) (*emptypb.Empty, error) { return nil, nil }
	if err := n.RPC.Register(testService, rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 1}.Serve(nothing)); err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := n.Host.Network().InterfaceListenAddresses()
	if err != nil || len(at) == 0 {
		t.Fatal(at, err)
	}
	return tari.Address{Key: n.Host.PublicKey(), Addrs: at}
}

// TestOurs: our node keeps the rules in each dialect.
func TestOurs(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("waits for the end of each limit")
	}
	var all sync.WaitGroup
	for _, in := range []dialect.Network{dialect.Mainnet, dialect.Stibbons} {
		at := start(t, in)
		all.Go(func() {
			made := 0
			err := Run(t.Context(), Target{Peer: at, Network: in, Hostile: true, Service: testService}, func(r Result) {
				t.Logf("%-9s %-12s %-66s %-8s %s", in.Name, r.Area, r.Check, r.Verdict, r.Detail)
				switch r.Verdict {
				case OK:
					made++
				case Failed:
					t.Errorf("%s: %s: %s: %s", in.Name, r.Area, r.Check, r.Detail)
				}
			})
			if err != nil || made < 17 {
				t.Errorf("%s: %d checks passed, %v", in.Name, made, err)
			}
		})
	}
	all.Wait()
}

// TestHarmless: without a word nothing hostile is done.
func TestHarmless(t *testing.T) {
	err := Run(t.Context(), Target{Peer: start(t, dialect.Mainnet), Network: dialect.Mainnet}, func(r Result) {
		if r.Hostile != (r.Verdict == Skipped && r.Detail == "hostile") {
			t.Errorf("%+v", r)
		}
	})
	if err != nil {
		t.Error(err)
	}
}

// TestNobody: where nobody answers, or somebody else does, there is one result and the error.
func TestNobody(t *testing.T) {
	at := start(t, dialect.Mainnet)
	other := start(t, dialect.Mainnet)
	for name, c := range map[string]struct {
		to   Target
		kind node.FailureKind
	}{
		"nobody":          {Target{Peer: tari.Address{Key: at.Key, Addrs: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}}, Network: dialect.Mainnet}, node.FailUnreachable},
		"somebody else":   {Target{Peer: tari.Address{Key: other.Key, Addrs: at.Addrs}, Network: dialect.Mainnet}, node.FailAuthentication},
		"another network": {Target{Peer: at, Network: dialect.Nextnet}, node.FailRefused},
	} {
		results := 0
		err := Run(t.Context(), c.to, func(r Result) {
			if results++; r.Verdict != Failed {
				t.Errorf("%s: %+v", name, r)
			}
		})
		if results != 1 || node.FailureOf(err).Kind != c.kind {
			t.Errorf("%s: %d results, %v", name, results, err)
		}
	}
}

// careless is a node that does the handshake as it should, and nothing else: it ends no connection, and answers each negotiation with
// what was asked.
func careless(t *testing.T) tari.Address {
	t.Helper()
	sk, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	t.Cleanup(func() { cancel(); _ = l.Close(); <-done })
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer context.AfterFunc(ctx, func() { _ = c.Close() })()
				defer c.Close()
				if _, err := io.ReadFull(c, make([]byte, 1)); err != nil {
					return
				}
				s, err := dialect.Of(dialect.Mainnet).Upgrade(ctx, c, network.DirInbound, dialect.Local{
					Key: sk, Rules: identityproto.Rules{AllowTestAddresses: true},
					Claim: func() (*identityproto.Claim, error) {
						claim := &identityproto.Claim{Key: sk.Public(), Features: identityproto.FeatureNode, UserAgent: "careless", Protocols: []protocol.ID{"t/msg/0.1", testService}}
						return claim, claim.Sign(sk, time.Now())
					},
				})
				if err != nil {
					<-ctx.Done() // and the connection stays
					return
				}
				defer s.Close()
				for {
					stream, err := s.AcceptStream()
					if err != nil {
						return
					}
					go func() { _, _ = io.Copy(stream, stream) }()
				}
			}()
		}
	}()
	at, err := manet.FromNetAddr(l.Addr())
	if err != nil {
		t.Fatal(err)
	}
	return tari.Address{Key: sk.Public(), Addrs: []ma.Multiaddr{at}}
}

// TestSeesFaults: each check fails with a node that keeps no rule, but those that cannot.
func TestSeesFaults(t *testing.T) {
	if testing.Short() {
		t.Skip("waits for the end of each limit")
	}
	t.Parallel()
	passes := []string{
		"proves the key that was dialed",
		"says a claim within the limits, with a valid signature",
		"takes a stream of messages",
		"closes on a frame that was changed",    // by package noise
		"has at most 128 streams",               // by package yamux
		"lets an honest peer in after all that", // whatever that was
	}
	p := &probe{Target: Target{Peer: careless(t), Network: dialect.Mainnet, Hostile: true, Service: testService}}
	t.Cleanup(p.close)
	if _, err := provesItsKey(t.Context(), p); err != nil {
		t.Fatal(err)
	}
	var all sync.WaitGroup
	for _, c := range checks[1:] {
		all.Go(func() { // they wait, most of the time
			detail, err := p.run(t.Context(), c)
			if !errors.As(err, new(skip)) && (err == nil) != slices.Contains(passes, c.name) {
				t.Errorf("%s: %q, %v", c.name, detail, err)
			}
		})
	}
	all.Wait()
}
