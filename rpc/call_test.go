package rpc

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"iter"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

var eras = map[string]Era{"modern": Modern, "seed": Seed}

func eachEra(t *testing.T, f func(*testing.T, Era)) {
	for name, era := range eras {
		t.Run(name, func(t *testing.T) { synctest.Test(t, func(t *testing.T) { f(t, era) }) })
	}
}

func TestUnary(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era})
		for _, n := range []int{0, 1, 1000, readSize, keepSize, 1 << 20, 3 << 20} {
			sent := bytes.Repeat([]byte{7}, n)
			got, err := echo.Call(context.Background(), c, wrapperspb.Bytes(sent))
			if err != nil || !bytes.Equal(got.Value, sent) {
				t.Errorf("%d bytes: got %d, %v", n, len(got.GetValue()), err)
			}
		}
		if c.Latency() != 0 {
			t.Errorf("a latency of %v, with a clock that stands", c.Latency())
		}
	})
}

func TestStreaming(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era})
		for _, n := range []uint64{1, 2, 100, 5_000} {
			want := uint64(0)
			for item, err := range count.Call(context.Background(), c, wrapperspb.UInt64(n)) {
				if err != nil || item.Value != want {
					t.Fatalf("of %d, item %d is %v, %v", n, want, item, err)
				}
				want++
			}
			if want != n {
				t.Errorf("%d items of %d", want, n)
			}
		}
		items := 0
		for item, err := range largest.Call(context.Background(), c, wrapperspb.UInt64(1<<20)) {
			if err != nil || len(item.Value) != 1<<20 {
				t.Fatal(len(item.GetValue()), err)
			}
			items++
		}
		if items != 10 {
			t.Errorf("%d items of 10", items)
		}
		works(t, c)
	})
}

// A lent item is what was sent until the next is asked for, and then made of the same memory; one that is not lent stays as it is.
func TestLend(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		sizes := []int{0, 1, 100, readSize, 3, keepSize, keepSize + 1, 1 << 20, 5, 1 << 20}
		item := func(i int) []byte { return bytes.Repeat([]byte{byte(i + 1)}, sizes[i]) }
		sized := Streaming[*emptypb.Empty, *anypb.Any]{Number: 1}
		if err := h.server.Register(testService, sized.Serve(func(context.Context, peer.ID, *emptypb.Empty) iter.Seq2[*anypb.Any, error] {
			return func(yield func(*anypb.Any, error) bool) {
				for i := range sizes {
					if !yield(&anypb.Any{TypeUrl: fmt.Sprint(i), Value: item(i)}, nil) {
						return
					}
				}
				yield(nil, &Status{Code: NotFound, Text: "no more"})
			}
		})); err != nil {
			t.Fatal(err)
		}
		c := h.connect("alice", ClientConfig{Era: era})
		for lend, call := range map[bool]func(context.Context, Caller, *emptypb.Empty) iter.Seq2[*anypb.Any, error]{false: sized.Call, true: sized.Lend} {
			var got []*anypb.Any
			for m, err := range call(t.Context(), c, nil) {
				if len(got) == len(sizes) {
					if m != nil || CodeOf(err) != NotFound {
						t.Errorf("the last is %v, %v", m, err)
					}
					break
				}
				if err != nil || m.TypeUrl != fmt.Sprint(len(got)) || !bytes.Equal(m.Value, item(len(got))) {
					t.Fatalf("lent %v: item %d is %q with %d bytes, %v", lend, len(got), m.GetTypeUrl(), len(m.GetValue()), err)
				}
				got = append(got, m)
			}
			if len(got) != len(sizes) {
				t.Errorf("lent %v: %d items", lend, len(got))
			}
			for i, m := range got {
				if same := m == got[0]; i > 0 && same != lend {
					t.Errorf("lent %v: item %d is the first again: %v", lend, i, same)
				}
				if !lend && !bytes.Equal(m.Value, item(i)) {
					t.Errorf("item %d has changed", i)
				}
			}
		}
	})
}

