//go:build interop

package interop

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// rustChain is a Rust peer that serves a chain: see rust/modern/src/basenode.rs. Its headers and their hashes are those of the crate
// tari_node_components, its RPC server is that of tari_comms.
type rustChain struct {
	*rustPeer
	hashes []basenode.Hash
}

func startChain(t *testing.T, us *ourNode, length int, args ...string) *rustChain {
	t.Helper()
	c := &rustChain{rustPeer: startRust(t, modern, args...)}
	c.set(length, 0, 0, 1000)
	us.host.SetConfigured(addrInfo(t, c.rustPeer))
	return c
}

// set changes the chain: blocks up to length, those above forkAt depend on salt. It ends lies and pauses.
func (c *rustChain) set(length, forkAt, salt, difficulty int) {
	c.t.Helper()
	ev := c.do("chain", map[string]any{"length": length, "fork_at": forkAt, "salt": salt, "difficulty": difficulty})
	var answer struct{ Hashes []basenode.Hash }
	if err := json.Unmarshal([]byte(ev.line), &answer); err != nil || len(answer.Hashes) != length+1 {
		c.t.Fatalf("%d hashes, %v", len(answer.Hashes), err)
	}
	c.hashes = answer.Hashes
}

func (c *rustChain) lie(at int, lie string) {
	c.t.Helper()
	c.do("chain_lie", map[string]any{"at": at, "lie": lie})
}

func (c *rustChain) point(height int) basenode.Point {
	return basenode.Point{Height: uint64(height), Hash: c.hashes[height]}
}

// streams are how many streams run.
func (c *rustChain) streams() int {
	c.t.Helper()
	var answer struct{ Running int }
	if err := json.Unmarshal([]byte(c.do("chain_served", nil).line), &answer); err != nil {
		c.t.Fatal(err)
	}
	return answer.Running
}

func (c *rustChain) client(us *ourNode) *basenode.Client {
	c.t.Helper()
	client, err := basenode.New(us.host, peerID(c.t, c.rustPeer), basenode.Config{})
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { client.Close() })
	return client
}

// allOf is what a sequence yields before its end or its error.
func allOf[T any](items iter.Seq2[T, error]) (all []T, err error) {
	for item, err := range items {
		if err != nil {
			return all, err
		}
		all = append(all, item)
	}
	return all, nil
}

// TestBaseNodeRead: everything that there is to read, from a Rust server, with the hashes that Rust computes.
func TestBaseNodeRead(t *testing.T) {
	us := startOurs(t, tari.Config{})
	rust := startChain(t, us, 400)
	c := rust.client(us)

	tip, synced, err := c.TipInfo(patient(t))
	if err != nil || tip.Point != rust.point(400) || !synced || tip.Difficulty.Int64() != 1000 || tip.Timestamp != 1_750_000_000+120*400 {
		t.Errorf("tip info: %+v, %v, %v", tip, synced, err)
	}
	if got, err := c.Tip(patient(t)); err != nil || got.Point != tip.Point || got.Difficulty.Cmp(tip.Difficulty) != 0 {
		t.Errorf("metadata: %+v, %v", got, err)
	}
	stats, err := c.MempoolStats(patient(t))
	if want := (basenode.MempoolStats{Unconfirmed: 17, Reorg: 3, Weight: 4711}); err != nil || stats != want {
		t.Errorf("mempool: %+v, %v", stats, err)
	}
	for _, height := range []int{0, 1, 7, 400} {
		byHeight, err := c.HeaderByHeight(patient(t), uint64(height))
		if err != nil || byHeight.Point() != rust.point(height) {
			t.Errorf("height %d: %+v, %v", height, byHeight, err)
		}
		byHash, err := c.HeaderByHash(patient(t), rust.hashes[height])
		if err != nil || byHash.Point() != rust.point(height) {
			t.Errorf("hash of height %d: %+v, %v", height, byHash, err)
		}
	}
	if _, err := c.HeaderByHeight(patient(t), 401); rpc.CodeOf(err) != rpc.NotFound {
		t.Errorf("above the tip: %v", err)
	}
	headers, err := allOf(c.Headers(patient(t), rust.point(0), 0))
	if err != nil || len(headers) != 400 {
		t.Fatalf("%d headers, %v", len(headers), err)
	}
	for i, h := range headers {
		if h.Point() != rust.point(i+1) {
			t.Fatalf("header %d is %v, Rust has %v", i+1, h.Point(), rust.point(i+1))
		}
	}
	blocks, err := allOf(c.Blocks(patient(t), rust.point(150), 120))
	if err != nil || len(blocks) != 120 {
		t.Fatalf("%d blocks, %v", len(blocks), err)
	}
	for i, b := range blocks {
		height := uint64(151 + i)
		in, out, kernel := b.Body.Inputs[0], b.Body.Outputs[0], b.Body.Kernels[0]
		if b.Point() != rust.point(int(height)) || kernel.Fee != height || out.MinimumValuePromise != 3*height || out.Features.Maturity != height+720 ||
			len(in.OutputHash) != 32 || len(in.ScriptSignature.UY) != 32 || len(out.RangeProof.ProofBytes) != 576 || len(kernel.ExcessSig.Signature) != 32 ||
			len(out.Features.SidechainFeature) != 2+2+32 || string(out.Features.CoinbaseExtra) != "extra" {
			t.Fatalf("block %d: %+v", height, b)
		}
	}
	old := slices.Clone(rust.hashes)
	rust.set(420, 300, 1, 2000)
	index, following, err := c.Split(patient(t), []basenode.Hash{old[400], old[350], old[300], old[200]}, 4)
	if err != nil || index != 2 || len(following) != 4 || following[3].Point() != rust.point(304) {
		t.Errorf("split: %d, %v, %v", index, following, err)
	}
	if _, _, err := c.Split(patient(t), old[301:302], 4); rpc.CodeOf(err) != rpc.NotFound {
		t.Errorf("split of unknown blocks: %v", err)
	}
}

