// Package chaintest serves a small chain as a base node would, for tests: its
// headers link and hash as Tari's do, it can change to another chain, wait in the
// middle of a stream, and lie.
package chaintest

import (
	"bytes"
	"context"
	"fmt"
	"iter"
	"sync"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Lie is what a chain does wrong at a height.
type Lie string

// The lies.
const (
	Unlinked  Lie = "unlinked"  // a header with another hash before it
	Height    Lie = "height"    // a header of the next height
	Surplus   Lie = "surplus"   // one more than was asked for
	Other     Lie = "other"     // another header
	Malformed Lie = "malformed" // a hash of 31 bytes
	Index     Lie = "index"     // a split at a block that was not asked about

	BodyOther   Lie = "body other"   // a body of another block
	BodyShort   Lie = "body short"   // a stream of bodies that ends before
	BodySurplus Lie = "body surplus" // one body more than was asked for
)

// Chain is a chain and what serves it. It is safe for concurrent use.
type Chain struct {
	network dialect.Network

	mu         sync.Mutex
	blocks     []*basenode.Header
	heights    map[basenode.Hash]int
	difficulty uint64
	pruned     uint64
	unsynced   bool
	lie        Lie
	at         uint64
	pause      uint64        // streams wait before this height; 0: nowhere
	changed    chan struct{} // closed and replaced when the chain is
	streams    map[peer.ID]bool
	served     int
}

// New makes a chain with blocks up to a height.
func New(network dialect.Network, length uint64) *Chain {
	c := &Chain{network: network, changed: make(chan struct{}), streams: map[peer.ID]bool{}}
	c.Set(length, 0, 0, 1000)
	return c
}

// Set changes the chain: blocks up to length, of which those above forkAt depend
// on salt. It ends lies and pauses.
func (c *Chain) Set(length, forkAt, salt, difficulty uint64) {
	c.grow(basenode.Hash{}, length, forkAt, salt, difficulty)
}

// Other changes to a chain that has not even the first block of the others.
func (c *Chain) Other() { c.grow(basenode.Hash{1}, 200, 0, 0, 1000) }

func (c *Chain) grow(prev basenode.Hash, length, forkAt, salt, difficulty uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.blocks, c.heights = nil, map[basenode.Hash]int{}
	for height := range length + 1 {
		s := salt
		if height <= forkAt {
			s = 0
		}
		h := c.block(height, s, prev)
		c.heights[h.Hash] = len(c.blocks)
		c.blocks, prev = append(c.blocks, h), h.Hash
	}
	c.difficulty, c.lie, c.pause = difficulty, "", 0
	close(c.changed)
	c.changed = make(chan struct{})
}

func (c *Chain) block(height, salt uint64, prev basenode.Hash) *basenode.Header {
	h := &basenode.Header{
		Version: uint16(height % 3), Height: height, Prev: prev, Timestamp: 1_750_000_000 + 120*height,
		OutputMR: fill(1, height, salt), KernelMR: fill(2, height, salt), Nonce: height*31 + salt,
		PowAlgo: uint8(height % 4), PowData: bytes.Repeat([]byte{byte(height)}, int(height%50)), KernelMMRSize: 3 * height,
	}
	var err error
	if h.Hash, err = h.HashIn(c.network); err != nil {
		panic(err)
	}
	return h
}

func fill(values ...uint64) (h basenode.Hash) {
	for i, v := range values {
		h[i], h[16+i] = byte(v), byte(v>>8)
	}
	return h
}

// LieAt makes the chain do something wrong at a height.
func (c *Chain) LieAt(height uint64, lie Lie) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lie, c.at = lie, height
}

// PauseAt makes streams wait before a height until Set is called.
func (c *Chain) PauseAt(height uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pause = height
}

// PruneBelow makes the chain say that it has no bodies up to a height, and have not caught up.
func (c *Chain) PruneBelow(height uint64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.pruned, c.unsynced = height, true
}

// Points are all blocks, the first first.
func (c *Chain) Points() []basenode.Point {
	c.mu.Lock()
	defer c.mu.Unlock()
	var all []basenode.Point
	for _, h := range c.blocks {
		all = append(all, h.Point())
	}
	return all
}

// Served is how many streams were begun.
func (c *Chain) Served() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// Server is where services are registered: an rpc.Server or a node.RPC.
type Server interface {
	Register(service protocol.ID, methods ...rpc.Method) error
}

