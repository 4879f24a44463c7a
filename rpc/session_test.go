package rpc

import (
	"context"
	"errors"
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// bubble runs a test on a fake clock, with a server.
func bubble(t *testing.T, cfg ServerConfig, f func(*testing.T, *harness)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) { f(t, serve(t, cfg)) })
}

// ask sends a request that echo answers, and checks that it does.
func (r *raw) ask(id uint32) {
	r.t.Helper()
	r.send(request{ID: id, Method: echo.Number, Deadline: 1})
	if a := r.receive(); a.ID != id || a.Status != OK || a.Flags != flagFIN {
		r.t.Fatalf("asked for %d, got %+v", id, a)
	}
}

// The first bytes on the wire, as tari_comms writes them.
func TestHandshakeBytes(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.raw("alice")
		r.Write([]byte("\x00\x00\x00\x03\x0a\x01\x00"))
		answer := make([]byte, 6)
		if _, err := io.ReadFull(r, answer); err != nil || string(answer) != "\x00\x00\x00\x02\x08\x00" {
			t.Errorf("%x, %v", answer, err)
		}
		ours, theirs := streamPair("bob")
		newTestClient(ours, ClientConfig{})
		_ = theirs
		h.raw("bob").Write([]byte{0})
	})
}

func TestHandshakeRefused(t *testing.T) {
	tooLarge := func(err error) bool { _, ok := errors.AsType[*tariproto.FrameSizeError](err); return ok }
	for name, c := range map[string]struct {
		sent []byte
		want func(error) bool
	}{
		"no version of ours": {appendFrame(nil, hello{[]uint32{1, 2}}), func(err error) bool {
			e, ok := errors.AsType[*RejectedError](err)
			return ok && e.Reason == RejectVersion
		}},
		"no version at all": {appendFrame(nil, hello{}), func(err error) bool { _, ok := errors.AsType[*RejectedError](err); return ok }},
		"malformed":         {[]byte{0, 0, 0, 1, 0xff}, func(err error) bool { return err != nil }},
		"1025 bytes":        {[]byte{0, 0, 4, 1}, tooLarge},
		"4 GiB":             {[]byte{0xff, 0xff, 0xff, 0xff}, tooLarge},
		"silence":           {nil, isTimeout},
		"half a frame":      {[]byte{0, 0, 0, 3, 0x0a}, isTimeout},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
				started := time.Now()
				r := h.raw("alice")
				r.Write(c.sent)
				reply, err := r.frames.next()
				if err == nil {
					if got, err := parseHelloReply(reply); err != nil || !got.Rejected || got.Reason != RejectVersion {
						t.Errorf("answered %+v, %v", got, err)
					}
					r.gone()
				}
				synctest.Wait()
				if ends := h.ended(); len(ends) != 1 || !c.want(ends[0]) {
					t.Errorf("ended with %v", ends)
				}
				if took := time.Since(started); took > 10*second || (name == "silence" || name == "half a frame") != (took == 10*second) {
					t.Errorf("it took %v", took)
				}
			})
		})
	}
}

