package linkwatch

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var (
	lo   = netip.MustParseAddr("127.0.0.1")
	home = netip.MustParseAddr("192.168.1.2")
)

// script is a network that is looked at.
type script struct {
	mu   sync.Mutex
	now  State
	err  error
	seen []State
}

func (s *script) read() (State, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.now, s.err
}

func (s *script) changed(now State) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = append(s.seen, now)
}

func (s *script) set(now State, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.now, s.err = now, err
}

func (s *script) told() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.seen)
}

func (s *script) watch(hints chan struct{}, test func()) {
	ctx, cancel := context.WithCancel(context.Background())
	w := watcher{read: s.read, changed: s.changed}
	done := make(chan struct{})
	go func() {
		defer close(done)
		w.run(ctx, hints)
	}()
	synctest.Wait()
	test()
	cancel()
	<-done
}

func (s *script) want(t *testing.T, what string, n int) {
	t.Helper()
	synctest.Wait()
	if got := s.told(); got != n {
		t.Fatalf("%s: told %d times, want %d", what, got, n)
	}
}

// TestHints: a hint is looked into when there are no more, and told of only if something differs.
func TestHints(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := &script{now: State{Up: true, Addrs: []netip.Addr{lo, home}, route: "a"}}
		hints := make(chan struct{}, 1)
		s.watch(hints, func() {
			s.want(t, "start", 1)
			hints <- struct{}{}
			time.Sleep(time.Second)
			s.want(t, "nothing new", 1)
			s.set(State{Addrs: []netip.Addr{lo}}, nil)
			for range 3 {
				hints <- struct{}{}
				time.Sleep(quiet / 2)
			}
			s.want(t, "not quiet yet", 1)
			time.Sleep(quiet)
			s.want(t, "down", 2)
			for i := range 100 { // an endless stream of hints cannot hide a change
				s.set(State{route: fmt.Sprint(i)}, nil)
				hints <- struct{}{}
				time.Sleep(quiet / 2)
			}
			time.Sleep(time.Second)
			n := s.told()
			if n < 7 || n > 11 {
				t.Errorf("told %d times in 15 s", n)
			}
			s.set(State{Up: true}, errors.New("no"))
			hints <- struct{}{}
			time.Sleep(time.Minute)
			s.want(t, "unreadable", n)
		})
	})
}

// TestPolling: without hints, or when they end, it looks every 5 s.
func TestPolling(t *testing.T) {
	for name, hints := range map[string]chan struct{}{"none": nil, "ended": make(chan struct{})} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				hints := hints
				if hints != nil {
					hints = make(chan struct{})
					close(hints)
				}
				s := &script{now: State{Up: true, Addrs: []netip.Addr{home}}}
				s.watch(hints, func() {
					s.set(State{}, nil)
					time.Sleep(pollEvery + time.Millisecond)
					s.want(t, "down", 2)
					time.Sleep(time.Hour)
					s.want(t, "still down", 2)
				})
			})
		})
	}
}

func TestUp(t *testing.T) {
	for text, up := range map[string]bool{
		"127.0.0.1": false, "::1": false, "fe80::1%eth0": false, "169.254.1.1": false, "::ffff:127.0.0.1": false,
		"10.0.0.1": true, "203.0.113.1": true, "fd00::1": true, "2001:db8::1": true,
	} {
		var s State
		s.add(netip.MustParseAddr(text))
		if s.Up != up || s.Addrs[0].Zone() != "" || s.Addrs[0].Is4In6() {
			t.Errorf("%s: %+v", text, s)
		}
	}
}

// TestThisMachine: the first state comes at once and has loopback, and Watch ends with its context.
func TestThisMachine(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	var first State
	Watch(ctx, func(s State) {
		first = s
		cancel()
	})
	if !slices.Contains(first.Addrs, lo) && !slices.Contains(first.Addrs, netip.IPv6Loopback()) {
		t.Errorf("no loopback in %+v", first)
	}
	if !slices.IsSortedFunc(first.Addrs, netip.Addr.Compare) {
		t.Errorf("not sorted: %v", first.Addrs)
	}
}
