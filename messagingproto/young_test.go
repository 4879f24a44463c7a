package messagingproto

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestLostTie ends the connection that we dialed after messages were written to
// it. They are sent again if it was young and one that the peer dialed is there,
// or comes within a moment; else not.
func TestLostTie(t *testing.T) {
	for name, c := range map[string]struct {
		age    time.Duration
		before bool // the peer's connection is there when ours ends
		after  time.Duration
		dir    network.Direction
		byUs   bool // it was we who ended the connection
		again  bool
	}{
		"the peer's came before": {before: true, dir: network.DirOutbound, again: true},
		"the peer's comes after": {after: time.Millisecond, dir: network.DirOutbound, again: true},
		"the peer's comes late":  {after: 3 * tieWindow, dir: network.DirOutbound},
		"an old connection":      {age: 2 * tieWindow, before: true, dir: network.DirOutbound},
		"one the peer dialed":    {before: true, dir: network.DirInbound},
		"we ended it":            {before: true, dir: network.DirOutbound, byUs: true},
		"we ended it, it dials":  {after: time.Millisecond, dir: network.DirOutbound, byUs: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, in := twoServices(t, Config{})
				ha, hb := f.hosts["a"], f.hosts["b"]
				conn := f.conn(ha, hb)
				conn.stat = network.Stats{Direction: c.dir, Opened: time.Now()}
				time.Sleep(c.age)
				for _, m := range []string{"one", "two"} {
					if err := a.Send(t.Context(), "b", []byte(m)); err != nil {
						t.Fatal(err)
					}
				}
				synctest.Wait()
				if c.before {
					ha.cameIn(hb)
				}
				conn.end(true, !c.byUs)
				if !c.before {
					time.Sleep(c.after)
					ha.cameIn(hb)
				}
				synctest.Wait()
				want := []string{"one", "two"}
				if c.again {
					want = append(want, want...)
				}
				if got := in.all(); !slices.Equal(got, want) {
					t.Errorf("the peer got %q, want %q", got, want)
				}
				time.Sleep(4 * tieWindow)
				a.mu.Lock()
				kept := len(a.young)
				a.mu.Unlock()
				if kept != 0 {
					t.Errorf("%d connections' messages are kept", kept)
				}
			})
		})
	}
}

// TestResetWhileYoung: a peer that resets the stream of a young connection gets
// what was written to it again, but not for ever; of an old one it does not.
func TestResetWhileYoung(t *testing.T) {
	for name, c := range map[string]struct {
		age    time.Duration
		resets int // how many streams in a row are reset
		copies int
	}{
		"once":           {resets: 1, copies: 2},
		"always":         {resets: 100, copies: 1 + tieTries},
		"when it is old": {age: 2 * tieWindow, resets: 1, copies: 1},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, in := twoServices(t, Config{})
				f.conn(f.hosts["a"], f.hosts["b"]).stat.Opened = time.Now()
				time.Sleep(c.age)
				f.hosts["a"].opened = func(n int, s *fakeStream) {
					if n <= c.resets {
						time.AfterFunc(time.Millisecond, func() { s.in.fail(&network.StreamError{Remote: true}) })
					}
				}
				if err := a.Send(t.Context(), "b", []byte("one")); err != nil {
					t.Fatal(err)
				}
				time.Sleep(5 * tieWindow)
				if got := in.all(); len(got) != c.copies {
					t.Errorf("the peer got %q, want %d of them", got, c.copies)
				}
			})
		})
	}
}
