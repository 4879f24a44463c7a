package linkwatch

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// Our choice: how often to look where nobody tells of changes, how long to wait for the changes that come with the first, and for how
// long at most.
const (
	pollEvery = 5 * time.Second
	quiet     = 300 * time.Millisecond
	quietMost = 2 * time.Second
)

// State is what a machine's network looks like.
type State struct {
	Up    bool         // an interface that is up has an address that leads farther than to this machine or to the next
	Addrs []netip.Addr // all addresses of interfaces that are up, without zones, sorted
	route string       // where packets for the outside go
}

func (s State) equal(other State) bool {
	return s.Up == other.Up && s.route == other.route && slices.Equal(s.Addrs, other.Addrs)
}

// Watch calls changed with the state that it finds at the start and then with each that differs from the one before, one call after the
// other, until ctx ends. Changes within a fraction of a second are one. What cannot be read counts as unchanged.
func Watch(ctx context.Context, changed func(State)) {
	w := watcher{read: read, changed: changed}
	hints, stop := listen(ctx)
	defer stop()
	w.run(ctx, hints)
}

type watcher struct {
	read    func() (State, error)
	changed func(State)
	last    State
	told    bool
}

// run looks whenever there is a hint, and if hints is nil every pollEvery.
func (w *watcher) run(ctx context.Context, hints <-chan struct{}) {
	poll := time.NewTicker(pollEvery)
	defer poll.Stop()
	for {
		w.look()
		tick := poll.C
		if hints != nil {
			tick = nil
		}
		select {
		case <-ctx.Done():
			return
		case <-tick:
		case _, ok := <-hints:
			if !ok {
				hints = nil // from here on without
				continue
			}
			settle(ctx, hints)
		}
	}
}

// settle waits until there has been no hint for quiet.
func settle(ctx context.Context, hints <-chan struct{}) {
	most := time.NewTimer(quietMost)
	defer most.Stop()
	for {
		pause := time.NewTimer(quiet)
		select {
		case <-ctx.Done():
		case <-most.C:
		case <-pause.C:
		case _, ok := <-hints:
			if ok {
				pause.Stop()
				continue
			}
		}
		pause.Stop()
		return
	}
}

func (w *watcher) look() {
	now, err := w.read()
	if err != nil || w.told && now.equal(w.last) {
		return
	}
	w.last, w.told = now, true
	w.changed(now)
}

// read asks the system.
func read() (State, error) {
	var s State
	interfaces, err := net.Interfaces()
	if err != nil {
		return s, err
	}
	for _, i := range interfaces {
		if i.Flags&net.FlagUp == 0 || i.Flags&net.FlagRunning == 0 {
			continue
		}
		addrs, err := i.Addrs()
		if err != nil {
			continue // it went while we looked
		}
		for _, a := range addrs {
			text, _, _ := strings.Cut(a.String(), "/")
			if ip, err := netip.ParseAddr(text); err == nil {
				s.add(ip)
			}
		}
	}
	slices.SortFunc(s.Addrs, netip.Addr.Compare)
	s.Addrs = slices.Compact(s.Addrs)
	s.route = defaultRoutes()
	return s, nil
}

func (s *State) add(ip netip.Addr) {
	ip = ip.Unmap().WithZone("")
	s.Addrs = append(s.Addrs, ip)
	if ip.IsGlobalUnicast() {
		s.Up = true
	}
}
