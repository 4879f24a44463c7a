//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// The service of the Rust peer, which the crate's own macro makes: see rust/modern/src/rpc.rs. All may be called again: the Rust server
// ends a session when the next request is there before it has looked whether the answer it has just sent was the last, and when it is told
// to stop while it waits for us to read.
const rpcService = "t/interop/1"

var (
	rpcEcho  = rpc.Unary[*wrapperspb.BytesValue, *wrapperspb.BytesValue]{Number: 1, Repeatable: true}
	rpcCount = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 2, Repeatable: true}
	rpcLarge = rpc.Unary[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 3, Repeatable: true}
	rpcFail  = rpc.Unary[*wrapperspb.UInt32Value, *emptypb.Empty]{Number: 4, Repeatable: true}
	rpcSlow  = rpc.Unary[*wrapperspb.UInt64Value, *emptypb.Empty]{Number: 5, Repeatable: true}
	rpcItems = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 6, Repeatable: true}
	rpcTicks = rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 7, Repeatable: true}
	rpcNone  = rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 99, Repeatable: true}
)

// rpcMethods is the same service, by us.
func rpcMethods() []rpc.Method {
	return []rpc.Method{
		rpcEcho.Serve(func(_ context.Context, _ peer.ID, b *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			return b, nil
		}),
		rpcCount.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
			return func(yield func(*wrapperspb.UInt64Value, error) bool) {
				for i := uint64(0); n.Value == 0 || i < n.Value; i++ {
					if !yield(wrapperspb.UInt64(i), nil) {
						return
					}
				}
			}
		}),
		rpcLarge.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) (*wrapperspb.BytesValue, error) {
			return wrapperspb.Bytes(patternMessage(0, 0, int(n.Value))), nil
		}),
		rpcFail.Serve(func(_ context.Context, _ peer.ID, code *wrapperspb.UInt32Value) (*emptypb.Empty, error) {
			return nil, &rpc.Status{Code: rpc.Code(code.Value), Text: "as asked"}
		}),
		rpcSlow.Serve(func(ctx context.Context, _ peer.ID, millis *wrapperspb.UInt64Value) (*emptypb.Empty, error) {
			select {
			case <-time.After(time.Duration(millis.Value) * time.Millisecond):
				return nil, nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		}),
		rpcItems.Serve(func(_ context.Context, _ peer.ID, size *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.BytesValue, error] {
			return func(yield func(*wrapperspb.BytesValue, error) bool) {
				for i := range 10 {
					if !yield(wrapperspb.Bytes(patternMessage(0, i, int(size.Value))), nil) {
						return
					}
				}
			}
		}),
		rpcTicks.Serve(func(ctx context.Context, _ peer.ID, millis *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
			return func(yield func(*wrapperspb.UInt64Value, error) bool) {
				for i := uint64(0); ctx.Err() == nil && yield(wrapperspb.UInt64(i), nil); i++ {
					select {
					case <-time.After(time.Duration(millis.Value) * time.Millisecond):
					case <-ctx.Done():
					}
				}
			}
		}),
	}
}

