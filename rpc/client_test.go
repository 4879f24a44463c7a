package rpc

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// A context that ends, ends the call and tells the server; the session goes on.
func TestCancelUnary(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{})
		ctx, cancel := context.WithTimeout(context.Background(), second/2)
		defer cancel()
		if _, err := wait.Call(ctx, c, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		why := errors.New("had enough")
		ctx2, cancel2 := context.WithCancelCause(context.Background())
		time.AfterFunc(second, func() { cancel2(why) })
		if _, err := wait.Call(ctx2, c, nil); !errors.Is(err, why) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := h.handlers(); n != 0 {
			t.Errorf("%d handlers run", n)
		}
		if _, err := wait.Call(ctx2, c, nil); !errors.Is(err, why) || h.calls != 2 {
			t.Errorf("a call that was over before: %v, %d calls", err, h.calls)
		}
		works(t, c)
	})
}

// Whoever stops in the middle of a stream has the session back at once, and the
// server its place, whatever is still on the way.
func TestCancelStream(t *testing.T) {
	for name, stop := range map[string]func(ctx context.Context, cancel func()) bool{
		"break":   func(context.Context, func()) bool { return true },
		"context": func(_ context.Context, cancel func()) bool { cancel(); return false },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
				c := h.connect("alice", ClientConfig{})
				for round := range 20 {
					ctx, cancel := context.WithCancel(context.Background())
					items, failed := 0, error(nil)
					for item, err := range count.Call(ctx, c, nil) {
						if failed = err; err != nil {
							continue
						}
						if item.Value != uint64(items) {
							t.Fatalf("item %d is %v", items, item)
						}
						if items++; items == 1+round*50 {
							synctest.Wait() // the window is full
							if stop(ctx, cancel) {
								break
							}
						}
					}
					cancel()
					if name == "context" && !errors.Is(failed, context.Canceled) || name == "break" && failed != nil {
						t.Fatalf("round %d ended with %v", round, failed)
					}
					works(t, c)
					if n := h.handlers(); n != 0 {
						t.Fatalf("%d handlers run", n)
					}
				}
			})
		})
	}
}

// To a server of the first era nothing can be said: the session ends.
func TestCancelSeed(t *testing.T) {
	bubble(t, ServerConfig{Era: Seed}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{Era: Seed})
		for range count.Call(context.Background(), c, nil) {
			break
		}
		synctest.Wait()
		if n := h.handlers() + h.server.Sessions(); n != 0 {
			t.Errorf("%d sessions and handlers", n)
		}
		_, err := echo.Call(context.Background(), c, nil)
		if _, ended := errors.AsType[*SessionError](err); !ended {
			t.Errorf("got %v", err)
		}
	})
}

// What servers say that is no answer ends the session, and the call with it.
func TestAnswers(t *testing.T) {
	stale := func(n, size int) []byte {
		var b []byte
		for range n {
			b = appendFrame(b, response{ID: 1<<16 - 1, Payload: make([]byte, size)})
		}
		return b
	}
	for name, c := range map[string]struct {
		answer []byte
		want   func(error) bool
		goesOn bool
	}{
		"an id that never was":  {appendFrame(nil, response{ID: 2, Flags: flagFIN}), is[*SessionError], false},
		"an id of 17 bits":      {appendFrame(nil, response{ID: 1<<16 + 1, Flags: flagFIN}), is[*SessionError], false},
		"a ping's answer":       {appendFrame(nil, response{ID: 1, Flags: flagACK}), is[*SessionError], false},
		"an undefined flag":     {appendFrame(nil, response{ID: 1, Flags: 5}), is[*SessionError], false},
		"nonsense":              {[]byte{0, 0, 0, 1, 0xff}, is[*SessionError], false},
		"a large frame":         {[]byte{0, 0x80, 4, 1}, is[*SessionError], false},
		"the end":               {nil, func(err error) bool { return is[*SessionError](err) && errors.Is(err, io.ErrUnexpectedEOF) }, false},
		"half a frame":          {[]byte{0, 0, 0, 9, 8}, is[*SessionError], false},
		"a payload of nonsense": {appendFrame(nil, response{ID: 1, Flags: flagFIN, Payload: []byte{0xff}}), func(err error) bool { return CodeOf(err) == MalformedResponse }, true},
		"a status":              {appendFrame(nil, response{ID: 1, Status: NotFound, Flags: flagFIN}), func(err error) bool { return CodeOf(err) == NotFound }, true},
		"a status without FIN":  {appendFrame(nil, response{ID: 1, Status: NotFound}), func(err error) bool { return CodeOf(err) == NotFound }, true},
		"an item":               {appendFrame(nil, response{ID: 1}), func(err error) bool { return err == nil }, true},
		"late answers":          {appendFrame(append(stale(1000, 10), appendFrame(nil, response{Flags: flagACK})...), response{ID: 1, Flags: flagFIN}), func(err error) bool { return err == nil }, true},
		"too many late answers": {stale(9, 8<<20), is[*SessionError], false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := streamPair("alice")
				client := newTestClient(ours, ClientConfig{})
				var wrote sync.WaitGroup
				wrote.Go(func() {
					theirs.Write(c.answer)
					if !c.goesOn {
						theirs.CloseWrite()
					}
				})
				_, err := echo.Call(context.Background(), client, wrapperspb.Bytes(nil))
				if !c.want(err) {
					t.Errorf("got %v", err)
				}
				if (client.Err() == nil) != c.goesOn {
					t.Errorf("the session: %v", client.Err())
				}
				if c.goesOn {
					theirs.Write(appendFrame(nil, response{ID: 2, Flags: flagFIN}))
					works := func() error { _, err := echo.Call(context.Background(), client, nil); return err }
					if err := works(); err != nil {
						t.Errorf("then %v", err)
					}
				}
				client.Close()
				wrote.Wait()
			})
		})
	}
}

