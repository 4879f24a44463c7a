package messagingproto

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// receiver is a service at the host "b" and the means to write to it by hand.
type receiver struct {
	t    *testing.T
	net  *fakeNet
	from *fakeHost
	*Service
	in         inbox
	violations []error
}

func newReceiver(t *testing.T) *receiver {
	r := &receiver{t: t, net: newFakeNet()}
	r.from = r.net.host("a")
	r.Service = newService(t, r.net.host("b"), Config{
		OnViolation: func(from peer.ID, err error) {
			if from != "a" {
				t.Errorf("%s is to blame, not %s", "a", from)
			}
			r.violations = append(r.violations, err)
		},
	})
	r.Handle(r.in.take)
	return r
}

func (r *receiver) open(id protocol.ID) *fakeStream {
	r.t.Helper()
	s, err := r.from.NewStream(r.t.Context(), "b", id)
	if err != nil {
		r.t.Fatal(err)
	}
	return s.(*fakeStream)
}

func frame(m string) []byte {
	return append(binary.BigEndian.AppendUint32(nil, uint32(len(m))), m...)
}

func isOpen(s *fakeStream) bool {
	synctest.Wait()
	s.out.mu.Lock()
	defer s.out.mu.Unlock()
	return s.out.err == nil
}

func TestReceiveManyInOneChunk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		s := r.open(tariproto.Messaging)
		var chunk []byte
		var want []string
		for i := range 1000 {
			m := fmt.Sprint(i)
			chunk, want = append(chunk, frame(m)...), append(want, m)
		}
		s.Write(chunk)
		s.Close()
		synctest.Wait()
		if got := r.in.all(); !slices.Equal(got, want) {
			t.Errorf("got %q", got)
		}
	})
}

// What the peer sent before it reset the stream or lost the connection is still
// handed over, as far as the muxer gives it to us.
func TestReceiveBeforeReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		s := r.open(tariproto.Messaging)
		s.Write(append(frame("whole"), 0, 0, 0, 5, 'h'))
		synctest.Wait()
		s.Reset()
		synctest.Wait()
		if got := r.in.all(); !slices.Equal(got, []string{"whole"}) {
			t.Errorf("got %q", got)
		}
		if len(r.violations) != 0 {
			t.Errorf("a lost stream is no violation: %v", r.violations)
		}
	})
}

func TestHandlerSlowsPeerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, a, _, in := twoServices(t, Config{})
		release := make(chan struct{})
		in.before = func() { <-release }
		var sent atomic.Int32
		const n = 100
		for i := range n {
			go func() {
				if err := a.Send(t.Context(), "b", fill(byte(i), 60<<10)); err != nil {
					t.Error(err)
				}
				sent.Add(1)
			}()
		}
		synctest.Wait()
		// 4 frames in the window of 256 KiB, and what the receiver's buffer holds.
		if s := sent.Load(); s > 7 {
			t.Errorf("%d messages sent to a peer that handles none", s)
		}
		close(release)
		synctest.Wait()
		if got := len(in.all()); got != n {
			t.Errorf("%d of %d messages arrived", got, n)
		}
	})
}

func TestTooLargeFrame(t *testing.T) {
	for _, size := range []uint32{MaxMessage + 1, 1<<32 - 1} {
		synctest.Test(t, func(t *testing.T) {
			r := newReceiver(t)
			s := r.open(tariproto.Messaging)
			s.Write(append(frame("good"), binary.BigEndian.AppendUint32(nil, size)...))
			if isOpen(s) {
				t.Error("the stream is still open")
			}
			if got := r.in.all(); !slices.Equal(got, []string{"good"}) {
				t.Errorf("got %q", got)
			}
			if len(r.violations) != 1 {
				t.Fatalf("violations: %v", r.violations)
			}
			var ban interface{ BanFor() time.Duration }
			if !errors.As(r.violations[0], &ban) || ban.BanFor() != 10*time.Minute {
				t.Errorf("%v bans for %v", r.violations[0], ban)
			}
		})
	}
}

func TestOwnHalf(t *testing.T) {
	for id, ends := range map[protocol.ID]bool{tariproto.Messaging: false, tariproto.MessagingSeed: true} {
		synctest.Test(t, func(t *testing.T) {
			r := newReceiver(t)
			s := r.open(id)
			s.Write(frame("hello"))
			synctest.Wait()
			s.in.mu.Lock()
			defer s.in.mu.Unlock()
			if s.in.eof != ends {
				t.Errorf("%s: our half ended: %v, want %v", id, s.in.eof, ends)
			}
		})
	}
}

