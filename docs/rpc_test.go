package docs_test

import (
	"context"
	"fmt"
	"iter"
	"log"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The service t/chain/1. Both sides have these values, and no code is generated but the messages.
var (
	Height  = rpc.Unary[*emptypb.Empty, *wrapperspb.UInt64Value]{Number: 1, Repeatable: true}
	Headers = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 2, Repeatable: true}
)

type chain struct{ headers [][]byte }

func (c *chain) height(context.Context, peer.ID, *emptypb.Empty) (*wrapperspb.UInt64Value, error) {
	return wrapperspb.UInt64(uint64(len(c.headers) - 1)), nil
}

func (c *chain) from(_ context.Context, _ peer.ID, first *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.BytesValue, error] {
	return func(yield func(*wrapperspb.BytesValue, error) bool) {
		if first.Value >= uint64(len(c.headers)) {
			yield(nil, &rpc.Status{Code: rpc.NotFound, Text: "the chain is shorter"})
			return
		}
		for _, h := range c.headers[first.Value:] {
			if !yield(wrapperspb.Bytes(h), nil) {
				return // the client has enough, or is gone
			}
		}
	}
}

func Example_rpc() {
	listen := []ma.Multiaddr{ma.StringCast("/memory/0")}
	alice, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()

	// Alice serves.
	c := &chain{headers: [][]byte{[]byte("genesis"), []byte("one"), []byte("two")}}
	server := rpc.NewServer(alice, rpc.ServerConfig{})
	defer server.Close() // before the host
	if err := server.Register("t/chain/1", Height.Serve(c.height), Headers.Serve(c.from)); err != nil {
		log.Fatal(err)
	}

	// Bob asks.
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := bob.Connect(ctx, peer.AddrInfo{ID: alice.ID(), Addrs: alice.Addrs()}); err != nil {
		log.Fatal(err)
	}
	pool := rpc.NewPool(bob, alice.ID(), "t/chain/1", rpc.PoolConfig{})
	defer pool.Close()
	height, err := Height.Call(ctx, pool, nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("height", height.Value)
	for header, err := range Headers.Call(ctx, pool, wrapperspb.UInt64(1)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Printf("%s\n", header.Value)
	}
	for _, err := range Headers.Call(ctx, pool, wrapperspb.UInt64(99)) {
		fmt.Println(rpc.CodeOf(err))
	}
	// Output:
	// height 2
	// one
	// two
	// not found
}
