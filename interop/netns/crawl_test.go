//go:build interop && linux

package netns

import (
	"context"
	"fmt"
	"maps"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/crawl"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Who there is in the network that is crawled: nodes of ours, and beside them nodes of ours and Rust nodes of which Rust nodes alone tell.
const (
	crawlMesh = 176
	crawlRust = 8
	eachRust  = 3   // nodes of ours that only one Rust node knows
	liars     = 4   // nodes that tell of nothing but poison
	poisoned  = 500 // peers that a liar tells of, each with five addresses
)

// crawlRules count who is called that is no node of the network: the beginning of any connection to elsewhere, by anybody in the namespace.
const crawlRules = `
table inet crawl {
	counter elsewhere {}
	chain output {
		type filter hook output priority 0;
		ip daddr != 45.33.0.0/16 tcp flags & (syn | ack) == syn counter name elsewhere
		meta nfproto ipv6 tcp flags & (syn | ack) == syn counter name elsewhere
	}
}
`

// TestCrawl: one crawl finds all of a network of 200 nodes of ours and of Rust nodes, in which some tell of 10,000 addresses in the
// networks of others. Their addresses look like those of the internet: what a stranger may not make us dial is judged as there, and
// each connection to anywhere else is counted. The crawl keeps its limits, as counted at the nodes, and another that is killed again
// and again finds the same.
func TestCrawl(t *testing.T) {
	bin := rustBinary(t)
	if bin == "" {
		t.Skip("no modern Rust peer: run scripts/rust-modern.sh and set TARI_LIBP2P_RUST_MODERN to the path it prints")
	}
	inside(t, func(t *testing.T) {
		runIP(t, "route add local 45.33.0.0/16 dev lo") // all of it is this machine
		addRules(t, crawlRules)
		c := newCrawled(t, bin)
		c.once(t)
		c.killed(t)
		outside, dns := sent(t)
		if elsewhere := counted(t, "elsewhere"); elsewhere+outside+dns != 0 {
			t.Errorf("%d calls to where no node is, %d packets out of the machine, %d for a name server", elsewhere, outside, dns)
		}
		// The counters do count.
		for _, poison := range []string{"127.0.0.9:1", "[::1]:1", "10.1.0.1:18189"} {
			if conn, err := net.DialTimeout("tcp", poison, 50*time.Millisecond); err == nil {
				conn.Close()
			}
		}
		outside, _ = sent(t)
		if elsewhere := counted(t, "elsewhere"); elsewhere < 3 || outside < 1 {
			t.Errorf("three calls to elsewhere are counted as %d, %d of them out of the machine", elsewhere, outside)
		}
	})
}

// crawled is a network that is crawled.
type crawled struct {
	crowd crawltest.Crowd
	ours  []*crawltest.Node
	rusts []*crawledRust
	start tari.Address
	want  map[crawl.Class]int // but NotTried, which is only in part of the poisoned
}

func newCrawled(t *testing.T, bin string) *crawled {
	t.Helper()
	c := &crawled{want: map[crawl.Class]int{crawl.Hostile: 1, crawl.Unreachable: 1}}
	mesh := c.crowd.Network(t, "45.33.1", crawlMesh)
	c.ours, c.start = slices.Clone(mesh), mesh[0].At()
	for i := range crawlRust {
		r := startCrawledRust(t, bin, i)
		var claim *identityproto.Claim // of the Rust node
		for range eachRust {
			n := c.crowd.Serve(t, fmt.Sprintf("45.33.3.%d", 1+i), rpc.ServerConfig{})
			claim = r.meets(t, n)
			n.Tell(mesh[i].Claim)
			c.ours = append(c.ours, n)
		}
		if i%2 == 0 {
			mesh[20*i].Tell(claim)
		} else { // the Rust node before alone tells of this one
			c.rusts[i-1].meetsRust(t, r)
		}
		c.rusts = append(c.rusts, r)
	}
	for i := range liars {
		liar := c.crowd.Serve(t, fmt.Sprintf("45.33.4.%d", 1+i), rpc.ServerConfig{})
		liar.Lie(t, crawltest.Poisoned(t, 5*i*poisoned, poisoned)...)
		mesh[30*i].Tell(liar.Claim)
	}
	forger := c.crowd.Serve(t, "45.33.5.1", rpc.ServerConfig{})
	var forged []*dhtproto.GetPeersResponse
	for range 6 { // five may happen to an honest one
		forged = append(forged, crawltest.Forged(t, "/ip4/45.33.9.1/tcp/1"))
	}
	forger.Lie(t, forged...)
	mesh[100].Tell(forger.Claim, crawltest.Signed(t, "/ip4/45.33.9.2/tcp/1"))
	c.want[crawl.Answered] = len(c.ours) + len(c.rusts) + liars
	return c
}

// once crawls in this process, and holds what comes of it against what the nodes have counted.
func (c *crawled) once(t *testing.T) {
	const parallel, perHost = 24, 3
	h, err := tari.New(tari.Config{Network: dialect.Localnet})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.SetFeatures(identityproto.FeatureClient)
	before := c.count()
	result, err := crawl.Run(within(t), h, crawl.Config{Start: []tari.Address{c.start}, Parallel: parallel, PerHost: perHost})
	if err != nil {
		t.Fatal(err)
	}
	c.check(t, result)
	for node, n := range c.count() {
		if n-before[node] != 1 {
			t.Errorf("%s was visited %d times", node, n-before[node])
		}
	}
	all, at := c.crowd.Most()
	most := slices.Max(slices.Collect(maps.Values(at)))
	t.Logf("%+v; at most %d visits at a time, %d at one host", result.Summary(), all, most)
	if all > parallel || most > perHost || most < 2 {
		t.Errorf("%d visits at a time, %d at one host: %v", all, most, at)
	}
}

// killedParallel is how many visits are under way when a crawl is killed.
const killedParallel = 8

// killed crawls in processes of their own, of which all but the last are killed in the middle.
func (c *crawled) killed(t *testing.T) {
	journal := filepath.Join(t.TempDir(), "journal")
	before := c.count()
	const kills = 3
	for range kills {
		reached, goOn := c.crowd.Stop(len(c.ours) / (kills + 1))
		child := c.crawler(t, journal)
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		select {
		case <-reached:
		case <-within(t).Done():
			t.Error("it asks nobody")
		}
		_ = child.Process.Kill()
		if child.Wait() == nil {
			t.Error("the crawl was done before it was killed")
		}
		close(goOn)
	}
	last := c.crawler(t, journal)
	if out, err := last.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	twice := 0
	for node, n := range c.count() {
		if n == before[node] {
			t.Errorf("%s was not visited", node)
		}
		twice += max(0, n-before[node]-1)
	}
	if twice > kills*killedParallel {
		t.Errorf("%d visits too many, in a crawl that was killed %d times", twice, kills)
	}
	memory := last.ProcessState.SysUsage().(*syscall.Rusage).Maxrss >> 10
	t.Logf("%d kills, %d visited again; the last process had %d MiB", kills, twice, memory)
	if memory > 512 { // with the race detector
		t.Errorf("a crawl of %d peers takes %d MiB", len(c.ours)+len(c.rusts), memory)
	}
	c.check(t, readCrawl(t, journal))
}

// check holds a result against the network.
func (c *crawled) check(t *testing.T, result *crawl.Result) {
	t.Helper()
	sum := result.Summary()
	got := maps.Clone(sum.Classes)
	notTried := got[crawl.NotTried]
	delete(got, crawl.NotTried)
	if !maps.Equal(got, c.want) {
		t.Errorf("%v, want %v", got, c.want)
	}
	// A full answer is asked for once more.
	if internal := sum.Invalid[peersync.FaultInternal]; notTried == 0 || internal/2+notTried != liars*poisoned {
		t.Errorf("%d peers not tried, %d told of that are internal", notTried, internal)
	}
	found := map[tarikey.PublicKey]crawl.Peer{}
	for _, p := range result.Peers {
		found[p.Key] = p
	}
	keys := []tarikey.PublicKey{}
	for _, n := range c.ours {
		keys = append(keys, n.PublicKey())
	}
	for _, r := range c.rusts {
		keys = append(keys, r.key)
	}
	for _, key := range keys {
		p, ok := found[key]
		if !ok || p.Visit == nil || p.Visit.Class != crawl.Answered || p.Claim == nil || p.Claim.VerifySignature(time.Now()) != nil {
			t.Errorf("%s: %+v, %+v", key, p, p.Visit)
		}
	}
}

// count is how often each node has been visited by crawls.
func (c *crawled) count() map[string]int {
	visits := map[string]int{}
	for _, n := range c.ours {
		visits[n.PublicKey().String()], _ = n.Counts()
	}
	for _, r := range c.rusts {
		visits[r.key.String()] = r.visits()
	}
	return visits
}

// crawlEnv is set in a process that is a crawl: where it begins, and its journal.
const crawlEnv, crawlJournalEnv = "TARI_LIBP2P_CRAWL_START", "TARI_LIBP2P_CRAWL_JOURNAL"

func (c *crawled) crawler(t *testing.T, journal string) *exec.Cmd {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self, "-test.run", "^TestCrawler$")
	cmd.Env = append(os.Environ(), crawlEnv+"="+c.start.String(), crawlJournalEnv+"="+journal)
	return cmd
}

