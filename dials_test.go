package tari

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"
)

// heldTransport dials IP and onion addresses, and each dial lasts until the test ends it.
type heldTransport struct {
	transport.Transport
	began time.Time

	mu   sync.Mutex
	now  map[string]chan error // the dials under way
	log  []string              // when which address was dialed
	left []string              // the dials that were given up
}

// startHeld starts a host whose dials are held.
func startHeld(t *testing.T, cfg Config) (*Host, *heldTransport) {
	held := &heldTransport{began: time.Now(), now: make(map[string]chan error)}
	cfg.Transports = func(transport.Upgrader, network.ResourceManager, transport.Transport) ([]transport.Transport, error) {
		return []transport.Transport{held}, nil
	}
	return startHost(t, cfg), held
}

func (h *heldTransport) CanDial(a ma.Multiaddr) bool {
	_, err := a.ValueForProtocol(ma.P_TCP)
	return !isName(a) && (err == nil || isOnion(a))
}
func (h *heldTransport) Protocols() []int { return []int{ma.P_TCP, ma.P_ONION3} }
func (h *heldTransport) Proxy() bool      { return false }

func (h *heldTransport) Dial(ctx context.Context, a ma.Multiaddr, _ peer.ID) (transport.CapableConn, error) {
	end := make(chan error)
	h.mu.Lock()
	h.now[a.String()] = end
	h.log = append(h.log, fmt.Sprint(time.Since(h.began), " ", a))
	h.mu.Unlock()
	var err error
	select {
	case err = <-end:
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.now, a.String())
	if ctx.Err() != nil {
		h.left = append(h.left, a.String())
	}
	return nil, err
}

// dialing lists what is being dialed.
func (h *heldTransport) dialing() (out []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for a := range h.now {
		out = append(out, a)
	}
	slices.Sort(out)
	return out
}

// fail ends the dial of an address, and lets happen what follows.
func (h *heldTransport) fail(a string) {
	h.mu.Lock()
	end := h.now[a]
	h.mu.Unlock()
	end <- errInVain
	synctest.Wait()
}

// connecting begins a dial and lets it get as far as it does. The answer comes by the channel.
func connecting(ctx context.Context, h *Host, p peer.ID, to ...string) <-chan error {
	answer := make(chan error, 1)
	go func() { answer <- h.Connect(ctx, peer.AddrInfo{ID: p, Addrs: addrs(to...)}) }()
	synctest.Wait()
	return answer
}

// The best address goes first, the next a quarter of a second later, or as soon as nothing is under way.
func TestAddressesAreRaced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held := startHeld(t, Config{})
		h.names.lookup = func(context.Context, string, string) ([]netip.Addr, error) {
			return []netip.Addr{netip.MustParseAddr("4.4.0.1")}, nil
		}
		p := somePeer(t)
		h.Peerstore().AddAddrs(p, addrs("/ip4/5.5.0.1/tcp/1"), time.Hour) // known from before: it comes last
		answer := connecting(t.Context(), h, p, "/ip4/3.3.0.1/tcp/1", anOnion, "/dns4/a.example/tcp/1", "/ip4/2.2.0.1/tcp/1", "/ip4/1.1.0.1/tcp/1")
		held.fail("/ip4/3.3.0.1/tcp/1")
		time.Sleep(400 * time.Millisecond)
		for _, a := range []string{"/ip4/4.4.0.1/tcp/1", "/ip4/2.2.0.1/tcp/1", "/ip4/1.1.0.1/tcp/1", "/ip4/5.5.0.1/tcp/1"} {
			time.Sleep(time.Second)
			held.fail(a)
		}
		held.fail(anOnion)
		if err := <-answer; !errors.Is(err, errInVain) {
			t.Error(err)
		}
		want := []string{
			"0s /ip4/3.3.0.1/tcp/1", "0s /ip4/4.4.0.1/tcp/1", "500ms /ip4/2.2.0.1/tcp/1", "750ms /ip4/1.1.0.1/tcp/1", "1s /ip4/5.5.0.1/tcp/1", "2s " + anOnion,
		}
		if !slices.Equal(held.log, want) {
			t.Errorf("dialed\n%s\nwant\n%s", strings.Join(held.log, "\n"), strings.Join(want, "\n"))
		}
	})
}

