package rpc

import (
	"context"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const testService protocol.ID = "t/test/1"

// The methods of the tests.
var (
	echo    = Unary[*wrapperspb.BytesValue, *wrapperspb.BytesValue]{Number: 1}
	count   = Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 2} // 0 counts for ever
	refuse  = Unary[*wrapperspb.UInt32Value, *emptypb.Empty]{Number: 3}              // with a status
	wait    = Unary[*emptypb.Empty, *emptypb.Empty]{Number: 4}                       // for the end of its context
	stall   = Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 5} // counts, and waits for the end of its context
	large   = Unary[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 6}      // of so many bytes
	largest = Streaming[*wrapperspb.UInt64Value, *wrapperspb.BytesValue]{Number: 7}  // ten items of so many bytes
	values  = Unary[*structpb.Struct, *structpb.Struct]{Number: 8, Budget: Budget{Request: 10, Response: 20}}
	stuck   = Unary[*emptypb.Empty, *emptypb.Empty]{Number: 9} // does not look at its context
	missing = Unary[*emptypb.Empty, *emptypb.Empty]{Number: 77}
)

// harness is a server of these methods, and what became of its sessions.
type harness struct {
	t      *testing.T
	host   *fakeHost
	server *Server

	atMost  uint64        // if not 0, the items of count
	unstick chan struct{} // closed, it lets stuck return

	mu      sync.Mutex
	running int // handlers
	most    int // of them at a time
	calls   int
	causes  []error // why the contexts of wait and stall ended
	ends    []error
}

func serve(t *testing.T, cfg ServerConfig) *harness {
	t.Helper()
	h := &harness{t: t, host: newFakeHost(t), unstick: make(chan struct{})}
	cfg.OnEnd = func(_ peer.ID, service protocol.ID, err error) {
		if service != testService {
			t.Errorf("a session of %q ended", service)
		}
		h.mu.Lock()
		defer h.mu.Unlock()
		h.ends = append(h.ends, err)
	}
	h.server = NewServer(h.host, cfg)
	if err := h.server.Register(testService, h.methods()...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		h.server.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		if n := h.server.Sessions(); n != 0 || len(h.server.sessions) != 0 || h.server.pending != 0 || len(h.server.pendings) != 0 || h.running != 0 {
			t.Errorf("after Close: %d sessions, %d peers, %d handshakes, %d handlers", n, len(h.server.sessions), h.server.pending, h.running)
		}
		if h.most > 0 && h.running != 0 {
			t.Errorf("%d handlers run after Close", h.running)
		}
	})
	return h
}

// enter counts a handler until the returned function is called.
func (h *harness) enter() func() {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.running++
	h.calls++
	h.most = max(h.most, h.running)
	return func() {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.running--
	}
}

func (h *harness) until(ctx context.Context) error {
	<-ctx.Done()
	h.mu.Lock()
	defer h.mu.Unlock()
	h.causes = append(h.causes, context.Cause(ctx))
	return ctx.Err()
}

