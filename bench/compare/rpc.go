package main

import (
	"context"
	"fmt"
	"iter"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The service of the RPC workloads: see rust/src/rpc.rs. Both may be called again, because a Rust server may end a session whose next
// request is there too soon.
const rpcProtocol = "bench/rpc"

var (
	rpcEcho = rpc.Unary[*wrapperspb.BytesValue, *wrapperspb.BytesValue]{Number: 1, Repeatable: true}
	// The number of items is in the upper half of the request, their bytes in the lower.
	rpcItems = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 2, Repeatable: true}
)

// serveRPC serves it on any libp2p host.
func serveRPC(h rpc.Handlers) error {
	return rpc.NewServer(h, rpc.ServerConfig{}).Register(rpcProtocol,
		rpcEcho.Serve(func(_ context.Context, _ peer.ID, b *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			return b, nil
		}),
		rpcItems.Serve(func(_ context.Context, _ peer.ID, wanted *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.BytesValue, error] {
			return func(yield func(*wrapperspb.BytesValue, error) bool) {
				item := wrapperspb.Bytes(make([]byte, uint32(wanted.Value)))
				for range wanted.Value >> 32 {
					if !yield(item, nil) {
						return
					}
				}
			}
		}))
}

// callOver gives a link the calls of a pool of one session.
func callOver(l *link, h rpc.Streams, to peer.ID) {
	pool := rpc.NewPool(h, to, rpcProtocol, rpc.PoolConfig{MaxSessions: 1})
	l.call = func(payload []byte) error {
		got, err := rpcEcho.Call(context.Background(), pool, wrapperspb.Bytes(payload))
		if err == nil && len(got.Value) != len(payload) {
			err = fmt.Errorf("an answer of %d bytes", len(got.Value))
		}
		return err
	}
	l.items = func(n, size int) error {
		received := 0
		for item, err := range rpcItems.Lend(context.Background(), pool, wrapperspb.UInt64(uint64(n)<<32|uint64(size))) {
			if err == nil && len(item.Value) != size {
				err = fmt.Errorf("an item of %d bytes", len(item.Value))
			}
			if err != nil {
				return err
			}
			received++
		}
		if received != n {
			return fmt.Errorf("%d items of %d", received, n)
		}
		return nil
	}
	end := l.close
	l.close = func() { _ = pool.Close(); end() }
}