// An empty stream is its last frame and nothing else.
func TestEmptyStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		none := Streaming[*emptypb.Empty, *emptypb.Empty]{Number: 2}
		r := h.shaken("alice")
		r.send(request{ID: 9, Method: 5, Deadline: 1})
		if a := r.receive(); a.ID != 9 || a.Status != Timeout || a.Flags != flagFIN {
			t.Errorf("got %+v", a)
		}
		h.server.Register(testService, none.Serve(emptyStream))
		c := h.connect("bob", ClientConfig{})
		for item, err := range none.Call(context.Background(), c, nil) {
			t.Errorf("an item: %v, %v", item, err)
		}
		r = h.shaken("alice")
		r.send(request{ID: 3, Method: 2, Deadline: 1})
		if a := r.receive(); a.ID != 3 || a.Status != OK || a.Flags != flagFIN || a.Payload != nil {
			t.Errorf("got %+v", a)
		}
	})
}

func TestStatuses(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era})
		for code := BadRequest; code <= Conflict+1; code++ {
			_, err := refuse.Call(context.Background(), c, wrapperspb.UInt32(uint32(code)))
			if CodeOf(err) != code || !errors.Is(err, &Status{Code: code}) || !strings.HasSuffix(err.Error(), code.String()+": so it is") {
				t.Errorf("%v: got %v", code, err)
			}
			if errors.Is(err, context.DeadlineExceeded) != (code == Timeout) {
				t.Errorf("%v is a passed deadline", code)
			}
		}
		if _, err := refuse.Call(context.Background(), c, wrapperspb.UInt32(0)); CodeOf(err) != General || strings.Contains(err.Error(), "secret") {
			t.Errorf("a handler's own error: %v", err)
		}
		if _, err := missing.Call(context.Background(), c, nil); CodeOf(err) != UnsupportedMethod {
			t.Errorf("a method that does not exist: %v", err)
		}
		works(t, c)
	})
}

func TestCodeOf(t *testing.T) {
	for _, c := range []struct {
		err  error
		want Code
	}{{nil, OK}, {errors.New("x"), General}, {&Status{Code: NotFound}, NotFound}, {fmt.Errorf("x: %w", &Status{Code: 99}), 99}} {
		if got := CodeOf(c.err); got != c.want {
			t.Errorf("%v: %v", c.err, got)
		}
	}
	if got := Code(99).String() + RejectReason(9).String() + (&Status{Code: NotFound}).Error(); got != "unknown status 99unknown reason 9rpc: not found" {
		t.Error(got)
	}
}

// A peer's text is cut and cleaned.
func TestStatusText(t *testing.T) {
	for sent, want := range map[string]string{
		"":                                  "",
		"short":                             "short",
		"line\nline\x1b[31m":                "line line [31m",
		"left\u202eright\u2028\u00ad\u200b": "leftright",
		"bad \xff utf-8":                    "bad \uFFFD utf-8",
		strings.Repeat("a", 600):            strings.Repeat("a", 512) + "… (truncated, 600 bytes)",
	} {
		if got := statusOf(response{Status: General, Payload: []byte(sent)}); got.Text != want || got.Code != General {
			t.Errorf("%q reads %q", sent, got.Text)
		}
	}
}

// A reply that fits into a frame arrives, the next larger one is an error of its
// call.
func TestLargestReply(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era})
		// id 1, FIN, tag and length of the payload; tag and length of the field
		const head = 2 + 2 + 5 + 5
		most := rulesOf(era).frame - head
		got, err := large.Call(context.Background(), c, wrapperspb.UInt64(uint64(most)))
		if err != nil || len(got.Value) != most {
			t.Errorf("%d bytes: got %d, %v", most, len(got.GetValue()), err)
		}
		if _, err := large.Call(context.Background(), c, wrapperspb.UInt64(uint64(most+1))); CodeOf(err) != General {
			t.Errorf("one more: %v", err)
		}
		for _, err := range largest.Call(context.Background(), c, wrapperspb.UInt64(uint64(most+3))) {
			if CodeOf(err) != General {
				t.Errorf("an item: %v", err)
			}
		}
		works(t, c)
	})
}

