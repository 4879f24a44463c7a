package basenode_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// net is some base nodes and what asks them.
type net struct {
	*basenode.Peers
	us     *tari.Host
	ids    []peer.ID
	chains []*chaintest.Chain
	left   []*basenode.PeerError // in order
}

// newNet is nodes that are asked in order, with chains up to these heights.
func newNet(t testing.TB, lengths ...uint64) *net {
	t.Helper()
	us := newHost(t)
	n := &net{us: us}
	for _, length := range lengths {
		chain := chaintest.New(dialect.Localnet, length)
		chain.Set(length, 0, 0, 100*length)
		id, _ := serve(t, us, chain, rpc.ServerConfig{})
		n.ids, n.chains = append(n.ids, id), append(n.chains, chain)
	}
	var err error
	n.Peers, err = basenode.NewPeers(us, n.ids, basenode.PeersConfig{
		Config: config, OnLeave: func(e *basenode.PeerError) { n.left = append(n.left, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { n.Close() })
	return n
}

// clients are new ones of all.
func (n *net) clients(t testing.TB) (all []*basenode.Client) {
	t.Helper()
	for _, id := range n.ids {
		all = append(all, client(t, n.us, id))
	}
	return all
}

// why are the reasons for which peers were left since it was asked last, shortened.
func (n *net) why() string {
	var all []string
	for _, e := range n.left {
		i := slices.Index(n.ids, e.Peer)
		all = append(all, string(rune('a'+i))+": "+e.Err.Error())
	}
	n.left = nil
	return strings.Join(all, "; ")
}

// follower is a copy of the chain that steps make.
type follower []basenode.Point

func (f *follower) take(t testing.TB, s basenode.Step) {
	t.Helper()
	if s.Back {
		i := slices.Index(*f, s.Point)
		if i < 0 || i == len(*f)-1 || s.Header != nil {
			t.Fatalf("back to %v of %v", s.Point, *f)
		}
		*f = (*f)[:i+1]
		return
	}
	if s.Header.Point() != s.Point || len(*f) > 0 && (*f)[len(*f)-1] != (basenode.Point{Height: s.Height - 1, Hash: s.Header.Prev}) {
		t.Fatalf("%+v behind %v", s, *f)
	}
	*f = append(*f, s.Point)
}

// catchUp walks to the tip.
func (f *follower) catchUp(t testing.TB, c *basenode.Cursor) error {
	t.Helper()
	steps, err := all(c.Headers(patient(t)))
	for _, s := range steps {
		f.take(t, s)
	}
	return err
}

func (f *follower) wants(t testing.TB, want []basenode.Point) {
	t.Helper()
	if !slices.Equal(*f, want) {
		t.Errorf("%d blocks, of %d\ngot  %v\nwant %v", len(*f), len(want), *f, want)
	}
}

func TestCursor(t *testing.T) {
	n := newNet(t, 250)
	c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
	if err := f.catchUp(t, c); err != nil {
		t.Fatal(err)
	}
	f.wants(t, n.chains[0].Points())
	if err := f.catchUp(t, c); err != nil || len(f) != 251 {
		t.Errorf("again: %d, %v", len(f), err)
	}
	n.chains[0].Set(253, 0, 0, 30_000)
	if err := f.catchUp(t, c); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[0].Points())

	n.chains[0].Set(255, 240, 1, 40_000)
	if err := f.catchUp(t, c); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[0].Points())
	if why := n.why(); why != "" {
		t.Errorf("left: %s", why)
	}

	// From a height, from what was given before, and in pieces.
	from := follower{}
	if err := from.catchUp(t, basenode.NewCursor(n.Peers, basenode.CursorConfig{Height: 100})); err != nil {
		t.Error(err)
	}
	from.wants(t, n.chains[0].Points()[100:])
	next := follower{}
	if err := next.catchUp(t, basenode.NewCursor(n.Peers, basenode.CursorConfig{After: f[:200]})); err != nil {
		t.Error(err)
	}
	next.wants(t, n.chains[0].Points()[200:])
	pieces, again := follower{}, basenode.NewCursor(n.Peers, basenode.CursorConfig{})
	for len(pieces) < 256 {
		for s, err := range again.Headers(patient(t)) {
			if err != nil {
				t.Fatal(err)
			}
			pieces.take(t, s)
			if len(pieces)%40 == 0 {
				break
			}
		}
	}
	pieces.wants(t, n.chains[0].Points())

	if _, err := all(basenode.NewCursor(n.Peers, basenode.CursorConfig{Height: 300}).Headers(patient(t))); rpc.CodeOf(err) != rpc.NotFound {
		t.Errorf("from above the tip: %v", err)
	}
}

func TestCursorOverBlocks(t *testing.T) {
	n := newNet(t, 250)
	c := basenode.NewCursor(n.Peers, basenode.CursorConfig{})
	f := follower{n.chains[0].Points()[0]} // no node sends its body
	for range 2 {
		points := n.chains[0].Points()
		for s, err := range c.Blocks(patient(t)) {
			if err != nil {
				t.Fatal(err)
			}
			f.take(t, s)
			if s.Tip != points[len(points)-1].Height {
				t.Errorf("at %d the tip is at %d", s.Height, s.Tip)
			}
			if !s.Back && s.Body.Kernels[0].Fee != s.Height {
				t.Errorf("body %v at %d", s.Body, s.Height)
			}
		}
		f.wants(t, n.chains[0].Points())
		n.chains[0].Set(260, 249, 1, 40_000)
	}
}

// The chain changes while a stream of it runs.
func TestReorgInTheMiddle(t *testing.T) {
	for _, bodies := range []bool{false, true} {
		n := newNet(t, 200)
		c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
		steps := c.Headers(patient(t))
		if bodies {
			f, steps = follower{n.chains[0].Points()[0]}, c.Blocks(patient(t))
		}
		changed := false
		n.chains[0].PauseAt(120)
		for s, err := range steps {
			if err != nil {
				t.Fatal(err)
			}
			f.take(t, s)
			if s.Height == 90 && !changed {
				changed = true
				n.chains[0].Set(220, 80, 1, 30_000)
			}
			if bodies && s.Height == 0 {
				t.Error("a body of the first block")
			}
		}
		if bodies && !changed {
			// Bodies wait for the headers of their hundred.
			t.Error("never half way")
		}
		f.wants(t, n.chains[0].Points())
		if why := n.why(); why != "" {
			t.Errorf("left: %s", why)
		}
	}
}

// A peer that is left says why; the next goes on from the same block.
func TestRotation(t *testing.T) {
	us := newHost(t)
	chain := chaintest.New(dialect.Localnet, 300)
	full, server := serve(t, us, chain, rpc.ServerConfig{MaxSessions: 1, KeepOldest: true})
	good, _ := serve(t, us, chain, rpc.ServerConfig{})
	gone := newHost(t)
	gone.Close()
	mute := newHost(t) // serves nothing
	us.SetConfigured(peer.AddrInfo{ID: mute.ID(), Addrs: mute.Addrs()})

	other, err := rpc.Connect(patient(t), us, full, basenode.SyncService, rpc.ClientConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	n := &net{ids: []peer.ID{full, gone.ID(), mute.ID(), good}, chains: []*chaintest.Chain{chain}}
	n.Peers, err = basenode.NewPeers(us, n.ids, basenode.PeersConfig{
		Config: config, OnLeave: func(e *basenode.PeerError) { n.left = append(n.left, e) },
	})
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
	if err := f.catchUp(t, c); err != nil {
		t.Fatal(err)
	}
	f.wants(t, chain.Points())
	if len(n.left) != 3 || n.left[0].Peer != full || n.left[1].Peer != gone.ID() || n.left[2].Peer != mute.ID() {
		t.Fatalf("left: %s", n.why())
	}
	refused, ok := errors.AsType[*rpc.RejectedError](n.left[0])
	if !ok || refused.Reason != rpc.RejectServerFull {
		t.Errorf("%v", n.left[0])
	}
	n.why()
	if err := f.catchUp(t, c); err != nil || len(n.left) != 0 {
		t.Errorf("the one that was good is asked first: %v, %s", err, n.why())
	}
	if server.Sessions() != 1 {
		t.Errorf("%d sessions with the first", server.Sessions())
	}
}

// A session that ends in the middle is no reason to give up, not even with one peer.
func TestSessionEndsInTheMiddle(t *testing.T) {
	us, chain := newHost(t), chaintest.New(dialect.Localnet, 300)
	id, server := serve(t, us, chain, rpc.ServerConfig{})
	peers, err := basenode.NewPeers(us, []peer.ID{id}, basenode.PeersConfig{Config: config})
	if err != nil {
		t.Fatal(err)
	}
	defer peers.Close()
	f, ends := follower{}, 0
	chain.PauseAt(100)
	for s, err := range basenode.NewCursor(peers, basenode.CursorConfig{}).Headers(patient(t)) {
		if err != nil {
			t.Fatal(err)
		}
		f.take(t, s)
		if s.Height == 50 && ends == 0 {
			ends = server.ClosePeer(us.ID())
			chain.Set(300, 0, 0, 1000)
		}
	}
	f.wants(t, chain.Points())
	if ends == 0 {
		t.Error("no session was ended")
	}
}

// A peer that falls silent in the middle is left when its time for an item is up.
func TestSilenceInTheMiddle(t *testing.T) {
	t.Parallel() // it waits for the deadline
	n := newNet(t, 100, 100)
	n.chains[0].PauseAt(50)
	defer n.chains[0].Set(1, 0, 0, 1)
	var why []string
	cfg := config
	cfg.Client.Deadline, cfg.Client.Grace = 4*time.Second, time.Millisecond
	peers, err := basenode.NewPeers(n.us, n.ids, basenode.PeersConfig{Config: cfg, OnLeave: func(e *basenode.PeerError) {
		if !errors.Is(e, context.DeadlineExceeded) || e.Peer != n.ids[0] {
			t.Error(e)
		}
		why = append(why, e.Error())
	}})
	if err != nil {
		t.Fatal(err)
	}
	defer peers.Close()
	f := follower{}
	if err := f.catchUp(t, basenode.NewCursor(peers, basenode.CursorConfig{})); err != nil || len(why) != 1 {
		t.Errorf("%v, left %q", err, why)
	}
	f.wants(t, n.chains[1].Points())
}

// The first peer's chain does not reach up to where the cursor begins; the next one's does.
func TestBeginWithTheNext(t *testing.T) {
	n := newNet(t, 50, 100)
	f := follower{}
	if err := f.catchUp(t, basenode.NewCursor(n.Peers, basenode.CursorConfig{Height: 80})); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[1].Points()[80:])
	if why := n.why(); !strings.Contains(why, "not found") {
		t.Errorf("left: %s", why)
	}
}

// Whoever lies is left and not asked again.
func TestLiarIsLeft(t *testing.T) {
	for lie, want := range map[chaintest.Lie]string{
		chaintest.Unlinked:  "a: a bad answer at height 60: a header that does not follow on the one before",
		chaintest.Height:    "a: a bad answer at height 60: not the height that was due",
		chaintest.Malformed: "a: a bad answer: a message that cannot be one",
	} {
		n := newNet(t, 100, 100)
		n.chains[0].LieAt(60, lie)
		c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
		if err := f.catchUp(t, c); err != nil {
			t.Errorf("%s: %v", lie, err)
		}
		f.wants(t, n.chains[1].Points())
		if why := n.why(); why != want {
			t.Errorf("%s: left %q, want %q", lie, why, want)
		}
		n.chains[0].Set(110, 0, 0, 90_000)
		n.chains[1].LieAt(0, chaintest.Malformed)
		err := f.catchUp(t, c)
		failed, ok := errors.AsType[*basenode.NoPeerError](err)
		if !ok || len(failed.Failed) != 2 || !errors.As(err, new(*basenode.BadAnswerError)) || len(f) != 101 {
			t.Errorf("%s: %d, %v", lie, len(f), err)
		}
	}
}

// A peer that is behind, or on a chain of less work, leads nobody back.
func TestLessWork(t *testing.T) {
	n := newNet(t, 100, 100, 100)
	n.chains[1].Set(90, 0, 0, 9_000)
	n.chains[2].Set(120, 50, 1, 9_500)
	c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
	if err := f.catchUp(t, c); err != nil {
		t.Fatal(err)
	}
	want := n.chains[0].Points()
	n.chains[0].LieAt(0, chaintest.Malformed) // so that the others are asked
	err := f.catchUp(t, c)
	less, ok := errors.AsType[*basenode.LessWorkError](err)
	if !ok || less.Tip.Height != 90 {
		t.Errorf("%v", err)
	}
	f.wants(t, want)
	if got := n.why(); strings.Count(got, "less work") != 2 {
		t.Errorf("left: %s", got)
	}
	n.chains[2].Set(120, 50, 1, 20_000)
	if err := f.catchUp(t, c); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[2].Points())

	// Before it has ever caught up, a peer that is behind cannot do so either.
	behind := newNet(t, 100)
	ahead := follower(chaintest.New(dialect.Localnet, 120).Points())
	err = (&ahead).catchUp(t, basenode.NewCursor(behind.Peers, basenode.CursorConfig{After: ahead}))
	if !errors.As(err, new(*basenode.LessWorkError)) || len(ahead) != 121 {
		t.Errorf("%d, %v", len(ahead), err)
	}
}