// What servers answer that is no session.
func TestHandshakeOfClient(t *testing.T) {
	for name, c := range map[string]struct {
		answer []byte
		want   error
		took   time.Duration
	}{
		"full":         {appendFrame(nil, helloReply{Rejected: true, Reason: RejectServerFull}), &RejectedError{RejectServerFull}, 0},
		"no reason":    {appendFrame(nil, helloReply{Rejected: true}), &RejectedError{}, 0},
		"version 1":    {appendFrame(nil, helloReply{Accepted: 1}), &RejectedError{RejectVersion}, 0},
		"nothing said": {[]byte{0, 0, 0, 0}, &SessionError{}, 0},
		"too large":    {[]byte{0, 0, 4, 1}, &SessionError{}, 0},
		"silence":      {nil, &SessionError{}, 90 * second},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ours, theirs := streamPair("alice")
				theirs.Write(c.answer)
				started := time.Now()
				_, err := Connect(context.Background(), oneStream{ours}, "alice", testService, ClientConfig{})
				if fmt.Sprintf("%T", err) != fmt.Sprintf("%T", c.want) || time.Since(started) != c.took {
					t.Errorf("after %v: %v", time.Since(started), err)
				}
				if want, ok := c.want.(*RejectedError); ok && *err.(*RejectedError) != *want {
					t.Errorf("%v, want %v", err, want)
				}
				if _, err := theirs.Write([]byte{0}); err == nil {
					t.Error("the stream is still open")
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		ours, _ := streamPair("alice")
		ctx, cancel := context.WithTimeout(context.Background(), second)
		defer cancel()
		if _, err := Connect(ctx, oneStream{ours}, "alice", testService, ClientConfig{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		if _, err := Connect(ctx, newFakeHost(t), "alice", testService, ClientConfig{}); err == nil {
			t.Error("a session without a stream")
		}
	})
}

// What a client may say and what not: the answers to it, and whether the session
// goes on.
func TestRequests(t *testing.T) {
	for name, c := range map[string]struct {
		sent   []byte
		want   []response
		goesOn bool
	}{
		"no deadline":           {appendFrame(nil, request{ID: 5, Method: 1}), []response{{ID: 5, Status: BadRequest, Flags: flagFIN}}, true},
		"no such method":        {appendFrame(nil, request{ID: 5, Method: 99, Deadline: 1}), []response{{ID: 5, Status: UnsupportedMethod, Flags: flagFIN}}, true},
		"ping":                  {appendFrame(nil, request{Flags: flagACK, Deadline: 1}), []response{{Flags: flagACK}}, true},
		"ping without deadline": {appendFrame(nil, request{ID: 8, Flags: flagACK}), []response{{ID: 8, Flags: flagACK}}, true},
		"FIN of nothing":        {appendFrame(nil, request{ID: 5, Flags: flagFIN}), nil, true},
		"no id":                 {appendFrame(nil, request{Method: 1, Deadline: 1}), []response{{Flags: flagFIN}}, true},
		"id of 32 bits":         {appendFrame(nil, request{ID: 1<<32 - 1, Method: 1, Deadline: 1}), []response{{ID: 1<<32 - 1, Flags: flagFIN}}, true},
		"payload that does not parse": {
			appendFrame(nil, request{ID: 5, Method: 1, Deadline: 1, Payload: []byte{0xff}}),
			[]response{{ID: 5, Status: BadRequest, Flags: flagFIN}},
			true,
		},
		"undefined flag": {appendFrame(nil, request{ID: 5, Method: 1, Deadline: 1, Flags: 4}), nil, false},
		"malformed":      {[]byte{0, 0, 0, 1, 0xff}, nil, false},
		"empty frame":    {[]byte{0, 0, 0, 0}, []response{{Status: BadRequest, Flags: flagFIN}}, true}, // a request of zeros
		"too large for a frame": {
			tariproto.AppendFrameHeader(nil, 8<<20+1<<10+1), nil, false,
		},
		"4 GiB": {tariproto.AppendFrameHeader(nil, 1<<32-1), nil, false},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
				r := h.shaken("alice")
				r.ask(4)
				r.Write(c.sent)
				for _, want := range c.want {
					if got := r.receive(); got.ID != want.ID || got.Status != want.Status || got.Flags != want.Flags || (len(got.Payload) > 0) != (want.Status != OK) {
						t.Errorf("got %+v, want %+v", got, want)
					}
				}
				if c.goesOn {
					r.ask(6)
				} else {
					r.gone()
					synctest.Wait()
					if ends := h.ended(); len(ends) != 1 || ends[0] == nil {
						t.Errorf("ended with %v", ends)
					}
				}
			})
		})
	}
}