// TestCrawler is no test but that process.
func TestCrawler(t *testing.T) {
	if os.Getenv(crawlEnv) == "" {
		t.Skip("only run by TestCrawl")
	}
	start, err := tari.ParseAddress(os.Getenv(crawlEnv))
	if err != nil {
		t.Fatal(err)
	}
	h, err := tari.New(tari.Config{Network: dialect.Localnet})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	h.SetFeatures(identityproto.FeatureClient)
	if _, err := crawl.Run(within(t), h, crawl.Config{
		Start: []tari.Address{start}, Parallel: killedParallel, Journal: os.Getenv(crawlJournalEnv), Network: "localnet",
	}); err != nil {
		t.Fatal(err)
	}
}

// readCrawl is what a crawl that is done has found: it visits nobody again.
func readCrawl(t *testing.T, journal string) *crawl.Result {
	t.Helper()
	h, err := tari.New(tari.Config{Network: dialect.Localnet})
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	result, err := crawl.Run(within(t), h, crawl.Config{
		Journal: journal, Network: "localnet", OnVisit: func(p crawl.Peer, _ crawl.Progress) { t.Errorf("visited %s again", p.Key) },
	})
	if err != nil {
		t.Fatal(err)
	}
	return result
}

// crawledRust is a Rust node. It tells of those that it has reached.
type crawledRust struct {
	*rust
	key  tarikey.PublicKey
	id   peer.ID
	mine map[string]bool // node ids of the network's own nodes that came to it

	mu   sync.Mutex
	came map[string]int // connections, by node ids
	left map[string]int
}