func TestDeepReorg(t *testing.T) {
	n := newNet(t, 3000)
	c, f := basenode.NewCursor(n.Peers, basenode.CursorConfig{}), follower{}
	if err := f.catchUp(t, c); err != nil {
		t.Fatal(err)
	}
	kept := c.Points()
	if len(kept) < 1000 || len(kept) >= 2000 || kept[len(kept)-1] != f[3000] {
		t.Fatalf("%d are remembered", len(kept))
	}
	n.chains[0].Set(3010, 3001-1000, 1, 1_000_000)
	if err := f.catchUp(t, c); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[0].Points())
	n.chains[0].Set(3020, 500, 2, 2_000_000)
	err := f.catchUp(t, c)
	deep, ok := errors.AsType[*basenode.DeepReorgError](err)
	if !ok || deep.Oldest.Height > 3010-999 || deep.Oldest.Height < 1000 {
		t.Errorf("%v", err)
	}
	more := basenode.NewCursor(n.Peers, basenode.CursorConfig{After: f, Keep: 3000})
	if err := f.catchUp(t, more); err != nil {
		t.Error(err)
	}
	f.wants(t, n.chains[0].Points())
}

func TestCursorEnds(t *testing.T) {
	n := newNet(t, 100)
	n.chains[0].PauseAt(50)
	ctx, cancel := context.WithCancel(patient(t))
	defer cancel()
	f := follower{}
	for s, err := range basenode.NewCursor(n.Peers, basenode.CursorConfig{}).Headers(ctx) {
		if err != nil {
			if !errors.Is(err, context.Canceled) {
				t.Error(err)
			}
			break
		}
		if f.take(t, s); s.Height == 30 {
			cancel()
		}
	}
	if len(f) < 31 || n.why() != "" {
		t.Errorf("%d blocks", len(f))
	}
	short, stop := context.WithTimeout(t.Context(), time.Nanosecond)
	defer stop()
	if _, err := all(basenode.NewCursor(n.Peers, basenode.CursorConfig{}).Headers(short)); !errors.Is(err, context.DeadlineExceeded) {
		t.Error(err)
	}
	none, err := basenode.NewPeers(newHost(t), nil, basenode.PeersConfig{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := all(basenode.NewCursor(none, basenode.CursorConfig{}).Headers(patient(t))); !errors.As(err, new(*basenode.NoPeerError)) {
		t.Error(err)
	}
}
