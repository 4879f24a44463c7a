package node

import (
	"context"
	"errors"
	"iter"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

var (
	testDouble = rpc.Unary[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 1}
	testCount  = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 2}
	testWait   = rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 3}
)

const testService = "t/test/1"

// calledNode is a node that serves, and the address to dial it at. Each call of testWait says so when it has begun.
func calledNode(t *testing.T, cfg Config) (them *Node, at tari.Address, waits chan struct{}) {
	t.Helper()
	cfg.Listen, cfg.AllowTestAddresses = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}, true
	them, err := New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = them.Close() })
	waits = make(chan struct{}, 1)
	err = them.RPC.Register(testService,
		testDouble.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) (*wrapperspb.UInt64Value, error) {
			return wrapperspb.UInt64(2 * n.Value), nil
		}),
		testCount.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
			return func(yield func(*wrapperspb.UInt64Value, error) bool) {
				for i := uint64(0); i < n.Value && yield(wrapperspb.UInt64(i), nil); i++ {
				}
			}
		}),
		testWait.Serve(func(ctx context.Context, _ peer.ID, _ *emptypb.Empty) (*emptypb.Empty, error) {
			waits <- struct{}{}
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	if err != nil {
		t.Fatal(err)
	}
	if err := them.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	return them, dialAt(t, them), waits
}

// TestRPC: a call dials the peer that the book knows, in each dialect; Close of either side ends calls and leaves no session.
func TestRPC(t *testing.T) {
	for _, network := range []dialect.Network{dialect.Mainnet, dialect.Stibbons} {
		t.Run(network.Name, func(t *testing.T) {
			them, at, waits := calledNode(t, Config{Network: network})
			us, err := Errand(t.Context(), Config{Network: network, AllowTestAddresses: true, Peers: []tari.Address{at}, Public: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")}})
			if err != nil {
				t.Fatal(err)
			}
			defer us.Close()
			service := us.RPC.Peer(them.Host.ID(), testService)
			got, err := testDouble.Call(t.Context(), service, wrapperspb.UInt64(21))
			if err != nil || got.Value != 42 {
				t.Fatalf("%v, %v", got, err)
			}
			items := uint64(0)
			for item, err := range testCount.Call(t.Context(), service, wrapperspb.UInt64(10)) {
				if err != nil || item.Value != items {
					t.Fatalf("item %d: %v, %v", items, item, err)
				}
				items++
			}
			if n := them.RPC.Sessions(); items != 10 || n != 1 {
				t.Errorf("%d items over %d sessions", items, n)
			}

			ended := make(chan error, 1)
			go func() {
				_, err := testWait.Call(context.Background(), service, nil)
				ended <- err
			}()
			<-waits
			if err := us.Close(); err != nil {
				t.Error(err)
			}
			if err := <-ended; !errors.As(err, new(*rpc.SessionError)) {
				t.Errorf("the call ended with %v", err)
			}
			if err := them.Close(); err != nil {
				t.Error(err)
			}
			if n := them.RPC.Sessions(); n != 0 {
				t.Errorf("%d sessions are left", n)
			}
			if err := them.RPC.Register("t/late/1"); err == nil {
				t.Error("a service was registered after Close")
			}
		})
	}
}

// TestRPCClaimed: what is registered before Start is in the claim, so that a call needs no negotiation.
func TestRPCClaimed(t *testing.T) {
	them, at, _ := calledNode(t, Config{})
	us, err := Errand(t.Context(), Config{AllowTestAddresses: true, Peers: []tari.Address{at}})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	if err := us.Host.Connect(t.Context(), peer.AddrInfo{ID: them.Host.ID()}); err != nil {
		t.Fatal(err)
	}
	claim, ok := us.Host.Claim(them.Host.ID())
	if !ok {
		t.Fatal("no claim")
	}
	for _, id := range claim.Protocols {
		if id == testService {
			return
		}
	}
	t.Errorf("the claim has %v", claim.Protocols)
}