// A request that is too large is answered with its id and not kept.
func TestOversizedRequests(t *testing.T) {
	eachEra(t, func(t *testing.T, era Era) {
		if era == Seed {
			return // there the limit of a frame is that of a request
		}
		h := serve(t, ServerConfig{Era: era})
		r := h.shaken("alice")
		for _, size := range []int{6<<20 + 1, 8 << 20} {
			head := request{ID: 77, Method: 1, Deadline: 1}.append(nil)
			r.Write(append(tariproto.AppendFrameHeader(nil, size), head...))
			go r.Write(make([]byte, size-len(head)))
			if got := r.receive(); got.ID != 77 || got.Status != BadRequest || got.Flags != flagFIN {
				t.Errorf("%d bytes: %+v", size, got)
			}
			synctest.Wait()
			r.ask(78)
		}
	})
}

// A FIN cancels the running call; nothing of it is answered, and the next call is.
func TestFINCancels(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		for _, m := range []uint32{wait.Number, stall.Number, count.Number} {
			r.send(request{ID: 1, Method: m, Deadline: 60})
			synctest.Wait()
			if n := h.handlers(); n != 1 {
				t.Fatalf("%d handlers run", n)
			}
			time.Sleep(leadTime)
			r.send(request{ID: 1, Method: m, Flags: flagFIN, Deadline: 60})
			if m == count.Number { // items that were on their way
				for range 100_000 {
					if r.frames.end-r.frames.start == 0 {
						r.in.mu.Lock()
						left := len(r.in.buf)
						r.in.mu.Unlock()
						if synctest.Wait(); left == 0 {
							break
						}
					}
					if got := r.receive(); got.ID != 1 || got.Flags != 0 {
						t.Fatalf("got %+v", got)
					}
				}
			}
			synctest.Wait()
			if n := h.handlers(); n != 0 {
				t.Fatalf("method %d still runs after its FIN", m)
			}
			r.ask(2)
		}
		for _, err := range h.why() {
			if err != errCancelled {
				t.Errorf("the handler was told: %v", err)
			}
		}
	})
}

// A request behind the one that runs waits for its turn, whether small or large.
func TestPipelined(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		for _, size := range []int{0, 200, 1 << 20} {
			r.send(request{ID: 1, Method: wait.Number, Deadline: 3})
			second := request{ID: 2, Method: echo.Number, Deadline: 1, Payload: payload(size)}
			go r.Write(appendFrame(nil, second))
			synctest.Wait()
			if n := h.handlers(); n != 1 {
				t.Errorf("%d handlers run", n)
			}
			if a := r.receive(); a.ID != 1 || a.Status != Timeout {
				t.Errorf("got %+v", a)
			}
			if a := r.receive(); a.ID != 2 || a.Status != OK || len(a.Payload) < size {
				t.Errorf("then %+v", a)
			}
		}
		if h.most != 1 {
			t.Errorf("%d handlers at a time", h.most)
		}
	})
}

func payload(size int) []byte {
	b, _ := appendWith(nil, response{}, wrapperspb.Bytes(make([]byte, size)), 8<<20)
	r, _ := parseResponse(b[headSize:])
	return r.Payload
}

// A client that goes while its call runs ends the call and frees its place.
func TestHangUp(t *testing.T) {
	for name, leave := range map[string]func(*raw){
		"close":       func(r *raw) { r.Close() },
		"close write": func(r *raw) { r.CloseWrite() },
		"reset":       func(r *raw) { r.Reset() },
		"mid-frame":   func(r *raw) { r.Write([]byte{0, 0, 1, 0, 8}); r.CloseWrite() },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
				for _, m := range []uint32{wait.Number, stall.Number, count.Number} {
					r := h.shaken("alice")
					r.send(request{ID: 1, Method: m, Deadline: 60})
					synctest.Wait()
					leave(r)
					time.Sleep(leadTime)
					synctest.Wait()
					if n := h.server.Sessions() + h.handlers(); n != 0 && name != "mid-frame" {
						t.Errorf("method %d: %d sessions and handlers are left", m, n)
					}
					time.Sleep(time.Minute) // a half frame is no end, until the deadline
					synctest.Wait()
					if n := h.server.Sessions() + h.handlers(); n != 0 {
						t.Errorf("method %d: %d sessions and handlers are left after a minute", m, n)
					}
				}
			})
		})
	}
}

