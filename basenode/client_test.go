package basenode_test

import (
	"context"
	"errors"
	"iter"
	"math/big"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

var config = basenode.Config{Network: dialect.Localnet}

// newHost is a host of the local network.
func newHost(t testing.TB) *tari.Host {
	t.Helper()
	h, err := tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// serve is a base node with that chain; us knows where it is.
func serve(t testing.TB, us *tari.Host, chain *chaintest.Chain, cfg rpc.ServerConfig) (peer.ID, *rpc.Server) {
	t.Helper()
	h := newHost(t)
	server := rpc.NewServer(h, cfg)
	t.Cleanup(func() { server.Close() })
	if err := chain.Register(server); err != nil {
		t.Fatal(err)
	}
	us.SetConfigured(peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	return h.ID(), server
}

// one is a client of one node with a chain up to that height.
func one(t testing.TB, length uint64) (*basenode.Client, *chaintest.Chain, *rpc.Server) {
	t.Helper()
	us, chain := newHost(t), chaintest.New(dialect.Localnet, length)
	id, server := serve(t, us, chain, rpc.ServerConfig{})
	return client(t, us, id), chain, server
}

func client(t testing.TB, us *tari.Host, id peer.ID) *basenode.Client {
	t.Helper()
	c, err := basenode.New(us, id, config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return c
}

func patient(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

// all is what a sequence yields before its end or its error.
func all[T any](items iter.Seq2[T, error]) (got []T, err error) {
	for item, err := range items {
		if err != nil {
			return got, err
		}
		got = append(got, item)
	}
	return got, nil
}

// fault is the fault of an error, -1 if it is another error.
func fault(err error) basenode.Fault {
	if bad, ok := errors.AsType[*basenode.BadAnswerError](err); ok {
		return bad.Fault
	}
	return -1
}

func points(headers []*basenode.Header) (all []basenode.Point) {
	for _, h := range headers {
		all = append(all, h.Point())
	}
	return all
}

func TestTip(t *testing.T) {
	c, chain, _ := one(t, 20)
	chain.Set(20, 0, 0, 1<<40)
	want := chain.Points()[20]
	tip, err := c.Tip(patient(t))
	if err != nil || tip.Point != want || tip.Difficulty.Cmp(big.NewInt(1<<40)) != 0 || tip.PrunedHeight != 0 {
		t.Errorf("%+v, %v", tip, err)
	}
	if tip, synced, err := c.TipInfo(patient(t)); err != nil || !synced || tip.Point != want {
		t.Errorf("%+v, %v, %v", tip, synced, err)
	}
	chain.PruneBelow(10)
	if tip, synced, err := c.TipInfo(patient(t)); err != nil || synced || tip.PrunedHeight != 10 {
		t.Errorf("%+v, %v, %v", tip, synced, err)
	}
	stats, err := c.MempoolStats(patient(t))
	if want := (basenode.MempoolStats{Unconfirmed: 17, Reorg: 3, Weight: 4711}); err != nil || stats != want {
		t.Errorf("%+v, %v", stats, err)
	}
	chain.LieAt(0, chaintest.Malformed)
	if _, err := c.Tip(patient(t)); fault(err) != basenode.FaultMalformed {
		t.Error(err)
	}
}

func TestHeaders(t *testing.T) {
	c, chain, _ := one(t, 250)
	want := chain.Points()
	for _, height := range []uint64{0, 1, 250} {
		h, err := c.HeaderByHeight(patient(t), height)
		if err != nil || h.Point() != want[height] {
			t.Errorf("height %d: %+v, %v", height, h, err)
		}
		if h, err := c.HeaderByHash(patient(t), want[height].Hash); err != nil || h.Point() != want[height] {
			t.Errorf("hash of height %d: %+v, %v", height, h, err)
		}
	}
	if _, err := c.HeaderByHeight(patient(t), 251); rpc.CodeOf(err) != rpc.NotFound {
		t.Error(err)
	}
	if _, err := c.HeaderByHash(patient(t), basenode.Hash{1}); rpc.CodeOf(err) != rpc.NotFound {
		t.Error(err)
	}
	for _, s := range []struct{ after, count, end uint64 }{{0, 0, 250}, {0, 1, 1}, {0, 250, 250}, {100, 50, 150}, {249, 0, 250}, {249, 9, 250}, {250, 0, 250}, {250, 9, 250}} {
		got, err := all(c.Headers(patient(t), want[s.after], s.count))
		if err != nil || !slices.Equal(points(got), want[s.after+1:s.end+1]) {
			t.Errorf("%+v: %d headers, %v", s, len(got), err)
		}
	}
	if _, err := all(c.Headers(patient(t), basenode.Point{Height: 3, Hash: basenode.Hash{1}}, 0)); rpc.CodeOf(err) != rpc.NotFound {
		t.Error(err)
	}
}

func TestBlocks(t *testing.T) {
	c, chain, _ := one(t, 250)
	want := chain.Points()
	for _, s := range []struct{ after, count, end uint64 }{{0, 0, 250}, {0, 1, 1}, {50, 100, 150}, {50, 101, 151}, {50, 200, 250}, {249, 0, 250}, {250, 0, 250}} {
		got, err := all(c.Blocks(patient(t), want[s.after], s.count))
		if err != nil || uint64(len(got)) != s.end-s.after {
			t.Fatalf("%+v: %d blocks, %v", s, len(got), err)
		}
		for i, b := range got {
			if b.Point() != want[s.after+1+uint64(i)] || b.Body.Kernels[0].Fee != b.Height {
				t.Errorf("%+v: %+v", s, b)
			}
		}
	}
	chain.PruneBelow(100)
	if _, err := all(c.Blocks(patient(t), want[10], 0)); rpc.CodeOf(err) != rpc.BadRequest {
		t.Error(err)
	}
}

func TestSplit(t *testing.T) {
	c, chain, _ := one(t, 50)
	old := chain.Points()
	chain.Set(60, 40, 1, 2000)
	hashes := []basenode.Hash{old[50].Hash, old[45].Hash, old[40].Hash, old[30].Hash}
	index, following, err := c.Split(patient(t), hashes, 7)
	if err != nil || index != 2 || !slices.Equal(points(following), chain.Points()[41:48]) {
		t.Errorf("%d, %v, %v", index, following, err)
	}
	if index, following, err := c.Split(patient(t), hashes[3:], 0); err != nil || index != 0 || len(following) != 0 {
		t.Errorf("%d, %v, %v", index, following, err)
	}
	if _, _, err := c.Split(patient(t), hashes[:2], 1); rpc.CodeOf(err) != rpc.NotFound {
		t.Error(err)
	}
	for _, s := range []struct{ hashes, headers int }{{0, 1}, {1001, 1}, {1, 1001}, {1, -1}} {
		if _, _, err := c.Split(patient(t), make([]basenode.Hash, s.hashes), s.headers); err == nil || rpc.CodeOf(err) != rpc.General {
			t.Errorf("%+v: %v", s, err)
		}
	}
}

// A peer that lies is found out, and the error says how.
func TestLies(t *testing.T) {
	c, chain, _ := one(t, 300)
	want := chain.Points()
	stream := func() error { _, err := all(c.Headers(patient(t), want[10], 100)); return err }
	bodies := func() error { _, err := all(c.Blocks(patient(t), want[10], 150)); return err }
	byHeight := func() error { _, err := c.HeaderByHeight(patient(t), 50); return err }
	byHash := func() error { _, err := c.HeaderByHash(patient(t), want[50].Hash); return err }
	split := func() error { _, _, err := c.Split(patient(t), []basenode.Hash{want[48].Hash}, 5); return err }
	for _, s := range []struct {
		name string
		call func() error
		lie  chaintest.Lie
		want basenode.Fault
	}{
		{"stream", stream, chaintest.Unlinked, basenode.FaultUnlinked},
		{"stream", stream, chaintest.Other, basenode.FaultUnlinked}, // what comes behind it does not follow
		{"stream", stream, chaintest.Height, basenode.FaultHeight},
		{"stream", stream, chaintest.Surplus, basenode.FaultSurplus},
		{"stream", stream, chaintest.Malformed, basenode.FaultMalformed},
		{"bodies", bodies, chaintest.Unlinked, basenode.FaultUnlinked},
		{"bodies", bodies, chaintest.BodyOther, basenode.FaultHash},
		{"bodies", bodies, chaintest.BodyShort, basenode.FaultShort},
		{"bodies", bodies, chaintest.BodySurplus, basenode.FaultSurplus},
		{"bodies", bodies, chaintest.Malformed, basenode.FaultMalformed},
		{"by height", byHeight, chaintest.Height, basenode.FaultHeight},
		{"by height", byHeight, chaintest.Malformed, basenode.FaultMalformed},
		{"by hash", byHash, chaintest.Other, basenode.FaultHash},
		{"by hash", byHash, chaintest.Index, basenode.FaultIndex},
		{"by hash", byHash, chaintest.Surplus, basenode.FaultSurplus},
		{"split", split, chaintest.Unlinked, basenode.FaultUnlinked},
		{"split", split, chaintest.Height, basenode.FaultHeight},
		{"split", split, chaintest.Index, basenode.FaultIndex},
		{"split", split, chaintest.Surplus, basenode.FaultSurplus},
	} {
		chain.LieAt(50, s.lie)
		if err := s.call(); fault(err) != s.want {
			t.Errorf("%s, %s: %v", s.name, s.lie, err)
		}
	}
	chain.LieAt(0, "")
	if err := errors.Join(stream(), bodies(), byHeight(), byHash(), split()); err != nil {
		t.Errorf("the client is as before: %v", err)
	}
}

// A stream that is left half way gives its place back, and the next one, of
// headers or of blocks, has it at once; two at a time wait for each other.
func TestStreamsInTurn(t *testing.T) {
	c, chain, server := one(t, 2000)
	want := chain.Points()
	for range 20 {
		for h, err := range c.Headers(patient(t), want[0], 0) {
			if err != nil {
				t.Fatal(err)
			}
			if h.Height == 7 {
				break
			}
		}
		for b, err := range c.Blocks(patient(t), want[0], 0) {
			if err != nil {
				t.Fatal(err)
			}
			if b.Height == 3 {
				break
			}
		}
	}
	done := make(chan error)
	for range 4 {
		go func() {
			_, err := all(c.Headers(patient(t), want[0], 500))
			done <- err
		}()
	}
	for range 4 {
		if err := <-done; err != nil {
			t.Error(err)
		}
	}
	if n := server.Sessions(); n > 2 {
		t.Errorf("%d sessions", n)
	}
	c.Close()
	for server.Sessions() > 0 {
		time.Sleep(time.Millisecond)
	}
	if _, err := c.Tip(patient(t)); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

// Another program of ours, or a stream of ours whose end the peer has not seen,
// has the one stream: it is asked for again.
func TestStreamIsTaken(t *testing.T) {
	us, chain := newHost(t), chaintest.New(dialect.Localnet, 50)
	id, _ := serve(t, us, chain, rpc.ServerConfig{})
	first, second := client(t, us, id), client(t, us, id)
	want := chain.Points()
	chain.PauseAt(20)
	ctx, cancel := context.WithCancel(patient(t))
	held := make(chan error)
	go func() {
		_, err := all(first.Headers(ctx, want[0], 0))
		held <- err
	}()
	for chain.Served() == 0 {
		time.Sleep(time.Millisecond)
	}
	short, stop := context.WithTimeout(patient(t), 200*time.Millisecond)
	defer stop()
	if _, err := all(second.Headers(short, want[0], 5)); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("while the stream is taken: %v", err)
	}
	if got, err := second.HeaderByHeight(patient(t), 30); err != nil || got.Point() != want[30] {
		t.Errorf("a call while the stream is taken: %v", err)
	}
	cancel()
	if err := <-held; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if got, err := all(second.Headers(patient(t), want[0], 5)); err != nil || len(got) != 5 {
		t.Errorf("%d headers, %v", len(got), err)
	}
}

// A message of more elements than its method has is not decoded.
func TestBudgets(t *testing.T) {
	us, them := newHost(t), newHost(t)
	server := rpc.NewServer(them, rpc.ServerConfig{})
	t.Cleanup(func() { server.Close() })
	headers, inputs := make([]*basenodepb.BlockHeader, 65_537), make([]*basenodepb.TransactionInput, 262_145)
	for i := range headers {
		headers[i] = new(basenodepb.BlockHeader)
	}
	for i := range inputs {
		inputs[i] = new(basenodepb.TransactionInput)
	}
	chain := chaintest.New(dialect.Localnet, 1)
	want := chain.Points()[1]
	h, err := func() (*basenode.Header, error) {
		id, _ := serve(t, us, chain, rpc.ServerConfig{})
		return client(t, us, id).HeaderByHeight(patient(t), 1)
	}()
	if err != nil {
		t.Fatal(err)
	}
	err = server.Register(basenode.SyncService,
		basenode.FindChainSplit.Serve(func(context.Context, peer.ID, *basenodepb.FindChainSplitRequest) (*basenodepb.FindChainSplitResponse, error) {
			return &basenodepb.FindChainSplitResponse{Headers: headers}, nil
		}),
		basenode.SyncHeaders.Serve(func(context.Context, peer.ID, *basenodepb.SyncHeadersRequest) iter.Seq2[*basenodepb.BlockHeader, error] {
			return func(yield func(*basenodepb.BlockHeader, error) bool) { yield(h.Message(), nil) }
		}),
		basenode.SyncBlocks.Serve(func(context.Context, peer.ID, *basenodepb.SyncBlocksRequest) iter.Seq2[*basenodepb.BlockBodyResponse, error] {
			return func(yield func(*basenodepb.BlockBodyResponse, error) bool) {
				yield(&basenodepb.BlockBodyResponse{Hash: want.Hash[:], Body: &basenodepb.AggregateBody{Inputs: inputs}}, nil)
			}
		}))
	if err != nil {
		t.Fatal(err)
	}
	us.SetConfigured(peer.AddrInfo{ID: them.ID(), Addrs: them.Addrs()})
	c := client(t, us, them.ID())
	if _, _, err := c.Split(patient(t), []basenode.Hash{{}}, 1); rpc.CodeOf(err) != rpc.ProtocolError {
		t.Errorf("headers: %v", err)
	}
	headers = headers[:65_536]
	if _, _, err := c.Split(patient(t), []basenode.Hash{{}}, 1); fault(err) != basenode.FaultSurplus {
		t.Errorf("as many headers as may be decoded: %v", err)
	}
	after := basenode.Point{Hash: h.Prev}
	if _, err := all(c.Blocks(patient(t), after, 1)); rpc.CodeOf(err) != rpc.ProtocolError {
		t.Errorf("inputs: %v", err)
	}
	inputs = inputs[:262_143] // and the body itself
	if got, err := all(c.Blocks(patient(t), after, 1)); err != nil || len(got) != 1 || len(got[0].Body.Inputs) != 262_143 {
		t.Errorf("as many inputs as may be decoded: %v", err)
	}
}
