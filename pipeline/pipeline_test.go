package pipeline

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// fakeSender notes what it is to send; answers come when a test says so, or at
// once.
type fakeSender struct {
	mu     sync.Mutex
	got    []string
	refuse error
	hold   bool
	held   []func(messagingproto.Result)
}

func (f *fakeSender) SendAsync(to peer.ID, m []byte, done func(messagingproto.Result)) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.refuse != nil {
		return f.refuse
	}
	f.got = append(f.got, string(to)+":"+string(m))
	switch {
	case done == nil:
	case f.hold:
		f.held = append(f.held, done)
	default:
		go done(messagingproto.Result{Tries: 1})
	}
	return nil
}

func (f *fakeSender) all() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return strings.Join(f.got, " ")
}

func (f *fakeSender) answer(errs ...error) {
	f.mu.Lock()
	held := f.held
	f.held = nil
	f.mu.Unlock()
	for i, err := range errs {
		held[i](messagingproto.Result{Err: err})
	}
}

// tag adds a letter to what passes.
func tag(letter string) Middleware {
	return func(next Handler) Handler {
		return func(ctx context.Context, m Message) error {
			m.Body = append(slices.Clone(m.Body), letter...)
			return next(ctx, m)
		}
	}
}

func msg(to, body string) Message { return Message{Peer: peer.ID(to), Body: []byte(body)} }

func nothing(context.Context, Message) error { return nil }

func TestChain(t *testing.T) {
	var got string
	last := func(_ context.Context, m Message) error { got = string(m.Body); return nil }
	if err := Chain(last, tag("a"), tag("b"), tag("c"))(t.Context(), msg("p", "_")); err != nil || got != "_abc" {
		t.Errorf("got %q, %v", got, err)
	}
	if Chain(last)(t.Context(), msg("p", "x")); got != "x" {
		t.Errorf("without middleware: %q", got)
	}
}

// failures collects what OnError is told.
type failures struct {
	mu   sync.Mutex
	errs []error
}

func (f *failures) note(_ peer.ID, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.errs = append(f.errs, err)
}

func (f *failures) all() []error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.errs)
}

func TestInbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ch := make(chan Message, 2)
		in := NewInbound(Into(ch), InboundConfig{Middleware: []Middleware{tag("1"), tag("2")}})
		body := []byte("hello")
		in.Handle(t.Context(), "alice", body)
		copy(body, "later")
		if m := <-ch; string(m.Body) != "hello12" || m.Peer != "alice" {
			t.Errorf("got %q from %s", m.Body, m.Peer)
		}
		in.Close()
	})
}

// No more than Concurrency at once; the next ones wait where they came from.
func TestInboundConcurrency(t *testing.T) {
	for concurrency, want := range map[int]int32{0: 50, 3: 3} {
		synctest.Test(t, func(t *testing.T) {
			var running, done atomic.Int32
			release := make(chan struct{})
			in := NewInbound(func(context.Context, Message) error {
				running.Add(1)
				<-release
				running.Add(-1)
				done.Add(1)
				return nil
			}, InboundConfig{Concurrency: concurrency})
			for i := range 200 {
				go in.Handle(t.Context(), peer.ID(fmt.Sprint(i)), nil)
			}
			if synctest.Wait(); running.Load() != want {
				t.Errorf("%d at once, want %d", running.Load(), want)
			}
			close(release)
			if synctest.Wait(); done.Load() != 200 {
				t.Errorf("%d of 200 handled", done.Load())
			}
			in.Close()
		})
	}
}

// A panic is the error of its message alone.
func TestPanic(t *testing.T) {
	cause := errors.New("cause")
	var told failures
	in := NewInbound(func(_ context.Context, m Message) error {
		if string(m.Body) == "bad" {
			panic(cause)
		}
		return nil
	}, InboundConfig{Concurrency: 1, OnError: told.note})
	for _, body := range []string{"bad", "good", "bad", "good"} {
		in.Handle(t.Context(), "p", []byte(body))
	}
	errs := told.all()
	var p *PanicError
	if len(errs) != 2 || !errors.As(errs[0], &p) || !errors.Is(errs[0], cause) || !strings.Contains(string(p.Stack), "TestPanic") {
		t.Errorf("told: %v", errs)
	}
	in.Close()
	if in.Handle(t.Context(), "p", nil); !errors.Is(told.all()[2], ErrClosed) {
		t.Errorf("after Close: %v", told.all())
	}

	out := NewOutbound(new(fakeSender), OutboundConfig{Middleware: []Middleware{func(Handler) Handler {
		return func(context.Context, Message) error { panic("no") }
	}}})
	if err := out.Send(t.Context(), msg("p", "x")); !errors.As(err, &p) || p.Value != "no" {
		t.Errorf("outbound: %v", err)
	}
	out.Close()
}