// Clients that vanish in the middle of a call leave nothing behind.
func TestVanish(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		for i := range vanishing {
			r := h.shaken(peer.ID(fmt.Sprint(i % 7)))
			items := []byte{8, 0xa0, 0x9c, 1} // of 20,000 bytes
			r.send(request{ID: 1, Method: []uint32{wait.Number, stall.Number, largest.Number}[i%3], Deadline: 60, Payload: items})
			if i%2 == 0 {
				synctest.Wait()
			}
			r.Reset()
			if i%50 == 0 {
				synctest.Wait()
			}
		}
		time.Sleep(leadTime)
		synctest.Wait()
		if n := h.server.Sessions() + h.handlers(); n != 0 {
			t.Errorf("%d sessions and handlers are left", n)
		}
		works(t, h.connect("alice", ClientConfig{}))
	})
}

// A client that cancels and reads nothing more has some seconds for the frame
// that is on its way; one that goes has none, also with a call behind.
func TestCancelsAndDoesNotRead(t *testing.T) {
	for name, c := range map[string]struct {
		then func(*raw)
		took time.Duration
	}{
		"stays":           {func(*raw) {}, refusalTime},
		"stays, and asks": {func(r *raw) { r.send(request{ID: 2, Method: echo.Number, Deadline: 9}) }, refusalTime},
		"goes":            {func(r *raw) { r.CloseWrite() }, 0},
		"asks, and goes":  {func(r *raw) { r.send(request{ID: 2, Method: echo.Number, Deadline: 9}); r.CloseWrite() }, 0},
	} {
		for _, asked := range []request{
			{ID: 1, Method: count.Number, Deadline: 600},
			{ID: 1, Method: echo.Number, Deadline: 600, Payload: payload(1 << 20)},
		} {
			t.Run(fmt.Sprintf("%s, method %d", name, asked.Method), func(t *testing.T) {
				bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
					r := h.shaken("alice")
					r.send(asked)
					time.Sleep(leadTime)
					synctest.Wait()
					r.send(request{ID: 1, Method: asked.Method, Flags: flagFIN, Deadline: 600})
					c.then(r)
					started := time.Now()
					for synctest.Wait(); h.server.Sessions() != 0; synctest.Wait() {
						time.Sleep(second)
					}
					if took := time.Since(started); took != c.took {
						t.Errorf("its place was free after %v", took)
					}
				})
			})
		}
	}
}

// A call that is cancelled before its turn is not made.
func TestCancelledInLine(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		r.send(request{ID: 1, Method: wait.Number, Deadline: 3}, request{ID: 2, Method: wait.Number, Deadline: 3}, request{ID: 2, Flags: flagFIN})
		if a := r.receive(); a.ID != 1 || a.Status != Timeout {
			t.Errorf("got %+v", a)
		}
		r.ask(3)
		if h.calls != 2 {
			t.Errorf("%d calls", h.calls)
		}
	})
}

// A client that does not read holds its place for the deadline, and no longer.
func TestClientDoesNotRead(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		r.send(request{ID: 1, Method: count.Number, Deadline: 7})
		synctest.Wait()
		if h.server.Sessions() != 1 {
			t.Fatal("no session")
		}
		time.Sleep(7*second + time.Millisecond)
		synctest.Wait()
		if n := h.server.Sessions() + h.handlers(); n != 0 {
			t.Errorf("%d sessions and handlers are left", n)
		}
		if ends := h.ended(); len(ends) != 1 || !isTimeout(ends[0]) {
			t.Errorf("ended with %v", ends)
		}
	})
}