// Config.Addresses has the order if nobody else has one; what our user named goes before it.
func TestTheBookHasTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held := startHeld(t, Config{Addresses: func(peer.ID) []KnownAddress {
			return []KnownAddress{{Addr: addrs("/ip4/3.3.0.1/tcp/1")[0]}, {Addr: addrs("/ip4/1.1.0.1/tcp/1")[0]}}
		}})
		p := somePeer(t)
		h.SetConfigured(peer.AddrInfo{ID: p, Addrs: addrs("/ip4/2.2.0.1/tcp/1")})
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		if _, err := h.NewStream(ctx, p, echo); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		want := []string{"0s /ip4/2.2.0.1/tcp/1", "250ms /ip4/3.3.0.1/tcp/1", "500ms /ip4/1.1.0.1/tcp/1"}
		if !slices.Equal(held.log, want) {
			t.Errorf("dialed %v", held.log)
		}
	})
}

func TestDialsAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held := startHeld(t, Config{})
		at := func(i int) string { return fmt.Sprintf("/ip4/1.%d.0.1/tcp/1", i) }
		some := somePeers(t, maxDials+2)
		var answers []<-chan error
		for i := range maxDials {
			answers = append(answers, connecting(t.Context(), h, some[i], at(i)))
		}
		ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
		defer cancel()
		began := time.Now()
		patient := connecting(t.Context(), h, some[maxDials], at(maxDials))
		err := <-connecting(ctx, h, some[maxDials+1], at(maxDials+1))
		if !isNotTried(causeAt(err, addrs(at(maxDials + 1))[0])) || !strings.Contains(err.Error(), "100 dials are under way") || time.Since(began) != 3*time.Second {
			t.Errorf("after %v: %v", time.Since(began), err)
		}
		if now := held.dialing(); len(now) != maxDials || slices.Contains(now, at(maxDials)) {
			t.Errorf("%d dials at a time", len(now))
		}
		held.fail(at(7))
		if now := held.dialing(); len(now) != maxDials || !slices.Contains(now, at(maxDials)) {
			t.Errorf("%d dials at a time, after one has ended", len(now))
		}
		for _, a := range held.dialing() {
			held.fail(a)
		}
		for _, answer := range append(answers, patient) {
			if err := <-answer; !errors.Is(err, errInVain) {
				t.Error(err)
			}
		}
		if len(h.dials.places) > 0 || len(h.dials.crowds) > 0 || len(h.dials.underway) > 0 {
			t.Errorf("left over: %+v", h.dials)
		}
	})
}

// One IP address is dialed four times at a time, whoever is said to be there, and by whatever name. This machine may be dialed more.
func TestDialsPerIPAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held := startHeld(t, Config{})
		answers, ends := map[string]<-chan error{}, map[string]context.CancelFunc{}
		for _, a := range []string{
			"/ip4/1.2.3.4/tcp/1", "/ip4/1.2.3.4/tcp/2", "/ip6/64:ff9b::102:304/tcp/3", "/ip6/::ffff:1.2.3.4/tcp/4",
			"/ip4/1.2.3.4/tcp/5", "/ip6/64:ff9b::102:304/tcp/6", "/ip4/1.2.3.5/tcp/1",
			"/ip4/127.0.0.1/tcp/1", "/ip4/127.0.0.1/tcp/2", "/ip4/127.0.0.1/tcp/3", "/ip4/127.0.0.1/tcp/4", "/ip4/127.0.0.1/tcp/5",
		} {
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			answers[a], ends[a] = connecting(ctx, h, somePeer(t), a), cancel
		}
		if now := held.dialing(); len(now) != 4+1+5 || slices.Contains(now, "/ip4/1.2.3.4/tcp/5") {
			t.Errorf("dialing %v", now)
		}
		held.fail("/ip6/::ffff:1.2.3.4/tcp/4")
		now := held.dialing()
		if len(now) != 4+1+5 {
			t.Errorf("dialing %v, after one has ended", now)
		}
		waiting := "/ip4/1.2.3.4/tcp/5"
		if slices.Contains(now, waiting) {
			waiting = "/ip6/64:ff9b::102:304/tcp/6"
		}
		ends[waiting]()
		if err := <-answers[waiting]; err == nil || !strings.Contains(err.Error(), "not tried: 4 dials to ") {
			t.Errorf("%s, which waits: %v", waiting, err)
		}
		for a, end := range ends {
			if end(); a != waiting && <-answers[a] == nil {
				t.Errorf("%s: connected", a)
			}
		}
		synctest.Wait()
		if len(h.dials.places) > 0 || len(h.dials.crowds) > 0 {
			t.Errorf("left over: %+v", h.dials)
		}
	})
}

