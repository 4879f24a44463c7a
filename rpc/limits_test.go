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
)

func rejected(err error, why RejectReason) bool {
	e, ok := errors.AsType[*RejectedError](err)
	return ok && e.Reason == why
}

// The limits of tari_comms in each era.
func TestRules(t *testing.T) {
	m, s := rulesOf(Modern), rulesOf(Seed)
	for _, c := range []struct {
		what      string
		got, want [2]any
	}{
		{"frame", [2]any{m.frame, s.frame}, [2]any{8_389_632, 4_194_304}},
		{"request", [2]any{m.request, s.request}, [2]any{6_291_456, 4_194_304}},
		{"client handshake", [2]any{m.clientHandshake, s.clientHandshake}, [2]any{90 * second, 10 * second}},
		{"server handshake", [2]any{m.serverHandshake, s.serverHandshake}, [2]any{10 * second, 10 * second}},
		{"deadline", [2]any{m.deadline, s.deadline}, [2]any{120 * second, 30 * second}},
		{"grace", [2]any{m.grace, s.grace}, [2]any{60 * second, 10 * second}},
		{"sessions", [2]any{maxSessions, maxSessions}, [2]any{100, 100}},
		{"of a peer", [2]any{m.sessionsPerPeer, s.sessionsPerPeer}, [2]any{10, 100}},
	} {
		if c.got != c.want {
			t.Errorf("%s: %v, want %v", c.what, c.got, c.want)
		}
	}
}

// The 101st session is refused, with the reason; when one of them ends there is
// a place again.
func TestMaxSessions(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		var all []*Client
		for i := range 100 {
			all = append(all, h.connect(peer.ID(fmt.Sprint("peer ", i/10)), ClientConfig{}))
		}
		if n := h.server.Sessions(); n != 100 {
			t.Errorf("%d sessions", n)
		}
		if _, err := Connect(context.Background(), h.host, "one more", testService, ClientConfig{}); !rejected(err, RejectServerFull) {
			t.Errorf("the 101st: %v", err)
		}
		all[50].Close()
		synctest.Wait()
		works(t, h.connect("one more", ClientConfig{}))
		for _, c := range append(all[:50], all[51:]...) {
			works(t, c)
		}
	})
}

// The eleventh session of a peer ends its first, whatever that does.
func TestCulling(t *testing.T) {
	for name, busy := range map[string]func(*harness, *raw){
		"idle":            func(*harness, *raw) {},
		"in a call":       func(_ *harness, r *raw) { r.send(request{ID: 1, Method: wait.Number, Deadline: 600}) },
		"in a stream":     func(_ *harness, r *raw) { r.send(request{ID: 1, Method: stall.Number, Deadline: 600}) },
		"writing to deaf": func(_ *harness, r *raw) { r.send(request{ID: 1, Method: count.Number, Deadline: 600}) },
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
				h.connect("bob", ClientConfig{})
				first := h.shaken("alice")
				busy(h, first)
				var all []*Client
				for range 10 {
					all = append(all, h.connect("alice", ClientConfig{}))
				}
				synctest.Wait()
				if n := h.server.PeerSessions("alice"); n != 10 || h.server.Sessions() != 11 || h.handlers() != 0 {
					t.Errorf("%d sessions, %d in all, %d handlers", n, h.server.Sessions(), h.handlers())
				}
				if name == "idle" {
					if err := first.gone(); err != io.EOF {
						t.Errorf("the first ended with %v", err)
					}
				}
				for _, c := range all {
					works(t, c)
				}
				if ends := h.ended(); len(ends) != 1 || !errors.Is(ends[0], errCulled) {
					t.Errorf("ended: %v", ends)
				}
			})
		})
	}
}

func TestKeepOldest(t *testing.T) {
	bubble(t, ServerConfig{KeepOldest: true, MaxPeerSessions: 3}, func(t *testing.T, h *harness) {
		for range 3 {
			defer works(t, h.connect("alice", ClientConfig{}))
		}
		if _, err := Connect(context.Background(), h.host, "alice", testService, ClientConfig{}); !rejected(err, RejectServerFull) {
			t.Errorf("the fourth: %v", err)
		}
		works(t, h.connect("bob", ClientConfig{}))
	})
}

// Where all places are taken, culling frees one for the next.
func TestCullingWhenFull(t *testing.T) {
	bubble(t, ServerConfig{MaxSessions: 4, MaxPeerSessions: 2}, func(t *testing.T, h *harness) {
		h.connect("alice", ClientConfig{})
		h.connect("alice", ClientConfig{})
		h.connect("bob", ClientConfig{})
		h.connect("bob", ClientConfig{})
		if _, err := Connect(context.Background(), h.host, "alice", testService, ClientConfig{}); !rejected(err, RejectServerFull) {
			t.Errorf("got %v", err)
		}
		synctest.Wait()
		works(t, h.connect("carol", ClientConfig{}))
		if h.server.PeerSessions("alice") != 1 {
			t.Errorf("%d of alice", h.server.PeerSessions("alice"))
		}
	})
}

// A server of the first era has no limit for a peer, and closes without a word
// when it is full.
func TestSeedIsFull(t *testing.T) {
	bubble(t, ServerConfig{Era: Seed, MaxSessions: 20}, func(t *testing.T, h *harness) {
		for range 20 {
			h.connect("alice", ClientConfig{Era: Seed})
		}
		_, err := Connect(context.Background(), h.host, "bob", testService, ClientConfig{Era: Seed})
		if _, ended := errors.AsType[*SessionError](err); !ended || !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %v", err)
		}
		r := h.raw("bob")
		r.send(hello{[]uint32{3}})
		if a, err := parseHelloReply(r.frame()); err != nil || !a.Rejected || a.Reason != 0 {
			t.Errorf("got %+v, %v", a, err)
		}
	})
}

// Clients that say nothing hold up nobody else, and not for long.
func TestPendingHandshakes(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		refused := func(p peer.ID) {
			t.Helper()
			if a, err := parseHelloReply(h.raw(p).frame()); err != nil || a.Reason != RejectServerFull {
				t.Errorf("got %+v, %v", a, err)
			}
		}
		for range maxPendingPeer {
			h.raw("alice")
		}
		synctest.Wait()
		refused("alice")
		works(t, h.connect("bob", ClientConfig{}))
		for i := range maxPending - maxPendingPeer {
			h.raw(peer.ID(fmt.Sprint(i)))
		}
		synctest.Wait()
		refused("bob")
		time.Sleep(10 * second)
		synctest.Wait()
		works(t, h.connect("alice", ClientConfig{}))
		if n := h.server.Sessions(); n != 2 {
			t.Errorf("%d sessions", n)
		}
	})
}

func TestClosePeer(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		a, b, c := h.connect("alice", ClientConfig{}), h.connect("alice", ClientConfig{}), h.connect("bob", ClientConfig{})
		if n := h.server.ClosePeer("alice"); n != 2 || h.server.PeerSessions("alice") != 0 {
			t.Errorf("closed %d", n)
		}
		synctest.Wait()
		if n := h.server.Sessions(); n != 1 {
			t.Errorf("%d sessions", n)
		}
		for _, gone := range []*Client{a, b} {
			if _, err := echo.Call(context.Background(), gone, nil); err == nil || gone.Err() == nil {
				t.Errorf("it works: %v", err)
			}
		}
		works(t, c)
		if n := h.server.ClosePeer("nobody"); n != 0 {
			t.Errorf("closed %d", n)
		}
	})
}