// A slow client gets every item, and the server holds few of them.
func TestSlowClient(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{})
		want := uint64(0)
		for item, err := range count.Call(context.Background(), c, wrapperspb.UInt64(5_000)) {
			if err != nil || item.Value != want {
				t.Fatalf("item %d: %v, %v", want, item, err)
			}
			if want++; want%100 == 0 {
				time.Sleep(second)
			}
		}
		if want != 5_000 {
			t.Errorf("%d items", want)
		}
	})
}

// Only calls keep a session from being idle.
func TestIdle(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r, started := h.shaken("alice"), time.Now()
		time.Sleep(5 * time.Minute)
		r.ask(1)
		for range 9 {
			time.Sleep(time.Minute)
			r.send(request{Flags: flagACK, Deadline: 1}, request{ID: 3, Flags: flagFIN}, request{ID: 4, Method: 1})
			r.receive()
			if a := r.receive(); a.Status != BadRequest {
				t.Errorf("got %+v", a)
			}
		}
		if err := r.gone(); err != io.EOF || time.Since(started) != 15*time.Minute {
			t.Errorf("after %v: %v", time.Since(started), err)
		}
		synctest.Wait()
		if ends := h.ended(); len(ends) != 1 || ends[0] != errIdle || h.server.Sessions() != 0 {
			t.Errorf("ended with %v", ends)
		}
	})
}

// A call may take longer than a session may be idle.
func TestIdleAfterLongCall(t *testing.T) {
	bubble(t, ServerConfig{Idle: 10 * second}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		r.send(request{ID: 1, Method: wait.Number, Deadline: 30})
		if a := r.receive(); a.Status != Timeout {
			t.Errorf("got %+v", a)
		}
		time.Sleep(9 * second)
		r.ask(2)
	})
}

// Close ends handshakes, idle sessions, running calls and writes that nobody
// reads, and waits for the handlers.
func TestCloseServer(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		h.raw("alice") // says nothing
		idle := h.shaken("bob")
		waits, stalls, counts := h.shaken("carol"), h.shaken("carol"), h.shaken("carol")
		waits.send(request{ID: 1, Method: wait.Number, Deadline: 60})
		stalls.send(request{ID: 1, Method: stall.Number, Deadline: 60})
		counts.send(request{ID: 1, Method: count.Number, Deadline: 60})
		holds := h.shaken("dave")
		holds.send(request{ID: 1, Method: stuck.Number, Deadline: 60})
		synctest.Wait()

		closed := make(chan struct{})
		go func() { h.server.Close(); close(closed) }()
		synctest.Wait()
		if err := idle.gone(); err != io.EOF {
			t.Errorf("an idle session ended with %v", err)
		}
		if n := h.server.Sessions(); n != 1 {
			t.Errorf("%d sessions are left beside the one whose handler does not return", n)
		}
		select {
		case <-closed:
			t.Error("Close did not wait for a handler")
		default:
		}
		close(h.unstick)
		<-closed
		h.server.Close() // once more
		if _, err := h.host.open("alice", testService); err == nil {
			t.Error("the service is still there")
		}
		if err := h.server.Register("t/other/1"); err == nil {
			t.Error("a closed server takes services")
		}
		for _, err := range h.why() {
			if err != errClosed {
				t.Errorf("a handler was told: %v", err)
			}
		}
	})
}

func TestRegister(t *testing.T) {
	s := NewServer(newFakeHost(t), ServerConfig{})
	defer s.Close()
	m := echo.Serve(nil)
	if err := s.Register("t/x/1", m, count.Serve(nil), m); err == nil {
		t.Error("two methods with one number")
	}
	other := Unary[*emptypb.Empty, *emptypb.Empty]{Number: 1}.Serve(func(context.Context, peer.ID, *emptypb.Empty) (*emptypb.Empty, error) { return nil, nil })
	if err := errors.Join(s.Register("t/x/1", m), s.Register("t/x/1", other)); err != nil {
		t.Error(err)
	}
}
