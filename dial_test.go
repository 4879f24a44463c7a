package tari

import (
	"context"
	"errors"
	"slices"
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

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// An address where another key answers, and one where the handshake comes to nothing, do not keep us from the peer's next address.
func TestAWrongKeyDoesNotStopTheNextAddress(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		other, silent := startHost(t, Config{Network: n}), startSilentListener(t)
		wrongNetwork := startHost(t, Config{Network: dialect.Network{Name: "elsewhere", WireByte: 0x7e}})
		b := startHost(t, Config{Network: n})
		a := startHost(t, Config{Network: n})
		info := peer.AddrInfo{ID: b.ID(), Addrs: slices.Concat(other.Addrs(), wrongNetwork.Addrs(), []ma.Multiaddr{silent.Multiaddr()}, b.Addrs())}
		if err := a.Connect(testContext(t), info); err != nil {
			t.Fatal(err)
		}
		say(t, a, b.ID(), "found")
	})
}

// countingTransport counts dials of a slowTransport.
type countingTransport struct {
	slowTransport
	dials *atomic.Int32
}

func (c countingTransport) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	c.dials.Add(1)
	return c.slowTransport.Dial(ctx, a, p)
}

// Many who want the same peer share one dial and its outcome; who gives up goes at once, and does not end it for the others.
func TestOneDialForMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var dials atomic.Int32
		h := startHost(t, Config{Transports: func(transport.Upgrader, network.ResourceManager, transport.Transport) ([]transport.Transport, error) {
			return []transport.Transport{countingTransport{slowTransport{after: time.Minute}, &dials}}, nil
		}})
		info := peer.AddrInfo{ID: somePeer(t), Addrs: addrs(anOnion)}
		impatient, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		var all sync.WaitGroup
		for i := range 20 {
			all.Go(func() {
				ctx, want, ends := t.Context(), errNoSuchOnion, time.Minute
				if i == 0 {
					ctx, want, ends = impatient, context.DeadlineExceeded, time.Second
				}
				if err := h.Connect(ctx, info); !errors.Is(err, want) || time.Since(start) != ends {
					t.Errorf("caller %d: %v after %v", i, err, time.Since(start))
				}
			})
		}
		all.Wait()
		if n := dials.Load(); n != 1 {
			t.Errorf("%d dials", n)
		}
	})
}

// A peer of which no address is known, or none that can be dialed, fails at once and not after a time limit.
func TestNoAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := startHost(t, Config{})
		start := time.Now()
		for _, with := range [][]ma.Multiaddr{nil, addrs(aQUIC), addrs("/memory/65535")} {
			err := h.Connect(context.Background(), peer.AddrInfo{ID: somePeer(t), Addrs: with})
			if err == nil || time.Since(start) != 0 || errors.Is(err, swarm.ErrNoAddresses) != (with == nil) {
				t.Errorf("%v: %v after %v", with, err, time.Since(start))
			}
		}
	})
}