func is[E error](err error) bool {
	_, ok := errors.AsType[E](err)
	return ok
}

func TestMaxItem(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{MaxItem: 1004})
		for _, err := range largest.Call(context.Background(), c, wrapperspb.UInt64(1000)) {
			if err != nil {
				t.Error(err)
			}
		}
		if got, err := large.Call(context.Background(), c, wrapperspb.UInt64(5000)); err != nil || len(got.Value) != 5000 {
			t.Errorf("a last answer is bounded too: %v", err)
		}
		for _, err := range largest.Call(context.Background(), c, wrapperspb.UInt64(1005)) {
			if CodeOf(err) != ProtocolError {
				t.Error(err)
			}
		}
		if !is[*SessionError](c.Err()) {
			t.Error(c.Err())
		}
	})
}

// Close ends a call that waits, and all after it.
func TestCloseClient(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{})
		time.AfterFunc(second, func() { c.Close() })
		if _, err := wait.Call(context.Background(), c, nil); !is[*SessionError](err) || !errors.Is(err, errClosed) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		if n := h.handlers() + h.server.Sessions(); n != 0 {
			t.Errorf("%d sessions and handlers", n)
		}
		if _, err := c.Ping(context.Background()); !errors.Is(err, errClosed) {
			t.Errorf("got %v", err)
		}
		c.Close()
	})
}

// The server's end is the next call's error.
func TestServerGoes(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c, busy := h.connect("alice", ClientConfig{}), h.connect("alice", ClientConfig{})
		time.AfterFunc(second, func() { h.server.Close() })
		if _, err := wait.Call(context.Background(), busy, nil); !is[*SessionError](err) {
			t.Errorf("got %v", err)
		}
		if _, err := echo.Call(context.Background(), c, nil); !is[*SessionError](err) {
			t.Errorf("got %v", err)
		}
		_, err := Connect(context.Background(), h.host, "alice", testService, ClientConfig{})
		if err == nil {
			t.Error("a session with a closed server")
		}
	})
}

// A context that ends while a call waits for its turn takes it out of the line.
func TestCancelInLine(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{})
		var first sync.WaitGroup
		ctx, cancel := context.WithCancel(context.Background())
		first.Go(func() { _, _ = wait.Call(ctx, c, nil) })
		synctest.Wait()
		short, done := context.WithTimeout(context.Background(), second)
		defer done()
		if _, err := echo.Call(short, c, nil); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		for _, err := range count.Call(short, c, nil) {
			if !errors.Is(err, context.DeadlineExceeded) {
				t.Errorf("got %v", err)
			}
		}
		cancel()
		first.Wait()
		works(t, c)
	})
}

// A server that does not read ends the session of a call that cannot be sent.
func TestServerDoesNotRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ours, theirs := streamPair("alice")
		c := newTestClient(ours, ClientConfig{})
		started := time.Now()
		ctx, cancel := context.WithTimeout(context.Background(), 5*second)
		defer cancel()
		if _, err := echo.Call(ctx, c, wrapperspb.Bytes(make([]byte, 1<<20))); !is[*SessionError](err) || time.Since(started) != 5*second {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		if _, err := io.Copy(io.Discard, theirs); !errors.Is(err, network.ErrReset) {
			t.Errorf("the server sees %v", err)
		}
	})
}
