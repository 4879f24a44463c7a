package connectivity

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestWaitOnline: the wait goes on through all other states, ends for all who wait with the node that makes it enough, and begins anew
// when that is lost.
func TestWaitOnline(t *testing.T) {
	inWorld(t, 0, Config{Min: 2}, func(w *world) {
		w.start()
		const waiters = 3
		ended := make(chan error, waiters)
		for range waiters {
			go func() { ended <- w.m.WaitOnline(context.Background()) }()
		}
		still := func(state State) {
			w.t.Helper()
			if s := w.m.Status().State; s != state || len(ended) > 0 {
				w.t.Errorf("%v, want %v; %d waits have ended", s, state, len(ended))
			}
		}
		w.pass(time.Second)
		still(Initializing)
		w.pass(time.Hour)
		still(Offline)
		wallet := w.comeIn(Connection{Peer: "wallet", Inbound: true, Client: true})
		first := w.comeIn(Connection{Peer: "a", Inbound: true})
		w.pass(time.Minute)
		still(Degraded)
		began := time.Now()
		second := w.comeIn(Connection{Peer: "b", Inbound: true})
		for range waiters {
			if err := <-ended; err != nil || time.Since(began) > time.Second {
				w.t.Errorf("%v after %v", err, time.Since(began))
			}
		}
		// At once, even for who has no time.
		over, cancel := context.WithCancel(context.Background())
		cancel()
		if err := w.m.WaitOnline(over); err != nil {
			w.t.Errorf("while online: %v", err)
		}

		w.cut(second[0])
		w.pass(time.Second)
		short(w, "degraded", 5*time.Second)
		w.cut(first[0])
		w.cut(wallet[0])
		w.pass(time.Second)
		short(w, "offline", time.Minute)
		if err := w.m.WaitOnline(over); !errors.Is(err, context.Canceled) {
			w.t.Errorf("cancelled before: %v", err)
		}

		go func() { ended <- w.m.WaitOnline(context.Background()) }()
		w.pass(time.Second)
		w.comeIn(Connection{Peer: "c", Inbound: true}, Connection{Peer: "d", Inbound: true})
		if err := <-ended; err != nil {
			w.t.Errorf("online again: %v", err)
		}
	})
}

// short waits in vain, for exactly that long, and the error says in which state.
func short(w *world, state string, wait time.Duration) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), wait)
	defer cancel()
	began := time.Now()
	err := w.m.WaitOnline(ctx)
	if !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), state) || time.Since(began) != wait {
		w.t.Errorf("%v after %v, want %s after %v", err, time.Since(began), state, wait)
	}
}

// TestWaitOnlineEndsWithClose, in whatever state that comes.
func TestWaitOnlineEndsWithClose(t *testing.T) {
	for _, online := range []bool{false, true} {
		inWorld(t, 0, Config{}, func(w *world) {
			w.start()
			ended := make(chan error, 1)
			if online {
				w.comeIn(Connection{Peer: "a", Inbound: true})
				w.pass(time.Second)
			} else {
				go func() { ended <- w.m.WaitOnline(context.Background()) }()
				synctest.Wait()
			}
			w.m.Close()
			if !online {
				if err := <-ended; !errors.Is(err, ErrClosed) {
					w.t.Errorf("while it waited: %v", err)
				}
			}
			if err := w.m.WaitOnline(context.Background()); !errors.Is(err, ErrClosed) {
				w.t.Errorf("after it was online %v: %v", online, err)
			}
		})
	}
}