func TestLargestRequest(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era})
		most := rulesOf(era).request - 2 - 2 - 2 - 5 - 5 // id, method, deadline; two tags with their lengths
		if era == Modern {
			if _, err := echo.Call(context.Background(), c, wrapperspb.Bytes(make([]byte, most))); err != nil {
				t.Error(err)
			}
		}
		if _, err := echo.Call(context.Background(), c, wrapperspb.Bytes(make([]byte, most+4))); err == nil || CodeOf(err) != General {
			t.Errorf("one more: %v", err)
		}
		works(t, c)
	})
}

func TestBudgets(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		c := h.connect("alice", ClientConfig{})
		v, _ := structpb.NewStruct(map[string]any{"a": 1, "b": 2})
		if got, err := values.Call(context.Background(), c, v); err != nil || len(got.Fields) != 2 {
			t.Errorf("within the budget: %v, %v", got, err)
		}
		v, _ = structpb.NewStruct(map[string]any{"a": 1, "b": 2, "c": 3, "d": 4, "e": 5, "f": 6})
		if _, err := values.Call(context.Background(), c, v); CodeOf(err) != BadRequest {
			t.Errorf("a request over its budget: %v", err)
		}
		v, _ = structpb.NewStruct(map[string]any{"many": 1})
		if _, err := values.Call(context.Background(), c, v); CodeOf(err) != ProtocolError {
			t.Errorf("an answer over its budget: %v", err)
		}
		wrong := Unary[*wrapperspb.StringValue, *wrapperspb.StringValue]{Number: 1}
		if _, err := wrong.Call(context.Background(), c, wrapperspb.String("fine")); err != nil {
			t.Errorf("another type of the same shape: %v", err)
		}
		notUTF8 := Unary[*wrapperspb.BytesValue, *wrapperspb.StringValue]{Number: 1}
		if _, err := notUTF8.Call(context.Background(), c, wrapperspb.Bytes([]byte{0xff})); CodeOf(err) != MalformedResponse {
			t.Errorf("an answer that does not parse: %v", err)
		}
		works(t, c)
	})
}

func TestPing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		c := h.connect("alice", ClientConfig{})
		for range 3 {
			if _, err := c.Ping(context.Background()); err != nil {
				t.Fatal(err)
			}
			works(t, c)
		}
		if c.Peer() != "alice" || c.Err() != nil {
			t.Error(c.Peer(), c.Err())
		}
		if _, err := h.connect("bob", ClientConfig{Era: Seed}).Ping(context.Background()); err == nil {
			t.Error("a peer of the first era was asked for what it does not know")
		}
	})
}

// A call that takes longer than its deadline is answered Timeout at the
// deadline, with the session as it was.
func TestDeadline(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		h := serve(t, ServerConfig{Era: era})
		c := h.connect("alice", ClientConfig{Era: era, Deadline: 3 * second})
		started := time.Now()
		_, err := wait.Call(context.Background(), c, nil)
		if CodeOf(err) != Timeout || time.Since(started) != 3*second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		works(t, c)

		// One that does not look at its context as well; it holds up the next call.
		if _, err := stuck.Call(context.Background(), c, nil); CodeOf(err) != Timeout || time.Since(started) != 6*second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		time.AfterFunc(second, func() { close(h.unstick) })
		works(t, c)
		if time.Since(started) != 7*second {
			t.Errorf("the next call was answered after %v", time.Since(started))
		}
	})
}

// The gaps between items have the deadline, not the stream.
func TestStreamDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		c := h.connect("alice", ClientConfig{Deadline: 3 * second})
		started, items := time.Now(), 0
		for _, err := range stall.Call(context.Background(), c, wrapperspb.UInt64(5)) {
			if err == nil {
				items++
				time.Sleep(2 * second)
				continue
			}
			if CodeOf(err) != Timeout {
				t.Error(err)
			}
		}
		if items != 5 || time.Since(started) != 10*second {
			t.Errorf("%d items, after %v", items, time.Since(started))
		}
		works(t, c)
	})
}

