package messagingproto

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

const others = 20 // peers that must notice nothing

// chat sends a message every 100 ms to each of the others for a while and fails
// if one of them takes any time at all.
func chat(t *testing.T, from func(i int) *Service, to func(i int) peer.ID, rounds int) {
	t.Helper()
	var wait sync.WaitGroup
	for i := range others {
		wait.Go(func() {
			for n := range rounds {
				start := time.Now()
				if err := from(i).Send(t.Context(), to(i), fmt.Append(nil, n)); err != nil {
					t.Errorf("peer %d, message %d: %v", i, n, err)
				}
				if took := time.Since(start); took != 0 {
					t.Errorf("peer %d, message %d took %v", i, n, took)
				}
				time.Sleep(100 * time.Millisecond)
			}
		})
	}
	wait.Wait()
}

// A peer stops reading: every message to it has its reason within 30 s, other
// peers notice nothing, and nothing of its queue is left.
func TestStuckPeerHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		a := newService(t, f.host("a"), Config{})
		f.host("stuck").SetStreamHandler(tariproto.Messaging, func(network.Stream) {}) // never reads
		var arrived atomic.Int64
		name := func(i int) peer.ID { return peerID(fmt.Sprint("peer ", i)) }
		for i := range others {
			newService(t, f.host(name(i)), Config{}).Handle(func(context.Context, peer.ID, []byte) { arrived.Add(1) })
		}

		start := time.Now()
		out := outcomes{t: t}
		out.send(a, "stuck", fill('x', 100<<10))
		synctest.Wait() // its stream is open
		for range 499 {
			out.send(a, "stuck", fill('x', 100<<10))
		}
		if st := a.Stats(); st.QueuedBytes < 40<<20 {
			t.Errorf("only %d bytes wait", st.QueuedBytes)
		}
		answered := make(chan time.Duration, 1)
		go func() {
			out.wait.Wait()
			answered <- time.Since(start)
		}()
		chat(t, func(int) *Service { return a }, name, 350)

		if took := <-answered; took > 30*time.Second {
			t.Errorf("the last of its messages was answered after %v", took)
		}
		reasons := out.reasons()
		if sent := slices.Index(reasons, SendTimeout); sent < 1 || sent > 3 || reasons[499] != QueuedBehindTimeout {
			t.Errorf("reasons: %v", reasons)
		}
		if n := arrived.Load(); n != others*350 {
			t.Errorf("%d messages of %d arrived at the others", n, others*350)
		}
		if st := a.Stats(); st.Queued != 0 || st.QueuedBytes != 0 || st.OutStreams != others {
			t.Errorf("left: %+v", st)
		}
	})
}

// A peer floods a handler that takes 100 ms for each of its frames of 8 MiB: it
// is slowed down to that, and other peers notice nothing.
func TestFloodHurtsNoOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		b := newService(t, f.host("b"), Config{})
		var handled, arrived atomic.Int64
		b.Handle(func(_ context.Context, from peer.ID, _ []byte) {
			if from != "flood" {
				arrived.Add(1)
				return
			}
			time.Sleep(100 * time.Millisecond)
			handled.Add(1)
		})
		var from [others]*Service
		for i := range others {
			from[i] = newService(t, f.host(peerID(fmt.Sprint("peer ", i))), Config{})
		}

		s, err := f.host("flood").NewStream(t.Context(), "b", tariproto.Messaging)
		if err != nil {
			t.Fatal(err)
		}
		var written atomic.Int64
		go func() {
			for big := frame(string(make([]byte, MaxMessage))); ; written.Add(1) {
				if _, err := s.Write(big); err != nil {
					return
				}
			}
		}()
		const seconds = 2
		chat(t, func(i int) *Service { return from[i] }, func(int) peer.ID { return "b" }, seconds*10)
		if h, w := handled.Load(), written.Load(); h > seconds*10 || h < seconds*10-2 || w > h+2 {
			t.Errorf("%d frames written, %d handled in %d s", w, h, seconds)
		}
		if n := arrived.Load(); n != others*seconds*10 {
			t.Errorf("%d messages of the others arrived", n)
		}
		s.Reset()
	})
}