// TestBaseNodeStreamsLeft: streams that are left half way give their place back.
func TestBaseNodeStreamsLeft(t *testing.T) {
	us := startOurs(t, tari.Config{})
	rust := startChain(t, us, 3000)
	c := rust.client(us)
	for round := range 10 {
		items := 0
		for h, err := range c.Headers(patient(t), rust.point(0), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if items++; h.Height == uint64(5+50*round) {
				break
			}
		}
		for b, err := range c.Blocks(patient(t), rust.point(0), 0) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Height == uint64(1+20*round) {
				break
			}
		}
		if _, err := c.HeaderByHeight(patient(t), 3000); err != nil {
			t.Fatal(err)
		}
	}
	c.Close()
	waitUntil(t, "no stream and no session is left", func() bool {
		return rust.streams() == 0 && rust.do("rpc_served", nil).rpcAnswer(t).Sessions == 0
	})
}

// TestBaseNodeLies: what a Rust server gets wrong is refused with an error that says what.
func TestBaseNodeLies(t *testing.T) {
	us := startOurs(t, tari.Config{})
	rust := startChain(t, us, 300)
	c := rust.client(us)
	headers := func() error { _, err := allOf(c.Headers(patient(t), rust.point(10), 100)); return err }
	blocks := func() error { _, err := allOf(c.Blocks(patient(t), rust.point(10), 150)); return err }
	split := func() error { _, _, err := c.Split(patient(t), rust.hashes[48:49], 5); return err }
	byHash := func() error { _, err := c.HeaderByHash(patient(t), rust.hashes[50]); return err }
	byHeight := func() error { _, err := c.HeaderByHeight(patient(t), 50); return err }
	for _, s := range []struct {
		lie  string
		call func() error
		want basenode.Fault
	}{
		{"unlinked", headers, basenode.FaultUnlinked},
		{"other", headers, basenode.FaultUnlinked},
		{"height", headers, basenode.FaultHeight},
		{"surplus", headers, basenode.FaultSurplus},
		{"malformed", headers, basenode.FaultMalformed},
		{"unlinked", blocks, basenode.FaultUnlinked},
		{"body other", blocks, basenode.FaultHash},
		{"body short", blocks, basenode.FaultShort},
		{"body surplus", blocks, basenode.FaultSurplus},
		{"unlinked", split, basenode.FaultUnlinked},
		{"surplus", split, basenode.FaultSurplus},
		{"index", split, basenode.FaultIndex},
		{"other", byHash, basenode.FaultHash},
		{"height", byHeight, basenode.FaultHeight},
		{"malformed", byHeight, basenode.FaultMalformed},
	} {
		rust.lie(50, s.lie)
		err := s.call()
		if bad, ok := errors.AsType[*basenode.BadAnswerError](err); !ok || bad.Fault != s.want {
			t.Errorf("%s: %v, want %v", s.lie, err, s.want)
		}
	}
	rust.lie(0, "")
	if err := errors.Join(headers(), blocks(), split(), byHash(), byHeight()); err != nil {
		t.Errorf("without a lie: %v", err)
	}
}