// Close refuses those that wait and waits for those that run.
func TestInboundClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var told failures
		ended := false
		in := NewInbound(func(context.Context, Message) error {
			time.Sleep(time.Minute)
			ended = true
			return nil
		}, InboundConfig{Concurrency: 1, OnError: told.note})
		go in.Handle(t.Context(), "a", nil)
		synctest.Wait()
		go in.Handle(t.Context(), "b", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		in.Handle(ctx, "c", nil)
		in.Close()
		in.Close()
		if errs := told.all(); !ended || len(errs) != 2 || !errors.Is(errs[0], context.DeadlineExceeded) || !errors.Is(errs[1], ErrClosed) {
			t.Errorf("the handler had ended: %v; told: %v", ended, errs)
		}
	})
}

func TestOutbound(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeSender)
		everybody := func(next Handler) Handler {
			return func(ctx context.Context, m Message) error {
				for _, p := range []peer.ID{"a", "b", "c"} {
					if m.Peer == "all" || m.Peer == p {
						if err := next(ctx, Message{Peer: p, Body: m.Body}); err != nil {
							return err
						}
					}
				}
				return nil
			}
		}
		out := NewOutbound(f, OutboundConfig{Middleware: []Middleware{tag("!"), everybody}})
		for _, to := range []string{"a", "nobody", "all"} {
			if err := out.Send(t.Context(), msg(to, "x")); err != nil {
				t.Error(to, err)
			}
		}
		if got := f.all(); got != "a:x! a:x! b:x! c:x!" {
			t.Errorf("sent: %s", got)
		}

		// The results of all that came of a message are its result.
		f.hold = true
		result := make(chan error, 1)
		go func() { result <- out.Send(t.Context(), msg("all", "y")) }()
		synctest.Wait()
		lost := &messagingproto.SendError{Reason: messagingproto.ConnectionLost}
		full := &messagingproto.SendError{Reason: messagingproto.QueueFull}
		f.answer(nil, lost, full)
		if err := <-result; !errors.Is(err, lost) || !errors.Is(err, full) {
			t.Errorf("got %v", err)
		}
		// Who does not wait does not get the result.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := out.Send(ctx, msg("a", "z")); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("got %v", err)
		}
		f.answer(lost)
		f.refuse = full
		if err := out.Send(t.Context(), msg("a", "z")); !errors.Is(err, full) || Outcome(err) != "queue full" {
			t.Errorf("got %v", err)
		}
		out.Close()
		if err := out.Send(t.Context(), msg("a", "z")); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
	})
}

// The pipeline has 10 s, what is queued has all the time it needs.
func TestOutboundLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeSender{hold: true}
		out := NewOutbound(f, OutboundConfig{Middleware: []Middleware{func(next Handler) Handler {
			return func(ctx context.Context, m Message) error {
				if m.Peer == "slow" {
					<-ctx.Done()
				}
				return next(ctx, m)
			}
		}}})
		start := time.Now()
		err := out.Send(t.Context(), msg("slow", "x"))
		if took := time.Since(start); !errors.Is(err, ErrTimeLimit) || took != 10*time.Second || Outcome(err) != "timeout" {
			t.Errorf("after %v: %v", took, err)
		}
		result := make(chan error, 1)
		go func() { result <- out.Send(t.Context(), msg("quick", "y")) }()
		time.Sleep(50 * time.Second)
		f.answer(nil)
		if err := <-result; err != nil || f.all() != "quick:y" {
			t.Errorf("sent %s: %v", f.all(), err)
		}
		out.Close()
	})
}

func TestOutboundAsync(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeSender)
		release := make(chan struct{})
		var running, most atomic.Int32
		out := NewOutbound(f, OutboundConfig{Concurrency: 2, Queue: 3, Middleware: []Middleware{func(next Handler) Handler {
			return func(ctx context.Context, m Message) error {
				most.Store(max(most.Load(), running.Add(1)))
				<-release
				running.Add(-1)
				return next(ctx, m)
			}
		}}})
		var told atomic.Int32
		done := func(err error) {
			if err != nil {
				t.Error(err)
			}
			told.Add(1)
		}
		body := []byte("x")
		for i := range 7 {
			err := out.SendAsync(Message{Peer: "p", Body: body}, done)
			if full := i >= 5; errors.Is(err, ErrQueueFull) != full { // two run, three wait
				t.Errorf("message %d: %v", i, err)
			}
			synctest.Wait()
		}
		body[0] = 'y'
		close(release)
		out.Close() // what waits is not lost
		if err := out.SendAsync(msg("p", "x"), nil); !errors.Is(err, ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if synctest.Wait(); told.Load() != 5 || most.Load() != 2 || f.all() != "p:x p:x p:x p:x p:x" {
			t.Errorf("%d told, %d at once, sent %s", told.Load(), most.Load(), f.all())
		}
	})
}

// One worker keeps the order.
func TestOutboundAsyncInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := new(fakeSender)
		out := NewOutbound(f, OutboundConfig{Concurrency: 1})
		var want []string
		for i := range 50 {
			want = append(want, fmt.Sprint("p:", i))
			if err := out.SendAsync(msg("p", fmt.Sprint(i)), nil); err != nil {
				t.Fatal(err)
			}
		}
		out.Close()
		if got := f.all(); got != strings.Join(want, " ") {
			t.Errorf("sent: %s", got)
		}
	})
}
