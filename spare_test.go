package tari

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

// house is an admission whose connections are idle unless they are busy, and that remembers who was closed.
type house struct {
	*admission
	t      *testing.T
	busy   map[string]bool
	closed []string
}

// come is a handshake from a source, whose end is called for its outcome.
func (h *house) come(name, source string) (end func() Refusal, refused Refusal) {
	place, refused := h.enter(ma.StringCast("/ip4/"+source+"/tcp/1"), func() { h.t.Errorf("%s: the handshake was displaced", name) })
	if refused != "" {
		return nil, refused
	}
	return func() Refusal {
		makeRoom, refused := place.established(func() bool { return !h.busy[name] }, func() { h.closed = append(h.closed, name) })
		if refused == "" {
			makeRoom()
		}
		return refused
	}, ""
}

func (h *house) want(name, source string, want Refusal, closed ...string) {
	h.t.Helper()
	h.closed = nil
	end, refused := h.come(name, source)
	if refused == "" {
		refused = end()
	}
	if refused != want || fmt.Sprint(h.closed) != fmt.Sprint(closed) {
		h.t.Errorf("%s from %s: refused for %q, want %q; closed %v, want %v", name, source, refused, want, h.closed, closed)
	}
	if h.total > h.limits.Inbound || h.handshaking != 0 {
		h.t.Errorf("%s: total %d, handshaking %d", name, h.total, h.handshaking)
	}
}

// A full house lets in who has nobody there, for an idle connection of whoever has most.
func TestAFullHouse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{admission: newAdmission(Limits{Inbound: 6}.withDefaults(), false), t: t, busy: map[string]bool{"a1": true}}
		h.want("b1", "2.2.2.2", "")
		h.want("b2", "2.2.2.2", "")
		h.want("c1", "3.3.3.3", "")
		h.want("a1", "1.1.1.1", "")
		h.want("a2", "1.1.1.1", "")
		h.want("a3", "1.1.1.1", "")
		h.want("d1", "4.4.4.4", RefusedInbound) // all are young
		time.Sleep(spareAge)
		h.want("b3", "2.2.2.2", RefusedInbound)    // has two
		h.want("x", "127.0.0.1", RefusedInbound)   // is not counted
		h.want("d1", "4.4.4.4", "", "a2")          // a1 is in use
		h.want("d2", "4.4.4.4", RefusedInbound)    // has one now
		h.want("a4", "1.1.1.1", RefusedInbound)    // has two left
		late, refused := h.come("e1", "5.5.5.5")   // may try, for b1 or a3
		other, refused2 := h.come("f1", "6.6.6.6") // as well
		third, refused3 := h.come("g1", "7.7.7.7") // as well, and there are but two to spare
		if refused != "" || refused2 != "" || refused3 != "" || len(h.closed) > 0 {
			t.Fatalf("three at once: %q, %q, %q, closed %v", refused, refused2, refused3, h.closed)
		}
		if r1, r2, r3 := late(), other(), third(); r1 != "" || r2 != "" || r3 != RefusedInbound {
			t.Errorf("three at once: %q, %q, %q", r1, r2, r3)
		}
		if len(h.closed) != 2 || h.total != 6 {
			t.Errorf("closed %v, total %d", h.closed, h.total)
		}
		time.Sleep(2 * spareAge)
		h.want("h1", "8.8.8.8", RefusedInbound) // everybody has but one
	})
}

// Who comes to a full house and does not get through the handshake costs nobody anything, and nor does who comes as another leaves.
func TestAFullHouseAndNobodyCloses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &house{admission: newAdmission(Limits{Inbound: 3}.withDefaults(), false), t: t}
		h.want("a1", "1.1.1.1", "")
		h.want("a2", "1.1.1.1", "")
		leaving, _ := h.enter(ma.StringCast("/ip4/1.1.1.1/tcp/3"), nil)
		settled(leaving)
		time.Sleep(spareAge)
		fails, refused := h.enter(ma.StringCast("/ip4/2.2.2.2/tcp/1"), nil)
		if refused != "" {
			t.Fatal(refused)
		}
		fails.leave()
		if end, refused := h.come("b1", "2.2.2.2"); refused != "" {
			t.Error(refused)
		} else {
			leaving.leave()
			if refused := end(); refused != "" || h.total != 3 || len(h.closed) > 0 {
				t.Errorf("refused for %q, total %d, closed %v", refused, h.total, h.closed)
			}
		}
	})
}

