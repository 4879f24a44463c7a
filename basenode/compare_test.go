package basenode_test

import (
	"context"
	"errors"
	stdnet "net"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
)

func (n *net) compare(t testing.TB) *basenode.Comparison {
	t.Helper()
	c, err := basenode.Compare(patient(t), n.clients(t))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func groups(n *net, c *basenode.Comparison) (all [][]int) {
	for _, chain := range c.Chains {
		var group []int
		for _, p := range chain.Peers {
			group = append(group, slices.Index(n.ids, p.Peer()))
		}
		all = append(all, group)
	}
	return all
}

func TestCompare(t *testing.T) {
	n := newNet(t, 200, 210, 205)
	c := n.compare(t)
	points := n.chains[0].Points()
	if !c.Agree() || c.Height != 200 || *c.Common != points[200] || len(c.Failed) != 0 || len(c.Chains[0].Peers) != 3 {
		t.Errorf("one chain: %+v", c)
	}
	if got := groups(n, c); !slices.Equal(got[0], []int{1, 2, 0}) {
		t.Errorf("most work first: %v", got)
	}
	for _, fork := range []uint64{1, 2, 57, 100, 198, 199} {
		n.chains[1].Set(210, fork, 7, 90_000)
		c := n.compare(t)
		got := groups(n, c)
		if c.Agree() || c.Common == nil || *c.Common != points[fork] || len(got) != 2 || !slices.Equal(got[0], []int{1}) || !slices.Equal(got[1], []int{2, 0}) {
			t.Errorf("fork at %d: %+v, %v", fork, c.Common, got)
		}
	}
	n.chains[2].Set(220, 150, 9, 1)
	n.chains[1].Set(210, 60, 7, 90_000)
	if c := n.compare(t); len(c.Chains) != 3 || *c.Common != points[60] {
		t.Errorf("three chains: %+v", c)
	}
	n.chains[1].Other()
	if c := n.compare(t); c.Agree() || c.Common != nil {
		t.Errorf("another first block: %+v", c)
	}
	n.chains[1].LieAt(0, chaintest.Malformed)
	if c := n.compare(t); len(c.Failed) != 1 || c.Failed[0].Peer != n.ids[1] || len(c.Chains) != 2 || *c.Common != points[150] {
		t.Errorf("one fails: %+v", c)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := basenode.Compare(ctx, n.clients(t)); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if c, err := basenode.Compare(t.Context(), nil); err != nil || !c.Agree() || c.Common != nil {
		t.Errorf("nobody: %+v, %v", c, err)
	}
}

// A peer that takes the connection and then is silent holds nobody up.
func TestCompareWithTheSilent(t *testing.T) {
	t.Parallel() // it waits for half of its time
	n := newNet(t, 100, 100)
	n.chains[1].Set(100, 33, 1, 9)
	mute, err := stdnet.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	addr, err := manet.FromNetAddr(mute.Addr())
	if err != nil {
		t.Fatal(err)
	}
	id := newHost(t).ID()
	n.us.SetConfigured(peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{addr}})
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	c, err := basenode.Compare(ctx, append(n.clients(t), client(t, n.us, id)))
	if err != nil || len(c.Failed) != 1 || c.Failed[0].Peer != id || len(c.Chains) != 2 || c.Common.Height != 33 {
		t.Errorf("%+v, %v", c, err)
	}
}

// A peer that fails in the middle of the search is left out of the rest.
func TestCompareLosesOne(t *testing.T) {
	n := newNet(t, 200, 200, 200)
	n.chains[1].Set(200, 120, 7, 90_000)
	n.chains[2].Set(200, 20, 9, 1)
	n.chains[2].LieAt(100, chaintest.Height)
	c := n.compare(t)
	if len(c.Failed) != 1 || c.Failed[0].Peer != n.ids[2] || len(c.Chains) != 2 || c.Common.Height != 120 {
		t.Errorf("%+v", c)
	}
}