// A new stream takes the place of the old one, which still hands over what
// arrives within two seconds.
func TestReplacedStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		old := r.open(tariproto.Messaging)
		old.Write(frame("1"))
		synctest.Wait()
		current := r.open(tariproto.Messaging)
		synctest.Wait()
		old.Write(frame("2"))
		synctest.Wait()
		current.Write(frame("3"))
		time.Sleep(1999 * time.Millisecond)
		if !isOpen(old) {
			t.Error("the old stream was ended too early")
		}
		time.Sleep(time.Millisecond)
		if isOpen(old) {
			t.Error("the old stream is still open")
		}
		current.Write(frame("4"))
		if !isOpen(current) {
			t.Error("the new stream was ended")
		}
		if got := r.in.all(); !slices.Equal(got, []string{"1", "2", "3", "4"}) {
			t.Errorf("got %q", got)
		}
	})
}

// A replaced stream ends after two seconds although the peer goes on writing to it.
func TestReplacedStreamGoesOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		old := r.open(tariproto.Messaging)
		var writing sync.WaitGroup
		defer writing.Wait()
		writing.Go(func() {
			for range 100 {
				if _, err := old.Write(frame("and more")); err != nil {
					return
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
		synctest.Wait()
		current := r.open(tariproto.Messaging)
		synctest.Wait()
		start := time.Now()
		writing.Wait()
		if took := time.Since(start); took < 2*time.Second || took > 2200*time.Millisecond {
			t.Errorf("ended after %v", took)
		}
		if !isOpen(current) {
			t.Error("the new stream was ended")
		}
	})
}

func TestTooManyStopping(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		var streams []*fakeStream
		for range 7 {
			streams = append(streams, r.open(tariproto.Messaging))
			synctest.Wait()
		}
		// 4 of them stop, the 5th is current, 2 were refused.
		for i, s := range streams {
			if got, want := isOpen(s), i < 5; got != want {
				t.Errorf("stream %d open: %v, want %v", i, got, want)
			}
		}
		time.Sleep(2 * time.Second)
		for i, s := range streams {
			if got, want := isOpen(s), i == 4; got != want {
				t.Errorf("after two seconds: stream %d open: %v, want %v", i, got, want)
			}
		}
		if s := r.open(tariproto.Messaging); !isOpen(s) {
			t.Error("a later stream was refused")
		}
		// Another peer has nothing to do with it.
		r.from = r.net.host("c")
		if s := r.open(tariproto.Messaging); !isOpen(s) {
			t.Error("a stream of another peer was refused")
		}
	})
}

func TestTooManyReplacements(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		open := func() *fakeStream {
			s := r.open(tariproto.Messaging)
			synctest.Wait()
			return s
		}
		current := open()
		for i := range 11 {
			next := open()
			if got, want := isOpen(next), i < 10; got != want {
				t.Errorf("replacement %d open: %v, want %v", i, got, want)
			}
			if i < 10 {
				current.Close() // or too many would be stopping
				current = next
			}
		}
		if !isOpen(current) {
			t.Error("the current stream was ended")
		}
		time.Sleep(time.Second)
		if next := open(); !isOpen(next) {
			t.Error("a replacement in the next second was refused")
		}
	})
}

// Close waits for the handler and ends its context.
func TestCloseEndsHandler(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		a, b := newService(t, f.host("a"), Config{}), newService(t, f.host("b"), Config{})
		var ended atomic.Bool
		b.Handle(func(ctx context.Context, _ peer.ID, _ []byte) {
			<-ctx.Done()
			time.Sleep(time.Second)
			ended.Store(true)
		})
		if err := a.Send(t.Context(), "b", []byte("hello")); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		b.Close()
		if !ended.Load() {
			t.Error("Close did not wait for the handler")
		}
		if err := a.Send(t.Context(), "b", nil); ReasonOf(err) != ConnectionLost {
			t.Errorf("sending to a closed service: %v", err)
		}
	})
}

func TestHandleReplaces(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, b, first := twoServices(t, Config{})
		a.Send(t.Context(), "b", []byte("1"))
		synctest.Wait()
		second := new(inbox)
		b.Handle(second.take)
		a.Send(t.Context(), "b", []byte("2"))
		synctest.Wait()
		if len(first.all()) != 1 || len(second.all()) != 1 {
			t.Errorf("got %q and %q", first.all(), second.all())
		}
		if n := f.hosts["a"].opens; n != 1 {
			t.Errorf("%d streams", n)
		}
	})
}

// No leave to hold a large message: the stream is reset, nobody is blamed.
func TestNoMemory(t *testing.T) {
	var scope tightScope
	f := frames{r: endless{}, scope: &scope}
	defer f.release()
	f.buf = frame(string(fill('x', 1<<20)))[:8]
	f.end = 8
	if _, err := f.next(); !errors.Is(err, errNoMemory) {
		t.Errorf("got %v", err)
	}
	if f.release(); scope.held != 0 {
		t.Errorf("%d bytes still reserved", scope.held)
	}
}

type tightScope struct {
	network.NullScope
	held int
}

func (s *tightScope) ReserveMemory(n int, _ uint8) error {
	if s.held+n > 256<<10 {
		return network.ErrResourceLimitExceeded
	}
	s.held += n
	return nil
}

func (s *tightScope) ReleaseMemory(n int) { s.held -= n }

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }
