package messagingproto

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// TestLostTie ends the connection after messages were written to it. They are
// sent again if it was young, the peer ended it, and another is there, or comes
// within a moment from the other side; else not.
func TestLostTie(t *testing.T) {
	const in, out = network.DirInbound, network.DirOutbound
	for name, c := range map[string]struct {
		age    time.Duration
		before bool // the other connection is there when this one ends
		after  time.Duration
		dir    network.Direction // of this one
		other  network.Direction
		byUs   bool // it was we who ended the connection
		again  bool
	}{
		"the peer's came before":  {before: true, dir: out, other: in, again: true},
		"the peer's comes after":  {after: time.Millisecond, dir: out, other: in, again: true},
		"the peer's comes late":   {after: 3 * tieWindow, dir: out, other: in},
		"ours came before":        {before: true, dir: in, other: out, again: true},
		"ours comes after":        {after: time.Millisecond, dir: in, other: out, again: true},
		"an old connection":       {age: 2 * tieWindow, before: true, dir: out, other: in},
		"both dialed by the peer": {before: true, dir: in, other: in, again: true},
		"the peer dials again":    {after: time.Millisecond, dir: in, other: in},
		"both dialed by us":       {after: time.Millisecond, dir: out, other: out},
		"we ended it":             {before: true, dir: out, other: in, byUs: true},
		"we ended it, it dials":   {after: time.Millisecond, dir: out, other: in, byUs: true},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				f, a, _, inbox := twoServices(t, Config{})
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
					ha.second(hb, c.other)
				}
				conn.end(true, !c.byUs)
				if !c.before {
					time.Sleep(c.after)
					ha.second(hb, c.other)
				}
				synctest.Wait()
				want := []string{"one", "two"}
				if c.again {
					want = append(want, want...)
				}
				if got := inbox.all(); !slices.Equal(got, want) {
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

// sentWhileYoung sends "one" from a to b over a young connection, and returns
// the stream that it went over.
func sentWhileYoung(t *testing.T, f *fakeNet, a *Service) (first *fakeStream) {
	t.Helper()
	f.conn(f.hosts["a"], f.hosts["b"]).stat.Opened = time.Now()
	f.hosts["a"].opened = func(n int, s *fakeStream) {
		if n == 1 {
			first = s
		}
	}
	if err := a.Send(t.Context(), "b", []byte("one")); err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	return first
}

// TestResetSeenByWriting: a write that fails because the peer reset the stream
// has what was written before sent again, whole messages of its own included.
func TestResetSeenByWriting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		first := sentWhileYoung(t, f, a)
		first.out.failAfter(frameHeader+3+1, &network.StreamError{Remote: true})
		for _, m := range []string{"two", "six"} {
			err := a.SendAsync("b", []byte(m), func(res Result) {
				if res.Err != nil {
					t.Error(m, res.Err)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
		got := in.all()
		for _, m := range []string{"one", "two", "six"} {
			if !slices.Contains(got[1:], m) {
				t.Errorf("after the reset the peer got %q, not all of it", got[1:])
			}
		}
	})
}

// TestWrittenAfterTheReset: a write that ends well just after the peer's reset
// was seen is sent again too.
func TestWrittenAfterTheReset(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		first := sentWhileYoung(t, f, a)
		first.in.fail(&network.StreamError{Remote: true})
		synctest.Wait()

		late := batches.Get().(*batch)
		late.add([]byte("two"), message{})
		if !a.keepYoung(first, late) {
			t.Fatal("a write to a young connection was not kept")
		}
		synctest.Wait()
		if got, want := in.all(), []string{"one", "one", "two"}; !slices.Equal(got, want) {
			t.Errorf("the peer got %q, want %q", got, want)
		}
	})
}