// Register lets a server serve the chain.
func (c *Chain) Register(s Server) error {
	for service, methods := range map[protocol.ID][]rpc.Method{
		basenode.SyncService: {
			basenode.SyncBlocks.Serve(c.syncBlocks), basenode.SyncHeaders.Serve(c.syncHeaders),
			basenode.GetHeaderByHeight.Serve(c.headerByHeight), basenode.FindChainSplit.Serve(c.findChainSplit),
			basenode.GetChainMetadata.Serve(c.metadata),
		},
		basenode.WalletService:  {basenode.GetTipInfo.Serve(c.tipInfo)},
		basenode.MempoolService: {basenode.GetMempoolStats.Serve(c.mempoolStats)},
	} {
		if err := s.Register(service, methods...); err != nil {
			return err
		}
	}
	return nil
}

func notFound(text string, args ...any) error {
	return &rpc.Status{Code: rpc.NotFound, Text: fmt.Sprintf(text, args...)}
}

// find returns the height of a block, -1 if the chain does not have it.
func (c *Chain) find(hash []byte) int {
	if len(hash) == len(basenode.Hash{}) {
		if height, ok := c.heights[basenode.Hash(hash)]; ok {
			return height
		}
	}
	return -1
}

// header is the header at a height, or what the lie makes of it; nil above the tip.
func (c *Chain) header(height uint64) *basenodepb.BlockHeader {
	if height >= uint64(len(c.blocks)) {
		return nil
	}
	m := c.blocks[height].Message()
	if height == c.at {
		switch c.lie {
		case Unlinked:
			m.PrevHash = make([]byte, 32)
		case Height:
			m.Height++
		case Other:
			m.Nonce++
		case Malformed:
			m.PrevHash = m.PrevHash[1:]
		case Surplus, Index, BodyOther, BodyShort, BodySurplus:
		}
	}
	return m
}

func (c *Chain) headerByHeight(_ context.Context, _ peer.ID, height *wrapperspb.UInt64Value) (*basenodepb.BlockHeader, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if m := c.header(height.Value); m != nil {
		return m, nil
	}
	return nil, notFound("Header not found at height %d", height.Value)
}

func (c *Chain) metadata(context.Context, peer.ID, *emptypb.Empty) (*basenodepb.ChainMetadata, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	tip := c.blocks[len(c.blocks)-1]
	low := make([]byte, 32)
	for i := range 8 {
		low[31-i] = byte(c.difficulty >> (8 * i))
	}
	m := &basenodepb.ChainMetadata{
		BestBlockHeight: tip.Height, BestBlockHash: tip.Hash[:], Timestamp: tip.Timestamp, PrunedHeight: c.pruned,
		AccumulatedDifficultyLow: low, AccumulatedDifficultyHigh: make([]byte, 32),
	}
	if c.lie == Malformed {
		m.BestBlockHash = m.BestBlockHash[1:]
	}
	return m, nil
}

func (c *Chain) tipInfo(ctx context.Context, p peer.ID, none *emptypb.Empty) (*basenodepb.TipInfoResponse, error) {
	m, err := c.metadata(ctx, p, none)
	return &basenodepb.TipInfoResponse{Metadata: m, IsSynced: !c.unsynced}, err
}

func (c *Chain) mempoolStats(context.Context, peer.ID, *emptypb.Empty) (*basenodepb.StatsResponse, error) {
	return &basenodepb.StatsResponse{UnconfirmedTxs: 17, ReorgTxs: 3, UnconfirmedWeight: 4711}, nil
}

func (c *Chain) findChainSplit(_ context.Context, _ peer.ID, req *basenodepb.FindChainSplitRequest) (*basenodepb.FindChainSplitResponse, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i, hash := range req.BlockHashes {
		height := c.find(hash)
		if height < 0 {
			continue
		}
		resp := &basenodepb.FindChainSplitResponse{ForkHashIndex: uint64(i)}
		count := req.HeaderCount
		if c.lie == Surplus {
			count++
		}
		if c.lie == Index {
			resp.ForkHashIndex = uint64(len(req.BlockHashes))
		}
		for n := range count {
			if m := c.header(uint64(height) + 1 + n); m != nil {
				resp.Headers = append(resp.Headers, m)
			}
		}
		return resp, nil
	}
	return nil, notFound("No link found to main chain")
}

// begin takes the one stream that a peer may have.
func (c *Chain) begin(p peer.ID) (end func(), err error) {
	if c.streams[p] {
		return nil, &rpc.Status{Code: rpc.Forbidden, Text: "existing sync session"}
	}
	c.streams[p] = true
	c.served++
	return func() {
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.streams, p)
	}, nil
}