func rpcSession(t *testing.T, us *ourNode, rust *rustPeer, cfg rpc.ClientConfig) *rpc.Client {
	t.Helper()
	c, err := rpc.Connect(patient(t), us.host, peerID(t, rust), rpcService, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

// rpcPool is a pool of sessions, all of which are gone in the end.
func rpcPool(t *testing.T, us *ourNode, rust *rustPeer, cfg rpc.ClientConfig) *rpc.Pool {
	t.Helper()
	p := rpc.NewPool(us.host, peerID(t, rust), rpcService, rpc.PoolConfig{Client: cfg})
	t.Cleanup(func() {
		p.Close()
		waitUntil(t, "the Rust server counts no sessions", func() bool { return rust.do("rpc_served", nil).rpcAnswer(t).Sessions == 0 })
	})
	return p
}

// rpcWorks fails the test if the session does not serve.
func rpcWorks(t *testing.T, c rpc.Caller) {
	t.Helper()
	if got, err := rpcEcho.Call(patient(t), c, wrapperspb.Bytes([]byte("hello"))); err != nil || string(got.Value) != "hello" {
		t.Fatalf("the session does not work: %q, %v", got.GetValue(), err)
	}
}

// TestRPCToRust: our client calls the Rust server, whoever dialed.
func TestRPCToRust(t *testing.T) {
	for _, weDial := range []bool{true, false} {
		t.Run(dialer(weDial), func(t *testing.T) {
			rust := startRust(t, modern)
			us := startOurs(t, tari.Config{})
			connect(t, us, rust, weDial)
			c := rpcPool(t, us, rust, rpc.ClientConfig{})

			for _, size := range []int{0, 1, 1000, 70_000, 4 << 20} {
				sent := patternMessage(3, 0, size)
				got, err := rpcEcho.Call(patient(t), c, wrapperspb.Bytes(sent))
				if err != nil || sha256Hex(got.Value) != sha256Hex(sent) {
					t.Errorf("echo of %d bytes: %d, %v", size, len(got.GetValue()), err)
				}
			}
			got, err := rpcLarge.Call(patient(t), c, wrapperspb.UInt64(4_000_000))
			if err != nil || sha256Hex(got.Value) != sha256Hex(patternMessage(0, 0, 4_000_000)) {
				t.Errorf("4 MB: %d, %v", len(got.GetValue()), err)
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
			items := 0
			for item, err := range rpcItems.Call(patient(t), c, wrapperspb.UInt64(4_000_000)) {
				if err != nil || sha256Hex(item.Value) != sha256Hex(patternMessage(0, items, 4_000_000)) {
					t.Fatalf("item %d of 4 MB: %v", items, err)
				}
				items++
			}
			if items != 10 {
				t.Errorf("%d items of 10", items)
			}
			rpcWorks(t, c)
			session := rpcSession(t, us, rust, rpc.ClientConfig{})
			if _, err := session.Ping(patient(t)); err != nil {
				t.Errorf("ping: %v", err)
			}
		})
	}
}

// TestRPCErrorsOfRust: what the Rust server refuses, or does not do in time, is an error of its call alone.
func TestRPCErrorsOfRust(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)
	c := rpcPool(t, us, rust, rpc.ClientConfig{Deadline: time.Second})

	for _, code := range []rpc.Code{rpc.BadRequest, rpc.UnsupportedMethod, rpc.NotImplemented, rpc.Timeout, rpc.General, rpc.NotFound, rpc.Forbidden, rpc.Conflict} {
		_, err := rpcFail.Call(patient(t), c, wrapperspb.UInt32(uint32(code)))
		if status, ok := errors.AsType[*rpc.Status](err); !ok || status.Code != code || status.Text != "as asked" {
			t.Errorf("%v: %v", code, err)
		}
	}
	if _, err := rpcNone.Call(patient(t), c, nil); rpc.CodeOf(err) != rpc.UnsupportedMethod {
		t.Errorf("a method that there is not: %v", err)
	}
	if _, err := rpcSlow.Call(patient(t), c, wrapperspb.UInt64(600_000)); rpc.CodeOf(err) != rpc.Timeout {
		t.Errorf("past its deadline: %v", err)
	}
	if _, err := rpcLarge.Call(patient(t), c, wrapperspb.UInt64(9<<20)); rpc.CodeOf(err) == rpc.OK {
		t.Error("an answer of 9 MiB arrived")
	}
	rpcWorks(t, c)
}

// TestRPCCancelToRust: leaving a stream or a call of the Rust server holds nobody up.
func TestRPCCancelToRust(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)
	c := rpcPool(t, us, rust, rpc.ClientConfig{})
	for round := range 20 {
		items := 0
		for _, err := range rpcCount.Call(patient(t), c, nil) {
			if err != nil {
				t.Fatal(err)
			}
			if items++; items > round*100 {
				break
			}
		}
		rpcWorks(t, c)
	}
	ctx, cancel := context.WithCancel(patient(t))
	for item, err := range rpcCount.Call(ctx, c, nil) {
		if err != nil && !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if item.GetValue() == 100 {
			cancel()
		}
	}
	rpcWorks(t, c)

	// Of an unhurried stream the session is as good as before, not only another one of the pool.
	session := rpcSession(t, us, rust, rpc.ClientConfig{})
	for range 3 {
		for item, err := range rpcTicks.Call(patient(t), session, wrapperspb.UInt64(20)) {
			if err != nil {
				t.Fatal(err)
			}
			if item.Value == 3 {
				break
			}
		}
		rpcWorks(t, session)
	}
	short, cancel := context.WithTimeout(patient(t), 200*time.Millisecond)
	defer cancel()
	if _, err := rpcSlow.Call(short, c, wrapperspb.UInt64(1500)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v", err)
	}
	rpcWorks(t, c) // behind the call that Rust lets run to its end
}

// TestRPCLimitsOfRust: the Rust server refuses with a reason, or ends the oldest session; a pool is content with what it has.
func TestRPCLimitsOfRust(t *testing.T) {
	for _, culls := range []bool{false, true} {
		t.Run(fmt.Sprint("culls ", culls), func(t *testing.T) {
			rust := startRust(t, modern, "--rpc-peer-sessions", "3", "--rpc-cull", fmt.Sprint(culls))
			us := startOurs(t, tari.Config{})
			connect(t, us, rust, true)
			var all []*rpc.Client
			for range 3 {
				all = append(all, rpcSession(t, us, rust, rpc.ClientConfig{}))
			}
			if !culls {
				_, err := rpc.Connect(patient(t), us.host, peerID(t, rust), rpcService, rpc.ClientConfig{})
				if refused, ok := errors.AsType[*rpc.RejectedError](err); !ok || refused.Reason != rpc.RejectServerFull {
					t.Errorf("the fourth session: %v", err)
				}
				for _, c := range all {
					rpcWorks(t, c)
				}
				return
			}
			rpcWorks(t, rpcSession(t, us, rust, rpc.ClientConfig{}))
			_, err := rpcEcho.Call(patient(t), all[0], wrapperspb.Bytes(nil))
			if _, ended := errors.AsType[*rpc.SessionError](err); !ended {
				t.Errorf("the oldest session: %v", err)
			}
			for _, c := range all[1:] {
				rpcWorks(t, c)
			}
		})
	}
	rust := startRust(t, modern, "--rpc-sessions", "2")
	us := startOurs(t, tari.Config{})
	connect(t, us, rust, true)
	all := []*rpc.Client{rpcSession(t, us, rust, rpc.ClientConfig{}), rpcSession(t, us, rust, rpc.ClientConfig{})}
	_, err := rpc.Connect(patient(t), us.host, peerID(t, rust), rpcService, rpc.ClientConfig{})
	if refused, ok := errors.AsType[*rpc.RejectedError](err); !ok || refused.Reason != rpc.RejectServerFull {
		t.Errorf("the third session of two: %v", err)
	}
	for _, c := range all {
		rpcWorks(t, c)
		c.Close()
	}
	waitUntil(t, "Rust has places again", func() bool { return rust.do("rpc_served", nil).rpcAnswer(t).Sessions == 0 })
	pool := rpc.NewPool(us.host, peerID(t, rust), rpcService, rpc.PoolConfig{MaxSessions: 5})
	defer pool.Close()
	calls := make(chan error)
	for range 10 {
		go func() {
			_, err := rpcSlow.Call(patient(t), pool, wrapperspb.UInt64(100))
			calls <- err
		}()
	}
	for range 10 {
		if err := <-calls; err != nil {
			t.Errorf("through the pool: %v", err)
		}
	}
	if n := pool.Sessions(); n > 2 {
		t.Errorf("%d sessions with a server of two", n)
	}
}

// TestRPCRustGoes: a Rust server that ends in the middle of a call is an error of that call, at once.
func TestRPCRustGoes(t *testing.T) {
	for name, ends := range map[string]func(*rustPeer){"quits": (*rustPeer).stop, "crashes": (*rustPeer).kill} {
		t.Run(name, func(t *testing.T) {
			rust := startRust(t, modern)
			us := startOurs(t, tari.Config{})
			connect(t, us, rust, true)
			items := 0
			for _, err := range rpcTicks.Call(patient(t), rpcSession(t, us, rust, rpc.ClientConfig{}), wrapperspb.UInt64(1)) {
				if items++; items == 10 {
					go ends(rust)
				}
				if _, ended := errors.AsType[*rpc.SessionError](err); err != nil && !ended {
					t.Errorf("after %d items: %v", items, err)
				}
			}
			if items < 10 {
				t.Errorf("%d items", items)
			}
		})
	}
}

// rpcAnswer is what the Rust client says of a call.
type rpcAnswer struct {
	Code     int      `json:"code"` // negative: no status
	Details  string   `json:"details"`
	Items    int      `json:"items"`
	Size     int      `json:"size"`
	SHA256   string   `json:"sha256"`
	Usable   bool     `json:"usable"` // an echo behind it on the same session was answered
	Behind   string   `json:"behind"`
	Opened   int      `json:"opened"`
	Refused  []string `json:"refused"`
	Working  []bool   `json:"working"`
	Sessions int      `json:"sessions"`
}

func (ev event) rpcAnswer(t *testing.T) (a rpcAnswer) {
	t.Helper()
	if err := json.Unmarshal([]byte(ev.line), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

// rustHas waits until the Rust peer has one connection with us and knows it: before, a call of its would dial once more, and may find
// itself on the connection that loses.
func rustHas(t *testing.T, us *ourNode, rust *rustPeer) {
	t.Helper()
	waitUntil(t, "Rust knows of one connection with us", func() bool {
		all := rust.do("connections", nil).Connections
		return len(all) == 1 && all[0].NodeID == us.nodeID()
	})
}

func serveRPC(t *testing.T, us *ourNode, cfg rpc.ServerConfig) *rpc.Server {
	t.Helper()
	server := rpc.NewServer(us.host, cfg)
	t.Cleanup(func() { server.Close() })
	if err := server.Register(rpcService, rpcMethods()...); err != nil {
		t.Fatal(err)
	}
	return server
}

// TestRPCFromRust: the Rust client calls our server, whoever dialed.
func TestRPCFromRust(t *testing.T) {
	for _, weDial := range []bool{true, false} {
		t.Run(dialer(weDial), func(t *testing.T) {
			rust := startRust(t, modern)
			us := startOurs(t, tari.Config{})
			server := serveRPC(t, us, rpc.ServerConfig{})
			connect(t, us, rust, weDial)
			rustHas(t, us, rust)
			for _, c := range []struct {
				call string
				args map[string]any
				want rpcAnswer
			}{
				{"echo", map[string]any{"size": 1000, "seed": 3}, rpcAnswer{Size: 1000, SHA256: sha256Hex(patternMessage(3, 0, 1000))}},
				{"echo", map[string]any{"size": 4 << 20, "seed": 4}, rpcAnswer{Size: 4 << 20, SHA256: sha256Hex(patternMessage(4, 0, 4<<20))}},
				{"large", map[string]any{"size": 4_000_000}, rpcAnswer{Size: 4_000_000, SHA256: sha256Hex(patternMessage(0, 0, 4_000_000))}},
				{"large", map[string]any{"size": 9 << 20}, rpcAnswer{Code: int(rpc.General)}},
				{"count", map[string]any{"n": 10_000}, rpcAnswer{Items: 10_000}},
				{"count", map[string]any{"n": 3, "take": 4}, rpcAnswer{Items: 3}},
				{"large_items", map[string]any{"size": 4_000_000}, rpcAnswer{Items: 10}},
				{"ping", nil, rpcAnswer{}},
				{"fail", map[string]any{"code": 1}, rpcAnswer{Code: 1}},
				{"fail", map[string]any{"code": 2}, rpcAnswer{Code: 2}},
				{"fail", map[string]any{"code": 3}, rpcAnswer{Code: 3}},
				{"fail", map[string]any{"code": 4}, rpcAnswer{Code: 4}},
				{"fail", map[string]any{"code": 5}, rpcAnswer{Code: 5}},
				{"fail", map[string]any{"code": 6}, rpcAnswer{Code: 6}},
				{"fail", map[string]any{"code": 7}, rpcAnswer{Code: 7}},
				{"fail", map[string]any{"code": 8}, rpcAnswer{Code: 8}},
				{"fail", map[string]any{"code": 9}, rpcAnswer{Code: 9}},
				{"fail", map[string]any{"code": 10}, rpcAnswer{Code: 10}},
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

// TestRPCCancelFromRust: a Rust client that leaves an endless stream of ours, and asks the next thing, has its answer.
func TestRPCCancelFromRust(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	server := serveRPC(t, us, rpc.ServerConfig{})
	connect(t, us, rust, true)
	rustHas(t, us, rust)
	got := rust.do("rpc", map[string]any{"node_id": us.nodeID(), "call": "count", "take": 100}).rpcAnswer(t)
	if got.Items != 100 || got.Code != 0 {
		t.Errorf("got %+v", got)
	}
	// More than 20 items are on their way then, behind which its client gives the session up: see docs/rpc.md.
	waitUntil(t, "no session of Rust's is left", func() bool { return server.Sessions() == 0 })
}

// TestRPCCancelFromRustKeepsSession: behind an unhurried stream that a Rust client left there are no more than 20 items, and the
// session goes on.
func TestRPCCancelFromRustKeepsSession(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	server := serveRPC(t, us, rpc.ServerConfig{})
	connect(t, us, rust, true)
	rustHas(t, us, rust)
	got := rust.do("rpc", map[string]any{"node_id": us.nodeID(), "call": "ticks", "millis": 20, "take": 3}).rpcAnswer(t)
	if got.Items != 3 || got.Code != 0 || !got.Usable {
		t.Errorf("got %+v", got)
	}
	waitUntil(t, "no session of Rust's is left", func() bool { return server.Sessions() == 0 })
}

// TestRPCRustVanishes: a Rust client that is killed in the middle of a call leaves no session and no handler.
func TestRPCRustVanishes(t *testing.T) {
	rust := startRust(t, modern)
	us := startOurs(t, tari.Config{})
	server := serveRPC(t, us, rpc.ServerConfig{})
	connect(t, us, rust, true)
	rustHas(t, us, rust)
	rust.start("rpc", map[string]any{"node_id": us.nodeID(), "call": "slow", "millis": 600_000})
	rust.start("rpc", map[string]any{"node_id": us.nodeID(), "call": "count"})
	waitUntil(t, "both calls run", func() bool { return server.Sessions() == 2 })
	rust.kill()
	waitUntil(t, "their sessions are gone", func() bool { return server.Sessions() == 0 })
}

// TestRPCLimitsForRust: our server's limits, as a Rust client meets them.
func TestRPCLimitsForRust(t *testing.T) {
	for name, c := range map[string]struct {
		cfg     rpc.ServerConfig
		opened  int
		working []bool
	}{
		"the oldest goes": {rpc.ServerConfig{MaxPeerSessions: 3}, 5, []bool{false, false, true, true, true}},
		"the oldest stay": {rpc.ServerConfig{MaxPeerSessions: 3, KeepOldest: true}, 3, []bool{true, true, true}},
		"all are taken":   {rpc.ServerConfig{MaxSessions: 2, KeepOldest: true}, 2, []bool{true, true}},
	} {
		t.Run(name, func(t *testing.T) {
			rust := startRust(t, modern)
			us := startOurs(t, tari.Config{})
			server := serveRPC(t, us, c.cfg)
			connect(t, us, rust, true)
			rustHas(t, us, rust)
			got := rust.do("rpc_sessions", map[string]any{"node_id": us.nodeID(), "count": 5}).rpcAnswer(t)
			if got.Opened != c.opened || fmt.Sprint(got.Working) != fmt.Sprint(c.working) || len(got.Refused) != 5-c.opened {
				t.Errorf("got %+v", got)
			}
			waitUntil(t, "no session of Rust's is left", func() bool { return server.Sessions() == 0 })
		})
	}
}