func (h *harness) methods() []Method {
	items := func(f func(ctx context.Context, n uint64, yield func(*wrapperspb.UInt64Value, error) bool)) func(context.Context, peer.ID, *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
		return func(ctx context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
			return func(yield func(*wrapperspb.UInt64Value, error) bool) {
				defer h.enter()()
				f(ctx, n.Value, yield)
			}
		}
	}
	return []Method{
		echo.Serve(func(_ context.Context, _ peer.ID, req *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			defer h.enter()()
			return req, nil
		}),
		count.Serve(items(func(_ context.Context, n uint64, yield func(*wrapperspb.UInt64Value, error) bool) {
			if h.atMost != 0 && (n == 0 || n > h.atMost) {
				n = h.atMost
			}
			for i := uint64(0); n == 0 || i < n; i++ {
				if !yield(wrapperspb.UInt64(i), nil) {
					return
				}
			}
		})),
		refuse.Serve(func(_ context.Context, _ peer.ID, code *wrapperspb.UInt32Value) (*emptypb.Empty, error) {
			if code.Value == 0 {
				return nil, fmt.Errorf("a secret of ours")
			}
			return nil, fmt.Errorf("wrapped: %w", &Status{Code(code.Value), "so it is"})
		}),
		wait.Serve(func(ctx context.Context, _ peer.ID, _ *emptypb.Empty) (*emptypb.Empty, error) {
			defer h.enter()()
			return nil, h.until(ctx)
		}),
		stall.Serve(items(func(ctx context.Context, n uint64, yield func(*wrapperspb.UInt64Value, error) bool) {
			if h.atMost != 0 {
				n = min(n, h.atMost)
			}
			for i := range n {
				if !yield(wrapperspb.UInt64(i), nil) {
					return
				}
			}
			yield(nil, h.until(ctx))
		})),
		large.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) (*wrapperspb.BytesValue, error) {
			return wrapperspb.Bytes(make([]byte, min(n.Value, 16<<20))), nil
		}),
		largest.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.BytesValue, error] {
			return func(yield func(*wrapperspb.BytesValue, error) bool) {
				for range 10 {
					if !yield(wrapperspb.Bytes(make([]byte, min(n.Value, 16<<20))), nil) {
						return
					}
				}
			}
		}),
		values.Serve(func(_ context.Context, _ peer.ID, v *structpb.Struct) (*structpb.Struct, error) {
			if v.Fields["many"] == nil {
				return v, nil
			}
			list := &structpb.ListValue{}
			for range 21 {
				list.Values = append(list.Values, structpb.NewBoolValue(true))
			}
			return &structpb.Struct{Fields: map[string]*structpb.Value{"list": structpb.NewListValue(list)}}, nil
		}),
		stuck.Serve(func(context.Context, peer.ID, *emptypb.Empty) (*emptypb.Empty, error) {
			defer h.enter()()
			<-h.unstick
			return nil, nil
		}),
	}
}

// connect opens a session that is closed at the end of the test.
func (h *harness) connect(p peer.ID, cfg ClientConfig) *Client {
	h.t.Helper()
	c, err := Connect(context.Background(), h.host, p, testService, cfg)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { c.Close() })
	return c
}

// works fails the test if the session does not serve.
func works(t *testing.T, c Caller) {
	t.Helper()
	sent := strings.Repeat("ping", 10)
	got, err := echo.Call(context.Background(), c, wrapperspb.Bytes([]byte(sent)))
	if err != nil || string(got.Value) != sent {
		t.Fatalf("the session does not work: %q, %v", got.GetValue(), err)
	}
}

func (h *harness) ended() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]error(nil), h.ends...)
}

func (h *harness) why() []error {
	h.mu.Lock()
	defer h.mu.Unlock()
	return append([]error(nil), h.causes...)
}

func (h *harness) handlers() int {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.running
}

// raw is a client that does as it is told.
type raw struct {
	t *testing.T
	*fakeStream
	frames frames
}

func (h *harness) raw(p peer.ID) *raw {
	h.t.Helper()
	s, err := h.host.open(p, testService)
	if err != nil {
		h.t.Fatal(err)
	}
	h.t.Cleanup(func() { s.Reset() })
	return &raw{t: h.t, fakeStream: s, frames: frames{r: s, limit: 16 << 20}}
}

// shaken is raw after its handshake.
func (h *harness) shaken(p peer.ID) *raw {
	h.t.Helper()
	r := h.raw(p)
	r.send(hello{[]uint32{version}})
	if reply, err := parseHelloReply(r.frame()); err != nil || reply.Rejected {
		h.t.Fatalf("refused: %+v, %v", reply, err)
	}
	return r
}

func (r *raw) send(ms ...message) {
	r.t.Helper()
	for _, m := range ms {
		if _, err := r.Write(appendFrame(nil, m)); err != nil {
			r.t.Fatal(err)
		}
	}
}

func (r *raw) frame() []byte {
	r.t.Helper()
	b, err := r.frames.next()
	if err != nil {
		r.t.Fatal(err)
	}
	return b
}

func (r *raw) receive() response {
	r.t.Helper()
	a, err := parseResponse(r.frame())
	if err != nil {
		r.t.Fatal(err)
	}
	return a
}

// gone waits for the end of the stream.
func (r *raw) gone() error {
	r.t.Helper()
	b, err := r.frames.next()
	if err == nil {
		r.t.Fatalf("the session goes on: %q", b[:min(len(b), 100)])
	}
	return err
}

const second = time.Second

func emptyStream(context.Context, peer.ID, *emptypb.Empty) iter.Seq2[*emptypb.Empty, error] {
	return func(func(*emptypb.Empty, error) bool) {}
}

// oneStream is a host with one stream.
type oneStream struct{ s *fakeStream }

func (o oneStream) NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error) {
	return o.s, nil
}