// Who wants the same peer shares one dial. It ends with the last of them.
func TestDialsAreJoined(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h, held := startHeld(t, Config{})
		const to = "/ip4/1.2.3.4/tcp/1"
		p := somePeer(t)
		short, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		long, giveUp := context.WithCancel(t.Context())
		first, second := connecting(short, h, p, to), connecting(long, h, p, to)
		var unfinished *UnfinishedError
		if err := <-first; !errors.As(err, &unfinished) || unfinished.Took != 2*time.Second || unfinished.Done != "" {
			t.Errorf("the first: %v", err)
		}
		if len(held.log) != 1 || len(held.dialing()) != 1 {
			t.Errorf("dials %v, of which %v goes on", held.log, held.dialing())
		}
		giveUp()
		if err := <-second; !errors.As(err, &unfinished) || !errors.Is(err, context.Canceled) {
			t.Errorf("the second: %v", err)
		}
		synctest.Wait()
		if !slices.Equal(held.left, []string{to}) {
			t.Errorf("given up: %v", held.left)
		}
		again := connecting(t.Context(), h, p, to) // at once: nobody is held to an old failure
		held.fail(to)
		if err := <-again; !errors.Is(err, errInVain) || len(held.log) != 2 {
			t.Errorf("again: %v, %v", err, held.log)
		}
	})
}

// Whatever ends a dial, each address has its cause.
func TestEachAddressHasItsCause(t *testing.T) {
	to := []string{
		"/ip4/1.2.0.1/tcp/1", "/ip4/1.2.0.2/tcp/1", "/ip4/1.2.0.3/tcp/1", "/ip4/1.2.0.4/tcp/1", "/ip4/1.2.0.5/tcp/1",
		"/ip4/2.2.0.1/tcp/1", "/ip4/8.8.8.8/tcp/0", "/ip4/0.0.0.0/tcp/1", aQUIC, "/dns4/missing.example/tcp/1",
	}
	for name, c := range map[string]struct {
		after time.Duration
		want  map[string]string
	}{
		"the time is up": {600 * time.Millisecond, map[string]string{
			to[0]: "in vain", to[1]: "no connection in 600ms", to[2]: "no connection in 100ms",
			to[3]: "not tried: " + errTurn.Error(), to[4]: "not tried: " + errTurn.Error(), to[5]: "not tried: " + errTurn.Error(),
		}},
		"all have failed": {0, map[string]string{
			to[0]: "in vain", to[1]: "in vain", to[2]: "in vain", to[3]: "in vain", to[4]: "not tried: " + errNetgroup.Error(), to[5]: "in vain",
		}},
	} {
		c.want[to[6]] = "not tried: " + ErrNoNode.Error() + ": port 0"
		c.want[to[7]] = "not tried: " + ErrNoNode.Error() + ": of no single host"
		if c.after == 0 { // the swarm keeps these to itself until the end
			c.want[to[8]] = "not tried: tari: no transport dials " + aQUIC
			c.want[to[9]] = "tari: no such host"
		}
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h, held := startHeld(t, Config{})
				h.names.lookup = func(context.Context, string, string) ([]netip.Addr, error) { return nil, errors.New("no such host") }
				ctx, cancel := context.WithCancel(t.Context())
				defer cancel()
				if c.after > 0 {
					ctx, cancel = context.WithTimeout(ctx, c.after)
					defer cancel()
				}
				answer := connecting(ctx, h, somePeer(t), to...)
				held.fail(to[0])
				for c.after == 0 && len(held.dialing()) > 0 {
					held.fail(held.dialing()[0])
				}
				err := <-answer
				var failed *swarm.DialError
				if !errors.As(err, &failed) || errors.Is(err, context.DeadlineExceeded) != (c.after > 0) {
					t.Fatal(err)
				}
				for a, want := range c.want {
					if cause := causeAt(err, addrs(a)[0]); cause == nil || !strings.HasPrefix(cause.Error(), want) {
						t.Errorf("%s: %v, want %s", a, cause, want)
					}
				}
				if len(failed.DialErrors) != len(to) && c.after == 0 || failed.Skipped > 0 {
					t.Error(err)
				}
			})
		})
	}
}