// A deadline above the server's limit is served, and ends there.
func TestDeadlineIsCapped(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		started := time.Now()
		r := h.shaken("alice")
		r.send(request{ID: 1, Method: wait.Number, Deadline: 1<<64 - 1})
		if a := r.receive(); a.Status != Timeout || time.Since(started) != maxDeadline {
			t.Errorf("after %v: %+v", time.Since(started), a)
		}
	})
}

// A server that does not answer costs the deadline and the grace; what it says
// later is skipped.
func TestNoAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := streamPair("alice")
		c := newTestClient(ours, ClientConfig{Deadline: 3 * second, Grace: 2 * second})
		s := &raw{t: t, fakeStream: theirs, frames: frames{r: theirs, limit: 1 << 20}}
		started := time.Now()
		_, err := echo.Call(context.Background(), c, wrapperspb.Bytes(nil))
		if CodeOf(err) != Timeout || time.Since(started) != 5*second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		s.send(response{ID: 1, Flags: flagFIN}, response{ID: 2, Flags: flagFIN})
		if _, err := echo.Call(context.Background(), c, wrapperspb.Bytes(nil)); err != nil {
			t.Error(err)
		}
		for i, want := range []request{
			{ID: 1, Method: 1, Deadline: 3}, {ID: 1, Method: 1, Flags: flagFIN, Deadline: 3}, {ID: 2, Method: 1, Deadline: 3},
		} {
			if got, err := parseRequest(s.frame()); err != nil || got.ID != want.ID || got.Flags != want.Flags || got.Deadline != want.Deadline {
				t.Errorf("request %d: %+v, %v", i, got, err)
			}
		}
	})
}

// newTestClient is a client that has its handshake behind it.
func newTestClient(s *fakeStream, cfg ClientConfig) *Client {
	done := make(chan *Client)
	go func() {
		c, err := Connect(context.Background(), oneStream{s}, s.peer, testService, cfg)
		if err != nil {
			panic(err)
		}
		done <- c
	}()
	s.in.write(appendFrame(nil, helloReply{}))
	c := <-done
	s.out.mu.Lock()
	s.out.buf = nil
	s.out.mu.Unlock()
	return c
}

// The deadline that the server learns is the context's, rounded up.
func TestContextDeadlineIsSent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, c := range []struct {
			in   time.Duration
			want uint64
		}{{time.Millisecond, 1}, {second, 1}, {1500 * time.Millisecond, 2}, {time.Minute, 60}, {time.Hour, 120}} {
			ours, theirs := streamPair("alice")
			client := newTestClient(ours, ClientConfig{})
			ctx, cancel := context.WithTimeout(context.Background(), c.in)
			theirs.out.write(appendFrame(nil, response{ID: 1, Flags: flagFIN}))
			if _, err := echo.Call(ctx, client, wrapperspb.Bytes(nil)); err != nil {
				t.Error(err)
			}
			cancel()
			f := frames{r: theirs, limit: 1000}
			b, err := f.next()
			if r, _ := parseRequest(b); err != nil || r.Deadline != c.want {
				t.Errorf("%v is sent as %+v, %v", c.in, r, err)
			}
		}
	})
}

// Calls of one session are one after the other.
func TestConcurrentCalls(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := serve(t, ServerConfig{})
		c := h.connect("alice", ClientConfig{})
		var all sync.WaitGroup
		for i := range 50 {
			all.Go(func() {
				sent := fmt.Sprint("call ", i)
				got, err := echo.Call(context.Background(), c, wrapperspb.Bytes([]byte(sent)))
				if err != nil || string(got.Value) != sent {
					t.Errorf("%q: %q, %v", sent, got.GetValue(), err)
				}
			})
		}
		all.Wait()
		if h.most != 1 {
			t.Errorf("%d handlers at a time", h.most)
		}
	})
}
