package rpc_test

import (
	"context"
	"errors"
	"iter"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The tests in this file run over hosts that speak Tari, in both dialects.

const service = "t/test/1"

var (
	double = rpc.Unary[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 1}
	blocks = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 2}
	block  = rpc.Unary[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 3}
	never  = rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 4}
)

func methods() []rpc.Method {
	return []rpc.Method{
		double.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) (*wrapperspb.UInt64Value, error) {
			return wrapperspb.UInt64(2 * n.Value), nil
		}),
		blocks.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.BytesValue, error] {
			return func(yield func(*wrapperspb.BytesValue, error) bool) {
				for range n.Value {
					if !yield(wrapperspb.Bytes(make([]byte, 10_000)), nil) {
						return
					}
				}
			}
		}),
		block.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) (*wrapperspb.BytesValue, error) {
			return wrapperspb.Bytes(make([]byte, n.Value)), nil
		}),
		never.Serve(func(ctx context.Context, _ peer.ID, _ *emptypb.Empty) (*emptypb.Empty, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
	}
}

// pair is a host that serves and another that is connected to it.
func pair(t testing.TB, n dialect.Network) (server *rpc.Server, to peer.ID, client *tari.Host) {
	t.Helper()
	var hosts [2]*tari.Host
	for i := range hosts {
		h, err := tari.New(tari.Config{
			Network:            n,
			Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
			AllowTestAddresses: true,
		})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		hosts[i] = h
	}
	server = rpc.NewServer(hosts[0], rpc.ServerConfig{})
	t.Cleanup(func() { server.Close() })
	if err := server.Register(service, methods()...); err != nil {
		t.Fatal(err)
	}
	if err := hosts[1].Connect(t.Context(), peer.AddrInfo{ID: hosts[0].ID(), Addrs: hosts[0].Addrs()}); err != nil {
		t.Fatal(err)
	}
	return server, hosts[0].ID(), hosts[1]
}

func TestOverTari(t *testing.T) {
	for name, network := range map[string]dialect.Network{"modern": dialect.Localnet, "seed": dialect.Stibbons} {
		t.Run(name, func(t *testing.T) {
			server, to, h := pair(t, network)
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			session, err := rpc.Connect(ctx, h, to, service, rpc.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := session.Ping(ctx); (err == nil) != (name == "modern") {
				t.Errorf("ping: %v", err)
			}
			session.Close()
			waitFor(t, "the session to end", func() bool { return server.Sessions() == 0 })
			pool := rpc.NewPool(h, to, service, rpc.PoolConfig{})
			defer pool.Close()
			var all sync.WaitGroup
			for i := range uint64(20) {
				all.Go(func() {
					got, err := double.Call(ctx, pool, wrapperspb.UInt64(i))
					if err != nil || got.Value != 2*i {
						t.Errorf("twice %d is %v, %v", i, got, err)
					}
					items := uint64(0)
					for _, err := range blocks.Call(ctx, pool, wrapperspb.UInt64(i)) {
						if err != nil {
							t.Error(err)
						}
						items++
					}
					if items != i {
						t.Errorf("%d items of %d", items, i)
					}
				})
			}
			all.Wait()
			if got, err := block.Call(ctx, pool, wrapperspb.UInt64(4_000_000)); err != nil || len(got.Value) != 4_000_000 {
				t.Errorf("4 MB: %d bytes, %v", len(got.GetValue()), err)
			}
			if n := server.Sessions(); n == 0 || n != pool.Sessions() {
				t.Errorf("%d sessions at the server, %d at the client", n, pool.Sessions())
			}
		})
	}
}

// Many nodes with many sessions each take long streams from one server at once,
// and each gets all of its items.
func TestManyStreams(t *testing.T) {
	const nodes, sessions, items = 6, 8, 100
	server, to, first := pair(t, dialect.Localnet)
	clients := []*tari.Host{first}
	for len(clients) < nodes {
		h, err := tari.New(tari.Config{Network: dialect.Localnet, AllowTestAddresses: true})
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { h.Close() })
		if err := h.Connect(t.Context(), peer.AddrInfo{ID: to, Addrs: first.Peerstore().Addrs(to)}); err != nil {
			t.Fatal(err)
		}
		clients = append(clients, h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	var open []*rpc.Client
	for _, h := range clients {
		for range sessions { // one after the other: of one peer a server takes four handshakes at a time
			session, err := rpc.Connect(ctx, h, to, service, rpc.ClientConfig{})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { session.Close() })
			open = append(open, session)
		}
	}
	var all sync.WaitGroup
	for _, session := range open {
		all.Go(func() {
			defer session.Close()
			got := 0
			for item, err := range blocks.Call(ctx, session, wrapperspb.UInt64(items)) {
				if err != nil || len(item.Value) != 10_000 {
					t.Errorf("item %d: %d bytes, %v", got, len(item.GetValue()), err)
					return
				}
				got++
			}
			if got != items {
				t.Errorf("%d items of %d", got, items)
			}
		})
	}
	all.Wait()
	waitFor(t, "the sessions to end", func() bool { return server.Sessions() == 0 })
}

// waitFor waits for what happens on another goroutine.
func waitFor(t *testing.T, what string, done func() bool) {
	t.Helper()
	for limit := time.Now().Add(time.Minute); !done(); time.Sleep(time.Millisecond) {
		if time.Now().After(limit) {
			t.Fatalf("waited a minute for %s", what)
		}
	}
}

// The end of the connection ends its sessions on both sides.
func TestConnectionEnds(t *testing.T) {
	_, to, h := pair(t, dialect.Localnet)
	c, err := rpc.Connect(t.Context(), h, to, service, rpc.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	time.AfterFunc(time.Millisecond, func() { _ = h.Network().ClosePeer(to) })
	var ended *rpc.SessionError
	if _, err := never.Call(t.Context(), c, nil); !errors.As(err, &ended) {
		t.Errorf("got %v", err)
	}
}

// Sessions with a service that the peer does not have.
func TestNoSuchService(t *testing.T) {
	_, to, h := pair(t, dialect.Localnet)
	if _, err := rpc.Connect(t.Context(), h, to, "t/nothing/1", rpc.ClientConfig{}); err == nil {
		t.Error("a session with nobody")
	}
}

func BenchmarkUnary(b *testing.B) {
	_, to, h := pair(b, dialect.Localnet)
	c, err := rpc.Connect(b.Context(), h, to, service, rpc.ClientConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := double.Call(b.Context(), c, wrapperspb.UInt64(21)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkStreaming(b *testing.B) {
	_, to, h := pair(b, dialect.Localnet)
	c, err := rpc.Connect(b.Context(), h, to, service, rpc.ClientConfig{})
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	b.ReportAllocs()
	b.SetBytes(10_000)
	for _, err := range blocks.Call(b.Context(), c, wrapperspb.UInt64(uint64(b.N))) {
		if err != nil {
			b.Fatal(err)
		}
	}
}