// A dial that never got beyond names, and one that hangs in the handshake.
func TestWhereADialHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		silent := startSilentListener(t)
		h := startHost(t, Config{})
		h.names.lookup = func(ctx context.Context, _, _ string) ([]netip.Addr, error) { <-ctx.Done(); return nil, ctx.Err() }
		for what, c := range map[string]struct {
			to   []ma.Multiaddr
			want string
		}{
			"names":     {addrs("/dns4/slow.example/tcp/1", "/ip4/1.2.3.4/tcp/1"), "not tried: " + errLookup.Error()},
			"handshake": {[]ma.Multiaddr{silent.Multiaddr()}, "not ready in 2s, got past connect"},
		} {
			ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			err := h.Connect(ctx, peer.AddrInfo{ID: somePeer(t), Addrs: c.to})
			cancel()
			for _, a := range c.to {
				if cause := causeAt(err, a); cause == nil || cause.Error() != c.want {
					t.Errorf("%s: %s: %v", what, a, err)
				}
			}
		}
		time.Sleep(lookupTimeout) // the swarm's lookups have no caller
	})
}

// Of one dial at two addresses the peer sees one connection: while one of the two is past the point from which the peer takes it for one
// that stands, the other does not get there.
func TestOneDialIsOneConnection(t *testing.T) {
	for name, c := range map[string]struct {
		slow time.Duration // round trip to the address that is dialed first; the other is near, and dialed 250 ms later
		want time.Duration // until there is a connection
	}{
		"the first is ahead":   {slow: 200 * time.Millisecond, want: 400 * time.Millisecond},
		"the second overtakes": {slow: 400 * time.Millisecond, want: 290 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				far := newLink()
				defer close(far.near)
				far.trip = map[string]time.Duration{"127.0.0.1": c.slow, "127.0.0.2": 20 * time.Millisecond}
				a, b := startHost(t, Config{Transports: far.transports}), startHost(t, Config{})
				var seen atomic.Int32
				b.Network().Notify(&network.NotifyBundle{ConnectedF: func(network.Network, network.Conn) { seen.Add(1) }})
				slow := farFrom(b)[0]
				port, err := slow.ValueForProtocol(ma.P_TCP)
				if err != nil {
					t.Fatal(err)
				}
				began := time.Now()
				if err := a.Connect(t.Context(), peer.AddrInfo{ID: b.ID(), Addrs: []ma.Multiaddr{slow, ma.StringCast("/ip4/127.0.0.2/tcp/" + port)}}); err != nil {
					t.Fatal(err)
				}
				if took := time.Since(began); took != c.want {
					t.Errorf("connected after %v, want %v", took, c.want)
				}
				time.Sleep(10 * time.Second)
				if n := seen.Load(); n != 1 {
					t.Errorf("the peer saw %d connections", n)
				}
				say(t, b, a.ID(), "over what is left")
			})
		})
	}
}

// An attempt has its turn when the one before has failed, or after a while.
func TestTurnsOfADial(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDialing()
		p := somePeer(t)
		d.enter(p, nil, nil, nil)
		defer d.leave(p)
		first, second := d.attempt(p, addrs("/ip4/1.1.0.1/tcp/1")[0]), d.attempt(p, addrs("/ip4/2.2.0.1/tcp/1")[0])
		take := func(a *attempt, want time.Duration) func() {
			t.Helper()
			began := time.Now()
			leave, err := a.take(t.Context())
			if took := time.Since(began); err != nil || took != want {
				t.Errorf("after %v: %v, want %v", took, err, want)
			}
			return leave
		}
		leave := take(first, 0)
		time.AfterFunc(time.Second, leave)
		leave = take(second, time.Second)
		take(first, turnLimit)() // who did not wait for it gives nothing on
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := first.take(ended); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		leave()
		leave()
		leave = take(first, 0)
		take(second, turnLimit)
		leave()
	})
}
