package crawl

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) {
	if crawlsOnBehalf() {
		return
	}
	goleak.VerifyTestMain(m)
}

// patience is far more than anything here takes, on the slowest of machines.
const patience = 5 * time.Minute

func patient(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

// crowd counts at all servers of a network together.
type crowd struct {
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

// stop makes the servers fall silent when so many more visits have asked.
func (s *crowd) stop(after int) (reached, goOn chan struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stopAt, s.reached, s.goOn = s.asked+after, make(chan struct{}), make(chan struct{})
	return s.reached, s.goOn
}

// ask counts a visit that asks, and waits if it is to.
func (s *crowd) ask() {
	s.mu.Lock()
	s.asked++
	goOn := s.goOn
	if goOn != nil && s.asked == s.stopAt {
		close(s.reached)
	}
	wait := goOn != nil && s.asked >= s.stopAt
	s.mu.Unlock()
	if wait {
		<-goOn
	}
}

// came counts a visit at a host from its handshake on, and left until it has been answered.
func (s *crowd) came(host string) { s.count(host, 1) }
func (s *crowd) left(host string) { s.count(host, -1) }

func (s *crowd) count(host string, by int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.now == nil {
		s.now, s.most = map[string]int{}, map[string]int{}
	}
	s.now[host] += by
	s.all += by
	s.most[host] = max(s.most[host], s.now[host])
	s.mostAll = max(s.mostAll, s.all)
}

// server is a node of a test network.
type server struct {
	*tari.Host
	rpc   *rpc.Server
	claim *identityproto.Claim

	mu       sync.Mutex
	knows    []*identityproto.Claim
	visits   int // connections
	asked    int
	features []identityproto.Features // that visitors claim
}

// serve starts a node that listens at an IP address and tells of those it knows; at "" it is reached over memory.
func (s *crowd) serve(t testing.TB, ip string, cfg rpc.ServerConfig) *server {
	t.Helper()
	one := &server{}
	listen := "/memory/0"
	if ip != "" {
		listen = "/ip4/" + ip + "/tcp/0"
	}
	var err error
	one.Host, err = tari.New(tari.Config{
		Network: dialect.Localnet, Listen: []ma.Multiaddr{ma.StringCast(listen)}, AllowTestAddresses: true,
		Hooks: tari.Hooks{OnClaim: func(_ peer.ID, c *identityproto.Claim, _ network.Direction, _ ma.Multiaddr) {
			one.mu.Lock()
			defer one.mu.Unlock()
			one.visits++
			one.features = append(one.features, c.Features)
			s.came(ip)
		}},
	})
	if err != nil {
		t.Fatal(err)
	}
	one.rpc = rpc.NewServer(one, cfg)
	t.Cleanup(func() {
		one.rpc.Close()
		one.Close()
	})
	if err := one.rpc.Register(peersync.Service, peersync.Method(peersync.ServerConfig{
		AllowTestAddresses: true,
		Claims: func(most int, keep func(*identityproto.Claim) bool) []*identityproto.Claim {
			defer s.left(ip)
			time.Sleep(5 * time.Millisecond) // so that visits meet
			s.ask()
			one.mu.Lock()
			defer one.mu.Unlock()
			one.asked++
			told := slices.DeleteFunc(slices.Clone(one.knows), func(c *identityproto.Claim) bool { return !keep(c) })
			return told[:min(most, len(told))]
		},
	})); err != nil {
		t.Fatal(err)
	}
	if one.claim, err = one.OwnClaim(); err != nil {
		t.Fatal(err)
	}
	return one
}

func (s *server) tell(claims ...*identityproto.Claim) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.knows = append(s.knows, claims...)
}

func (s *server) counts() (visits, asked int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.visits, s.asked
}

// at is how the node is dialed.
func (s *server) at() tari.Address { return tari.Address{Key: s.claim.Key, Addrs: s.claim.Addresses} }

// network200 are n nodes on 20 hosts: each tells of a few others, some at the same host, so that all are found from any.
func network200(t testing.TB, s *crowd, n int) (nodes []*server) {
	t.Helper()
	for i := range n {
		nodes = append(nodes, s.serve(t, fmt.Sprintf("127.0.1.%d", 1+i*20/n), rpc.ServerConfig{}))
	}
	for i, one := range nodes {
		for _, step := range []int{1, 3, 17, n / 2} {
			one.tell(nodes[(i+step)%n].claim)
		}
		one.tell(one.claim) // which whoever asks has to bear
	}
	return nodes
}

// guest is the host of a crawl.
func guest(t testing.TB, cfg tari.Config) *tari.Host {
	t.Helper()
	cfg.Network = dialect.Localnet
	h, err := tari.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	h.SetFeatures(identityproto.FeatureClient)
	return h
}

// signed is the claim of a node that does not exist, at these addresses.
func signed(t testing.TB, addrs ...string) *identityproto.Claim {
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

// of are the peers of a result by their keys.
func of(r *Result) map[tarikey.PublicKey]Peer {
	out := map[tarikey.PublicKey]Peer{}
	for _, p := range r.Peers {
		out[p.Key] = p
	}
	return out
}

// classes counts the peers of a result.
func classes(r *Result) map[Class]int {
	out := r.Summary().Classes
	maps.DeleteFunc(out, func(_ Class, n int) bool { return n == 0 })
	return out
}