// stream yields what get says of each height, until it says nothing.
func stream[T any](ctx context.Context, c *Chain, from, to uint64, get func(uint64) (T, bool, error)) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		for height := from; height <= to; height++ {
			c.mu.Lock()
			for c.pause > 0 && height >= c.pause {
				changed := c.changed
				c.mu.Unlock()
				select {
				case <-changed:
				case <-ctx.Done():
					return
				}
				c.mu.Lock()
			}
			item, more, err := get(height)
			c.mu.Unlock()
			if !more && err == nil || !yield(item, err) || err != nil {
				return
			}
		}
	}
}

func failed[T any](err error) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		yield(none, err)
	}
}

// after yields items and then calls end.
func after[T any](end func(), items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		defer end()
		items(yield)
	}
}

func (c *Chain) syncHeaders(ctx context.Context, p peer.ID, req *basenodepb.SyncHeadersRequest) iter.Seq2[*basenodepb.BlockHeader, error] {
	c.mu.Lock()
	defer c.mu.Unlock()
	start := c.find(req.StartHash)
	if start < 0 {
		return failed[*basenodepb.BlockHeader](notFound("Header not found with given hash"))
	}
	from, tip := uint64(start)+1, uint64(len(c.blocks)-1)
	to := tip
	if req.Count > 0 {
		to = min(tip, uint64(start)+req.Count)
	}
	if c.lie == Surplus {
		to = min(tip, to+1)
	}
	end, err := c.begin(p)
	if err != nil {
		return failed[*basenodepb.BlockHeader](err)
	}
	return after(end, stream(ctx, c, from, to, func(height uint64) (*basenodepb.BlockHeader, bool, error) {
		m := c.header(height)
		return m, m != nil, nil
	}))
}

func (c *Chain) syncBlocks(ctx context.Context, p peer.ID, req *basenodepb.SyncBlocksRequest) iter.Seq2[*basenodepb.BlockBodyResponse, error] {
	c.mu.Lock()
	defer c.mu.Unlock()
	start, last := c.find(req.StartHash), c.find(req.EndHash)
	if start < 0 || last < 0 {
		return failed[*basenodepb.BlockBodyResponse](notFound("Requested block sync hash was not found"))
	}
	if uint64(start)+1 < c.pruned || start >= last {
		return failed[*basenodepb.BlockBodyResponse](&rpc.Status{Code: rpc.BadRequest, Text: "not there"})
	}
	to := uint64(last)
	if c.lie == BodySurplus {
		to++
	}
	end, err := c.begin(p)
	if err != nil {
		return failed[*basenodepb.BlockBodyResponse](err)
	}
	return after(end, stream(ctx, c, uint64(start)+1, to, func(height uint64) (*basenodepb.BlockBodyResponse, bool, error) {
		if c.find(req.EndHash) != last {
			return nil, false, &rpc.Status{Code: rpc.Conflict, Text: "Reorg detected"}
		}
		if c.lie == BodyShort && height == c.at {
			return nil, false, nil
		}
		hash := c.blocks[min(height, uint64(len(c.blocks)-1))].Hash
		if c.lie == BodyOther && height == c.at {
			hash[0] ^= 1
		}
		return &basenodepb.BlockBodyResponse{Hash: hash[:], Body: body(height)}, true, nil
	}))
}

// body has an output, an input in the form in which nodes send it, and a kernel whose fee is the height.
func body(height uint64) *basenodepb.AggregateBody {
	data := fill(9, height)
	of := &basenodepb.Commitment{Data: data[:]}
	by := &basenodepb.ComAndPubSignature{EphemeralCommitment: data[:], EphemeralPubkey: data[:], UA: data[:], UX: data[:], UY: data[:]}
	return &basenodepb.AggregateBody{
		Inputs: []*basenodepb.TransactionInput{{OutputHash: data[:], InputData: []byte{1}, ScriptSignature: by}},
		Outputs: []*basenodepb.TransactionOutput{{
			Features:   &basenodepb.OutputFeatures{OutputType: 1, Maturity: height, CoinbaseExtra: []byte("extra"), SidechainFeature: []byte{0x0a, 0}, RangeProofType: 1},
			Commitment: of, RangeProof: &basenodepb.RangeProof{ProofBytes: data[:]}, Script: []byte{0x73}, SenderOffsetPublicKey: data[:],
			MetadataSignature: by, Covenant: []byte{1}, Version: 1, EncryptedData: data[:], MinimumValuePromise: 1,
		}},
		Kernels: []*basenodepb.TransactionKernel{{
			Features: 1, Fee: height, LockHeight: 1, Excess: of, ExcessSig: &basenodepb.Signature{PublicNonce: data[:], Signature: data[:]},
			Version: 1, BurnCommitment: of,
		}},
	}
}
