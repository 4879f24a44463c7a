// Package crawltest is a network of nodes for tests of crawls: they tell of each
// other, or lie, and count who visits them.
package crawltest

import (
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Crowd counts at all nodes of a network together. Its zero value is a network
// without nodes.
type Crowd struct {
	mu      sync.Mutex
	now     map[string]int // visits under way, by host
	most    map[string]int
	all     int
	mostAll int

	asked   int           // in all
	stopAt  int           // from that many on nobody is answered
	reached chan struct{} // closed then
	goOn    chan struct{} // until this is closed
}

// Stop makes the nodes fall silent when so many more visits have asked: then
// reached is closed, and nobody is answered until the caller closes goOn.
func (c *Crowd) Stop(after int) (reached, goOn chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stopAt, c.reached, c.goOn = c.asked+after, make(chan struct{}), make(chan struct{})
	return c.reached, c.goOn
}

// Most is how many visits there were at a time: in all, and at each host.
func (c *Crowd) Most() (all int, at map[string]int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.mostAll, maps.Clone(c.most)
}

// ask counts a visit that asks, and waits if it is to.
func (c *Crowd) ask() {
	c.mu.Lock()
	c.asked++
	goOn := c.goOn
	if goOn != nil && c.asked == c.stopAt {
		close(c.reached)
	}
	wait := goOn != nil && c.asked >= c.stopAt
	c.mu.Unlock()
	if wait {
		<-goOn
	}
}

// count counts a visit at a host, from its handshake on until it is answered.
// Who is no visitor may ask too, while there are none.
func (c *Crowd) count(host string, by int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if by < 0 && c.now[host] == 0 {
		return
	}
	if c.now == nil {
		c.now, c.most = map[string]int{}, map[string]int{}
	}
	c.now[host] += by
	c.all += by
	c.most[host] = max(c.most[host], c.now[host])
	c.mostAll = max(c.mostAll, c.all)
}

// Node is a node of a test network. It counts visitors who say that they are
// clients, as a crawl does.
type Node struct {
	*tari.Host
	RPC   *rpc.Server
	Claim *identityproto.Claim // its own

	answered func() // a visit

	mu     sync.Mutex
	knows  []*identityproto.Claim
	visits int // connections
	asked  int
}

// Serve starts a node that listens at an IPv4 address, on any port; at "" it is
// reached over memory. It ends with the test.
func (c *Crowd) Serve(t testing.TB, ip string, cfg rpc.ServerConfig) *Node {
	t.Helper()
	n := &Node{answered: func() { c.count(ip, -1) }}
	listen := "/memory/0"
	if ip != "" {
		listen = "/ip4/" + ip + "/tcp/0"
	}
	var err error
	n.Host, err = tari.New(tari.Config{
		Network: dialect.Localnet, Listen: []ma.Multiaddr{ma.StringCast(listen)}, AllowTestAddresses: true,
		Hooks: tari.Hooks{OnClaim: func(_ peer.ID, claim *identityproto.Claim, _ network.Direction, _ ma.Multiaddr) {
			if claim.Features != identityproto.FeatureClient {
				return
			}
			n.mu.Lock()
			defer n.mu.Unlock()
			n.visits++
			c.count(ip, 1)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	n.RPC = rpc.NewServer(n, cfg)
	t.Cleanup(func() {
		n.RPC.Close()
		n.Close()
	})
	if err := n.RPC.Register(peersync.Service, peersync.Method(peersync.ServerConfig{
		AllowTestAddresses: true,
		Claims: func(most int, keep func(*identityproto.Claim) bool) []*identityproto.Claim {
			defer n.answered()
			time.Sleep(5 * time.Millisecond) // so that visits meet
			c.ask()
			return n.told(most, keep)
		},
	})); err != nil {
		t.Fatal(err)
	}
	if n.Claim, err = n.OwnClaim(); err != nil {
		t.Fatal(err)
	}
	return n
}

// told are the claims that the node tells of.
func (n *Node) told(most int, keep func(*identityproto.Claim) bool) []*identityproto.Claim {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked++
	told := slices.DeleteFunc(slices.Clone(n.knows), func(c *identityproto.Claim) bool { return !keep(c) })
	return told[:min(most, len(told))]
}

// Tell makes the node tell of more peers.
func (n *Node) Tell(claims ...*identityproto.Claim) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.knows = append(n.knows, claims...)
}

// Counts are how many visits there were, and how many asked for peers.
func (n *Node) Counts() (visits, asked int) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.visits, n.asked
}

// At is how the node is dialed.
func (n *Node) At() tari.Address { return tari.Address{Key: n.Claim.Key, Addrs: n.Claim.Addresses} }

// Network starts n nodes on 20 hosts, which network and a number make: each tells
// of a few others, some at the same host, so that all are found from any.
func (c *Crowd) Network(t testing.TB, network string, n int) (nodes []*Node) {
	t.Helper()
	for i := range n {
		nodes = append(nodes, c.Serve(t, fmt.Sprintf("%s.%d", network, 1+i*20/n), rpc.ServerConfig{}))
	}
	for i, one := range nodes {
		for _, step := range []int{1, 3, 17, n / 2} {
			one.Tell(nodes[(i+step)%n].Claim)
		}
		one.Tell(one.Claim) // which whoever asks has to bear
	}
	return nodes
}

// Signed is the claim of a node that does not exist, at these addresses.
func Signed(t testing.TB, addrs ...string) *identityproto.Claim {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	c := &identityproto.Claim{Features: identityproto.FeatureNode}
	for _, a := range addrs {
		c.Addresses = append(c.Addresses, ma.StringCast(a))
	}
	if err := c.Sign(key, time.Now()); err != nil {
		t.Fatal(err)
	}
	return c
}