func startCrawledRust(t *testing.T, bin string, i int) *crawledRust {
	t.Helper()
	r := &crawledRust{mine: map[string]bool{}, came: map[string]int{}, left: map[string]int{}}
	var err error
	r.rust, err = startRust(exec.Command(bin, "--dht", "true", "--listen", fmt.Sprintf("/ip4/45.33.2.%d/tcp/0", 1+i),
		"--wire-byte", fmt.Sprint(dialect.Localnet.WireByte)), r.note)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.quit)
	if r.key, err = tarikey.PublicKeyFromHex(r.PublicKey); err != nil {
		t.Fatal(err)
	}
	r.id = r.key.PeerID()
	return r
}

// note is told of each event.
func (r *crawledRust) note(l line) {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch l.Event {
	case "connected":
		r.came[l.NodeID]++
	case "disconnected":
		r.left[l.NodeID]++
	}
}

func (r *crawledRust) counts(nodeID string) (came, left int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.came[nodeID], r.left[nodeID]
}

// visits are the connections of strangers.
func (r *crawledRust) visits() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for id, came := range r.came {
		if !r.mine[id] {
			n += came
		}
	}
	return n
}

// meets has a node of ours come to the Rust node, which then reaches it, and returns the Rust node's claim.
func (r *crawledRust) meets(t *testing.T, n *crawltest.Node) *identityproto.Claim {
	t.Helper()
	at, err := tari.ParseAddress(r.PublicKey + "::" + r.Address)
	if err != nil {
		t.Fatal(err)
	}
	r.reaches(t, n.PublicKey().NodeID().String(), func() error { return n.Connect(within(t), at.AddrInfo()) }, func() {
		_ = n.Network().ClosePeer(r.id) // what could not be sent is of no interest
	})
	claim, ok := n.Host.Claim(r.id)
	if !ok {
		t.Fatal("the Rust node has no claim")
	}
	return claim
}

// meetsRust is meets for another Rust node.
func (r *crawledRust) meetsRust(t *testing.T, other *crawledRust) {
	t.Helper()
	other.mine[r.NodeID] = true
	r.reaches(t, other.NodeID, func() error {
		_, err := other.do("dial", map[string]any{"public_key": r.PublicKey, "addresses": []string{r.Address}})
		return err
	}, func() {
		_, _ = other.do("disconnect", map[string]any{"node_id": r.NodeID}) // it may say that it has no connection when that ends
	})
}

// reaches has somebody come by come and leave by leave, and be asked at the address that it claimed: only of such does the Rust node tell.
func (r *crawledRust) reaches(t *testing.T, nodeID string, come func() error, leave func()) {
	t.Helper()
	r.mine[nodeID] = true
	if err := come(); err != nil {
		t.Fatal(err)
	}
	eventually(t, "it came", func() bool { came, _ := r.counts(nodeID); return came > 0 })
	leave()
	eventually(t, "it left", func() bool { _, left := r.counts(nodeID); return left > 0 })
	if _, err := r.do("get_peers", map[string]any{"node_id": nodeID}); err != nil {
		t.Fatal(err)
	}
}

// within bounds what a test waits for.
func within(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	t.Cleanup(cancel)
	return ctx
}