// cursorOver is a cursor over Rust peers, and why each was left.
func cursorOver(t *testing.T, us *ourNode, left *[]string, chains ...*rustChain) *basenode.Cursor {
	t.Helper()
	var ids []peer.ID
	for _, c := range chains {
		ids = append(ids, peerID(t, c.rustPeer))
	}
	peers, err := basenode.NewPeers(us.host, ids, basenode.PeersConfig{OnLeave: func(e *basenode.PeerError) {
		*left = append(*left, fmt.Sprintf("%d: %v", slices.Index(ids, e.Peer), e.Err))
	}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { peers.Close() })
	return basenode.NewCursor(peers, basenode.CursorConfig{})
}

// walked replays steps into the chain that they make.
func walked(t *testing.T, chain []basenode.Hash, steps iter.Seq2[basenode.Step, error], each func(basenode.Step)) []basenode.Hash {
	t.Helper()
	for s, err := range steps {
		if err != nil {
			t.Fatal(err)
		}
		if s.Back {
			if chain[s.Height] != s.Hash {
				t.Fatalf("back to %v, which we did not have", s.Point)
			}
			chain = chain[:s.Height+1]
		} else {
			chain = append(chain, s.Hash)
		}
		if each != nil {
			each(s)
		}
	}
	return chain
}

// TestBaseNodeCursor: the chain of a Rust server changes behind a cursor and under it, of headers and of blocks.
func TestBaseNodeCursor(t *testing.T) {
	for _, bodies := range []bool{false, true} {
		t.Run(fmt.Sprint("bodies ", bodies), func(t *testing.T) {
			us := startOurs(t, tari.Config{})
			rust := startChain(t, us, 250)
			var left []string
			c := cursorOver(t, us, &left, rust)
			walk := func() iter.Seq2[basenode.Step, error] { return c.Headers(patient(t)) }
			var chain []basenode.Hash
			if bodies {
				chain = rust.hashes[:1:1] // of the first there is no body
				walk = func() iter.Seq2[basenode.Step, error] { return c.Blocks(patient(t)) }
			}
			check := func(what string) {
				t.Helper()
				if !slices.Equal(chain, rust.hashes) {
					t.Errorf("%s: %d blocks, Rust has %d", what, len(chain), len(rust.hashes))
				}
			}
			chain = walked(t, chain, walk(), nil)
			check("at first")
			rust.set(260, 240, 1, 2000)
			chain = walked(t, chain, walk(), nil)
			check("behind it")

			// The stream waits at 370; then the chain changes below what it has given.
			rust.set(500, 240, 1, 3000)
			rust.do("chain_pause", map[string]any{"at": 370})
			changed, back := false, uint64(0)
			chain = walked(t, chain, walk(), func(s basenode.Step) {
				if s.Height == 300 && !changed {
					changed = true
					rust.set(510, 240, 2, 4000)
				}
				if s.Back {
					back = s.Height
				}
			})
			check("under it")
			if !changed || back != 240 {
				t.Errorf("changed: %v, back to %d", changed, back)
			}
			if len(left) > 0 {
				t.Errorf("left: %q", left)
			}
		})
	}
}

// TestBaseNodeRotation: a Rust server without a session left, one that lies and one that is behind are left for the next, with the reason.
func TestBaseNodeRotation(t *testing.T) {
	us := startOurs(t, tari.Config{})
	full := startChain(t, us, 200, "--rpc-sessions", "1", "--rpc-cull", "false")
	liar, good := startChain(t, us, 200), startChain(t, us, 200)
	liar.lie(60, "unlinked")
	other := startOurs(t, tari.Config{})
	connect(t, other, full.rustPeer, true)
	rpcWorks(t, rpcSession(t, other, full.rustPeer, rpc.ClientConfig{}))

	var left []string
	c := cursorOver(t, us, &left, full, liar, good)
	chain := walked(t, nil, c.Headers(patient(t)), nil)
	if !slices.Equal(chain, good.hashes) {
		t.Errorf("%d blocks", len(chain))
	}
	if len(left) != 2 || !strings.HasPrefix(left[0], "0: rpc: session refused: no session left") || !strings.HasPrefix(left[1], "1: a bad answer at height 60") {
		t.Errorf("left: %q", left)
	}

	// The good one goes; the full one is free, and behind.
	good.kill()
	full.set(190, 0, 0, 900)
	other.close()
	waitUntil(t, "the session of the other is gone", func() bool { return full.do("rpc_served", nil).rpcAnswer(t).Sessions == 0 })
	_, err := allOf(c.Headers(patient(t)))
	if less, ok := errors.AsType[*basenode.LessWorkError](err); !ok || less.Tip.Height != 190 {
		t.Errorf("with one that is behind: %v", err)
	}
	full.set(220, 150, 5, 5000)
	if chain = walked(t, chain, c.Headers(patient(t)), nil); !slices.Equal(chain, full.hashes) {
		t.Errorf("%d blocks", len(chain))
	}
}

// TestBaseNodeCompare: the height where three Rust servers part.
func TestBaseNodeCompare(t *testing.T) {
	us := startOurs(t, tari.Config{})
	a, b, c := startChain(t, us, 200), startChain(t, us, 230), startChain(t, us, 210)
	clients := []*basenode.Client{a.client(us), b.client(us), c.client(us)}
	found, err := basenode.Compare(patient(t), clients)
	if err != nil || !found.Agree() || *found.Common != a.point(200) {
		t.Errorf("one chain: %+v, %v", found, err)
	}
	b.set(230, 123, 1, 9000)
	found, err = basenode.Compare(patient(t), clients)
	if err != nil || len(found.Chains) != 2 || *found.Common != a.point(123) || found.Chains[0].Peers[0].Client != clients[1] {
		t.Errorf("two chains: %+v, %v", found, err)
	}
	ctx, cancel := context.WithTimeout(patient(t), time.Minute)
	defer cancel()
	c.kill()
	found, err = basenode.Compare(ctx, clients)
	if err != nil || len(found.Failed) != 1 || len(found.Chains) != 2 || found.Common.Height != 123 {
		t.Errorf("one is gone: %+v, %v", found, err)
	}
}
