//go:build interop

package interop

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The service is that of rpc_test.go, on the crate of 2020: see rust/seed/src/rpc.rs. The era of a session is that of its connection, which
// nobody here has to say.

// TestRPCToSeed: our client calls the server of the crate of 2020, whoever dialed: handshake, unary, streaming, errors.
func TestRPCToSeed(t *testing.T) {
	seed.binary(t)
	for _, weDial := range []bool{true, false} {
		t.Run(dialer(weDial), func(t *testing.T) {
			rust := startRust(t, seed)
			us := startOurs(t, seedNet())
			connect(t, us, rust, weDial)
			c := rpcSession(t, us, rust, rpc.ClientConfig{})
			for _, size := range []int{0, 1, 1000, 70_000, 4_000_000} {
				sent := patternMessage(3, 0, size)
				got, err := rpcEcho.Call(patient(t), c, wrapperspb.Bytes(sent))
				if err != nil || sha256Hex(got.Value) != sha256Hex(sent) {
					t.Errorf("echo of %d bytes: %d, %v", size, len(got.GetValue()), err)
				}
			}
			for _, n := range []uint64{1, 10_000} {
				want := uint64(0)
				for item, err := range rpcCount.Call(patient(t), c, wrapperspb.UInt64(n)) {
					if err != nil || item.Value != want {
						t.Fatalf("item %d: %v, %v", want, item, err)
					}
					want++
				}
				if want != n {
					t.Errorf("%d items of %d", want, n)
				}
			}
			for _, code := range []rpc.Code{rpc.BadRequest, rpc.UnsupportedMethod, rpc.NotImplemented, rpc.Timeout, rpc.General, rpc.NotFound} {
				_, err := rpcFail.Call(patient(t), c, wrapperspb.UInt32(uint32(code)))
				if status, ok := errors.AsType[*rpc.Status](err); !ok || status.Code != code || status.Text != "as asked" {
					t.Errorf("%v: %v", code, err)
				}
			}
			if _, err := rpcNone.Call(patient(t), c, nil); rpc.CodeOf(err) != rpc.UnsupportedMethod {
				t.Errorf("a method that there is not: %v", err)
			}
			if _, err := c.Ping(patient(t)); err == nil {
				t.Error("a ping, which that crate would take for a call")
			}
			rpcWorks(t, c)
		})
	}
}

// TestRPCSlowSeed: the server of 2020 says nothing of a call past its deadline. Ours is the clock.
func TestRPCSlowSeed(t *testing.T) {
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	connect(t, us, rust, true)
	c := rpcSession(t, us, rust, rpc.ClientConfig{Deadline: time.Second, Grace: time.Second})
	if _, err := rpcSlow.Call(patient(t), c, wrapperspb.UInt64(600_000)); rpc.CodeOf(err) != rpc.Timeout {
		t.Errorf("past its deadline: %v", err)
	}
}

// TestRPCLeaveSeed: that crate knows no cancelling, so that leaving a stream ends its session, and a pool goes on with another.
func TestRPCLeaveSeed(t *testing.T) {
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	connect(t, us, rust, true)
	pool := rpc.NewPool(us.host, peerID(t, rust), rpcService, rpc.PoolConfig{})
	defer pool.Close()
	for range 5 {
		items := 0
		for _, err := range rpcCount.Call(patient(t), pool, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if items++; items == 100 {
				break
			}
		}
		rpcWorks(t, pool)
	}
}

// TestRPCSeedIsFull: a full server of 2020 closes without a word.
func TestRPCSeedIsFull(t *testing.T) {
	rust := startRust(t, seed, "--rpc-sessions", "2")
	us := startOurs(t, seedNet())
	connect(t, us, rust, true)
	all := []*rpc.Client{rpcSession(t, us, rust, rpc.ClientConfig{}), rpcSession(t, us, rust, rpc.ClientConfig{})}
	if c, err := rpc.Connect(patient(t), us.host, peerID(t, rust), rpcService, rpc.ClientConfig{}); err == nil {
		t.Error("a third session of two")
		c.Close()
	}
	for _, c := range all {
		rpcWorks(t, c)
	}
}

// TestRPCFromSeed: the client of 2020 calls our server, whoever dialed.
func TestRPCFromSeed(t *testing.T) {
	seed.binary(t)
	for _, weDial := range []bool{true, false} {
		t.Run(dialer(weDial), func(t *testing.T) {
			rust := startRust(t, seed)
			us := startOurs(t, seedNet())
			server := serveRPC(t, us, rpc.ServerConfig{})
			connect(t, us, rust, weDial)
			rustHas(t, us, rust)
			for _, c := range []struct {
				call string
				args map[string]any
				want rpcAnswer
			}{
				{"echo", map[string]any{"size": 1000, "seed": 3}, rpcAnswer{Size: 1000, SHA256: sha256Hex(patternMessage(3, 0, 1000))}},
				{"echo", map[string]any{"size": 4_000_000, "seed": 4}, rpcAnswer{Size: 4_000_000, SHA256: sha256Hex(patternMessage(4, 0, 4_000_000))}},
				{"large", map[string]any{"size": 4_000_000}, rpcAnswer{Size: 4_000_000, SHA256: sha256Hex(patternMessage(0, 0, 4_000_000))}},
				{"large", map[string]any{"size": 5_000_000}, rpcAnswer{Code: int(rpc.General)}}, // more than its frames hold
				{"count", map[string]any{"n": 10_000}, rpcAnswer{Items: 10_000}},
				{"count", map[string]any{"n": 3, "take": 4}, rpcAnswer{Items: 3}},
				{"fail", map[string]any{"code": 1}, rpcAnswer{Code: 1}},
				{"fail", map[string]any{"code": 2}, rpcAnswer{Code: 2}},
				{"fail", map[string]any{"code": 3}, rpcAnswer{Code: 3}},
				{"fail", map[string]any{"code": 7}, rpcAnswer{Code: 7}},
				{"slow", map[string]any{"millis": 600_000, "deadline_millis": 1000}, rpcAnswer{Code: int(rpc.Timeout)}},
			} {
				args := map[string]any{"node_id": us.nodeID(), "call": c.call}
				for k, v := range c.args {
					args[k] = v
				}
				got := rust.do("rpc", args).rpcAnswer(t)
				if got.Code != c.want.Code || got.Items != c.want.Items || got.Size != c.want.Size || got.SHA256 != c.want.SHA256 || !got.Usable {
					t.Errorf("%s %v: %+v, want %+v", c.call, c.args, got, c.want)
				}
			}
			waitUntil(t, "no session of Rust's is left", func() bool { return server.Sessions() == 0 })
		})
	}
}

// TestRPCLimitsForSeed: our server refuses a peer of 2020 rather than end one of its sessions.
func TestRPCLimitsForSeed(t *testing.T) {
	rust := startRust(t, seed)
	us := startOurs(t, seedNet())
	server := serveRPC(t, us, rpc.ServerConfig{MaxPeerSessions: 3})
	connect(t, us, rust, true)
	rustHas(t, us, rust)
	got := rust.do("rpc_sessions", map[string]any{"node_id": us.nodeID(), "count": 5}).rpcAnswer(t)
	if got.Opened != 3 || fmt.Sprint(got.Working) != "[true true true]" || len(got.Refused) != 2 {
		t.Errorf("got %+v", got)
	}
	waitUntil(t, "no session of Rust's is left", func() bool { return server.Sessions() == 0 })
}