// overMemory is a transport for TCP addresses that listens in memory; the i-th to come has the i-th address.
type overMemory struct {
	transport.Transport
	u       transport.Upgrader
	at      chan ma.Multiaddr // where it listens
	sources chan ma.Multiaddr
}

func (m *overMemory) Protocols() []int { return []int{ma.P_TCP} }

func (m *overMemory) Listen(ma.Multiaddr) (transport.Listener, error) {
	l, err := memnet.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		return nil, err
	}
	m.at <- l.Multiaddr()
	return m.u.UpgradeGatedMaListener(m, m.u.GateMaListener(&disguised{l, m.sources})), nil
}

type disguised struct {
	manet.Listener
	sources chan ma.Multiaddr
}

func (d *disguised) Multiaddr() ma.Multiaddr { return ma.StringCast("/ip4/9.9.9.9/tcp/9") }

func (d *disguised) Accept() (manet.Conn, error) {
	c, err := d.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &from{c, <-d.sources}, nil
}

type from struct {
	manet.Conn
	source ma.Multiaddr
}

func (f *from) RemoteMultiaddr() ma.Multiaddr { return f.source }

// The same with a host: a peer that has a stream, or is protected or tagged, keeps its connection, and the one that goes is closed.
func TestWhoGivesWayToANewcomer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := &overMemory{at: make(chan ma.Multiaddr, 1), sources: make(chan ma.Multiaddr, 1)}
		h := startHost(t, Config{
			Listen: []ma.Multiaddr{ma.StringCast("/ip4/9.9.9.9/tcp/9")},
			Limits: Limits{Inbound: 5},
			Transports: func(u transport.Upgrader, _ network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
				m.u, m.Transport = u, tcp
				return []transport.Transport{m}, nil
			},
		})
		at := <-m.at
		come := func(source string) (peer.ID, *dialect.Session) {
			c, err := memnet.Dial(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			m.sources <- ma.StringCast("/ip4/" + source + "/tcp/1")
			us := stranger(t)
			s, err := dialect.Of(dialect.Mainnet).Upgrade(context.Background(), c, network.DirOutbound, us)
			if err != nil {
				t.Fatalf("from %s: %v", source, err)
			}
			t.Cleanup(func() { s.Close() })
			synctest.Wait()
			return us.Key.Public().PeerID(), s
		}
		streams, _ := come("1.1.1.1")
		protected, _ := come("1.1.1.1")
		h.ConnManager().Protect(protected, "by us")
		tagged, _ := come("1.1.1.1")
		h.ConnManager().TagPeer(tagged, "useful", 1)
		idle, gone := come("1.1.1.1")
		alone, _ := come("2.2.2.2")
		if _, err := h.NewStream(t.Context(), streams); err != nil { // a bare stream, which stays
			t.Fatal(err)
		}
		time.Sleep(spareAge)
		newcomer, _ := come("3.3.3.3")
		time.Sleep(time.Second)
		for p, want := range map[peer.ID]network.Connectedness{
			streams: network.Connected, protected: network.Connected, tagged: network.Connected, alone: network.Connected,
			newcomer: network.Connected, idle: network.NotConnected,
		} {
			if got := h.Network().Connectedness(p); got != want {
				t.Errorf("%s is %v", p, got)
			}
		}
		if r := h.Refusals(); !gone.IsClosed() || r[RefusedIdle] != 1 || len(r) != 1 {
			t.Errorf("refused: %v", r)
		}
	})
}
