package rpc

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Sessions that are asked for at the same moment are all answered, and never
// more of them stand than there may be.
func TestRush(t *testing.T) {
	for name, c := range map[string]struct {
		cfg   ServerConfig
		held  int // sessions of the peer before
		rush  int
		of    func(i int) peer.ID
		stand int // of those in the rush
		left  int // sessions in the end
		ended int
	}{
		"all places": {
			cfg: ServerConfig{MaxSessions: 10}, rush: 30, of: func(i int) peer.ID { return peer.ID(fmt.Sprint(i)) },
			stand: 10, left: 10, ended: 20,
		},
		"all of a peer": {
			cfg: ServerConfig{MaxPeerSessions: 3, KeepOldest: true}, held: 1, rush: maxPendingPeer, of: func(int) peer.ID { return "alice" },
			stand: 2, left: 3, ended: 2,
		},
		"the oldest give way": {
			cfg: ServerConfig{MaxPeerSessions: 3}, held: 3, rush: maxPendingPeer, of: func(int) peer.ID { return "alice" },
			stand: maxPendingPeer, left: 3, ended: maxPendingPeer,
		},
		"culling makes no room beyond all places": {
			cfg: ServerConfig{MaxSessions: 3, MaxPeerSessions: 3}, held: 3, rush: maxPendingPeer, of: func(i int) peer.ID { return peer.ID([]string{"alice", "bob"}[i%2]) },
			left: 3, ended: -1,
		},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, c.cfg, func(t *testing.T, h *harness) {
				for range c.held {
					h.connect("alice", ClientConfig{})
				}
				var all sync.WaitGroup
				var mu sync.Mutex
				var stand []*Client
				for i := range c.rush {
					all.Go(func() {
						client, err := Connect(context.Background(), h.host, c.of(i), testService, ClientConfig{})
						mu.Lock()
						defer mu.Unlock()
						switch {
						case err == nil:
							stand = append(stand, client)
						case !rejected(err, RejectServerFull):
							t.Errorf("not refused, but: %v", err)
						}
						if n := h.server.Sessions(); n > orDefault(c.cfg.MaxSessions, maxSessions) {
							t.Errorf("%d sessions", n)
						}
						if n := h.server.PeerSessions("alice"); n > orDefault(c.cfg.MaxPeerSessions, 10) {
							t.Errorf("%d sessions of a peer", n)
						}
					})
				}
				all.Wait()
				synctest.Wait()
				if c.ended >= 0 && (len(stand) != c.stand || len(h.ended()) != c.ended) {
					t.Errorf("%d of %d stand, %d ended, want %d and %d", len(stand), c.rush, len(h.ended()), c.stand, c.ended)
				}
				if n := h.server.Sessions(); n != c.left && c.ended >= 0 || n > c.left {
					t.Errorf("%d sessions are left, want %d", n, c.left)
				}
				for _, client := range stand {
					client.Close()
				}
			})
		})
	}
}

// A client that asks and cancels without end, of a handler that does not look at
// its context, keeps one handler busy and no more.
func TestCancelLoop(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		const times = 300
		for id := range uint32(times) {
			r.send(request{ID: id + 1, Method: stuck.Number, Deadline: 600}, request{ID: id + 1, Flags: flagFIN})
		}
		synctest.Wait()
		if n := h.handlers(); n != 1 {
			t.Errorf("%d handlers run", n)
		}
		close(h.unstick)
		r.send(request{ID: times + 1, Method: echo.Number, Deadline: 1})
		for a := r.receive(); a.ID != times+1; a = r.receive() { // some of them return before it is seen that they are cancelled
			if a.Status != OK {
				t.Fatalf("got %+v", a)
			}
		}
		if h.most != 1 {
			t.Errorf("%d handlers at a time", h.most)
		}
	})
}

// A request that is too large waits behind a stream, which goes on to its end,
// and is answered then.
func TestOversizedBehindStream(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		r := h.shaken("alice")
		items, err := proto.Marshal(wrapperspb.UInt64(500))
		if err != nil {
			t.Fatal(err)
		}
		r.send(request{ID: 1, Method: count.Number, Deadline: 60, Payload: items})
		head := request{ID: 2, Method: echo.Number, Deadline: 1}.append(nil)
		const size = 6<<20 + 1
		go r.Write(append(append(tariproto.AppendFrameHeader(nil, size), head...), make([]byte, size-len(head))...))
		for i := range 500 {
			if a := r.receive(); a.ID != 1 || a.Status != OK {
				t.Fatalf("item %d: %+v", i, a)
			}
		}
		for _, want := range []response{{ID: 1, Flags: flagFIN}, {ID: 2, Status: BadRequest, Flags: flagFIN}} {
			if a := r.receive(); a.ID != want.ID || a.Status != want.Status || a.Flags != want.Flags {
				t.Errorf("got %+v, want %+v", a, want)
			}
		}
		synctest.Wait()
		r.ask(3)
	})
}

// The most that a client may ask for can be set; it is a second at least, so that
// calls are served still.
func TestDeadlineLimit(t *testing.T) {
	for _, most := range []time.Duration{time.Nanosecond, 3 * second} {
		bubble(t, ServerConfig{MaxDeadline: most}, func(t *testing.T, h *harness) {
			r := h.shaken("alice")
			started := time.Now()
			r.send(request{ID: 1, Method: wait.Number, Deadline: 60})
			if a := r.receive(); a.Status != Timeout || time.Since(started) != max(most, second) {
				t.Errorf("%v: after %v: %+v", most, time.Since(started), a)
			}
			r.ask(2)
			for _, err := range h.why() {
				if !errors.Is(err, context.DeadlineExceeded) {
					t.Errorf("the handler was told: %v", err)
				}
			}
		})
	}
}
