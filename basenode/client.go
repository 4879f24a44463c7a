package basenode

import (
	"context"
	"iter"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Config is what a Client needs to know. Its zero value reads Mainnet.
type Config struct {
	// Network is the one whose headers are read: each hashes in its own way. Zero
	// is dialect.Mainnet. The networks of 2020 had other headers.
	Network dialect.Network
	// Client says how long answers may take.
	Client rpc.ClientConfig
}

// Client asks one base node. It opens a session with a service when it needs
// one, and gives it back after 5 s without a call: a node has few. It is safe
// for concurrent use, but ask nothing in the middle of a stream that its loop
// waits for: the peer may have only one session for us.
//
// Errors of its methods: a *BadAnswerError; what a call of package rpc returns,
// above all an *rpc.Status that the peer answered and an *rpc.RejectedError if it
// has no session left; the host's, if the peer cannot be reached or does not have
// the service; ctx's.
type Client struct {
	host rpc.Streams
	peer peer.ID
	cfg  Config
	tag  string

	stream chan struct{} // holds a token while there is a stream: a peer has one at a time for us

	mu    sync.Mutex
	pools map[protocol.ID]*rpc.Pool // made when needed
}

// Limits of a base node, and times of our own.
const (
	maxSplitHashes  = 1000
	maxSplitHeaders = 1000
	idleTime        = 5 * time.Second
	firstWait       = 50 * time.Millisecond // for the peer to see that our last stream has ended
	lastWait        = 3200 * time.Millisecond
	blockBatch      = 100 // blocks asked for at a time: their headers are held
)

// New makes a client of a peer. It asks nothing yet. The error says that the
// network's headers cannot be read.
func New(h rpc.Streams, p peer.ID, cfg Config) (*Client, error) {
	tag, err := headerTag(cfg.Network)
	if err != nil {
		return nil, err
	}
	return &Client{host: h, peer: p, cfg: cfg, tag: tag, stream: make(chan struct{}, 1), pools: map[protocol.ID]*rpc.Pool{}}, nil
}

// Peer is whom it asks.
func (c *Client) Peer() peer.ID { return c.peer }

// Close gives the sessions back. Calls that run end with an *rpc.SessionError; a
// later call opens a session anew.
func (c *Client) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	for service, pool := range c.pools {
		_ = pool.Close()
		delete(c.pools, service)
	}
	return nil
}

// service is where calls of a service find their session. Two of them, so that a
// call is answered while a stream runs.
func (c *Client) service(name protocol.ID) *rpc.Pool {
	c.mu.Lock()
	defer c.mu.Unlock()
	pool := c.pools[name]
	if pool == nil {
		pool = rpc.NewPool(c.host, c.peer, name, rpc.PoolConfig{Client: c.cfg.Client, MaxSessions: 2, Idle: idleTime})
		c.pools[name] = pool
	}
	return pool
}

// Tip asks for the last block of the peer's chain.
func (c *Client) Tip(ctx context.Context) (Tip, error) {
	m, err := GetChainMetadata.Call(ctx, c.service(SyncService), nil)
	if err != nil {
		return Tip{}, err
	}
	return tipOf(m)
}

// TipInfo is Tip by the service for wallets, where the peer also says whether it
// has caught up with what it knows of the network.
func (c *Client) TipInfo(ctx context.Context) (tip Tip, synced bool, err error) {
	m, err := GetTipInfo.Call(ctx, c.service(WalletService), nil)
	if err != nil {
		return Tip{}, false, err
	}
	tip, err = tipOf(m.GetMetadata())
	return tip, m.GetIsSynced(), err
}

func tipOf(m *basenodepb.ChainMetadata) (Tip, error) {
	tip, err := parseTip(m)
	if err != nil {
		return Tip{}, &BadAnswerError{Fault: FaultMalformed}
	}
	return tip, nil
}

// MempoolStats asks how much waits in the peer's mempool.
func (c *Client) MempoolStats(ctx context.Context) (MempoolStats, error) {
	m, err := GetMempoolStats.Call(ctx, c.service(MempoolService), nil)
	if err != nil {
		return MempoolStats{}, err
	}
	return MempoolStats{Unconfirmed: m.GetUnconfirmedTxs(), Reorg: m.GetReorgTxs(), Weight: m.GetUnconfirmedWeight()}, nil
}

// HeaderByHeight asks for a header of the peer's chain. Above its tip the error
// is an *rpc.Status with the code NotFound.
func (c *Client) HeaderByHeight(ctx context.Context, height uint64) (*Header, error) {
	m, err := GetHeaderByHeight.Call(ctx, c.service(SyncService), wrapperspb.UInt64(height))
	if err != nil {
		return nil, err
	}
	h, err := c.parse(m)
	if err == nil && h.Height != height {
		err = &BadAnswerError{FaultHeight, height}
	}
	if err != nil {
		return nil, err
	}
	return h, nil
}

// HeaderByHash asks for a header of the peer's chain by its block's hash. If the
// block is not on it the error is an *rpc.Status with the code NotFound. It takes
// two calls: a node has none for it, so the block after it is asked for.
func (c *Client) HeaderByHash(ctx context.Context, hash Hash) (*Header, error) {
	_, following, err := c.Split(ctx, []Hash{hash}, 1)
	if err != nil {
		return nil, err
	}
	var height uint64
	if len(following) > 0 {
		height = following[0].Height - 1
	} else { // it is the tip, or was
		tip, err := c.Tip(ctx)
		if err != nil {
			return nil, err
		}
		height = tip.Height
	}
	h, err := c.HeaderByHeight(ctx, height)
	if err == nil && h.Hash != hash {
		return nil, &BadAnswerError{FaultHash, height}
	}
	return h, err
}

// Split asks which of some blocks, the highest first, is on the peer's chain: its
// index, and at most so many headers that follow on it there. If none is, the
// error is an *rpc.Status with the code NotFound. At most 1000 each.
func (c *Client) Split(ctx context.Context, hashes []Hash, headers int) (index int, following []*Header, err error) {
	if len(hashes) < 1 || len(hashes) > maxSplitHashes || headers < 0 || headers > maxSplitHeaders {
		return 0, nil, errLimits
	}
	req := &basenodepb.FindChainSplitRequest{HeaderCount: uint64(headers)}
	for i := range hashes {
		req.BlockHashes = append(req.BlockHashes, hashes[i][:])
	}
	m, err := FindChainSplit.Call(ctx, c.service(SyncService), req)
	switch {
	case err != nil:
		return 0, nil, err
	case m.GetForkHashIndex() >= uint64(len(hashes)):
		return 0, nil, &BadAnswerError{Fault: FaultIndex}
	case len(m.GetHeaders()) > headers:
		return 0, nil, &BadAnswerError{Fault: FaultSurplus}
	}
	index = int(m.GetForkHashIndex())
	if following, err = c.chain(hashes[index], m.GetHeaders()); err != nil {
		return 0, nil, err
	}
	return index, following, nil
}

// chain reads headers that follow on a block of unknown height.
func (c *Client) chain(after Hash, messages []*basenodepb.BlockHeader) (headers []*Header, err error) {
	var last Point
	for i, m := range messages {
		h, err := c.parse(m)
		if err != nil {
			return nil, err
		}
		if i == 0 {
			if h.Height == 0 {
				return nil, &BadAnswerError{Fault: FaultHeight}
			}
			last = Point{h.Height - 1, after}
		}
		if err := h.follows(last); err != nil {
			return nil, err
		}
		headers, last = append(headers, h), h.Point()
	}
	return headers, nil
}

func (c *Client) parse(m *basenodepb.BlockHeader) (*Header, error) {
	h, err := parseHeader(m, c.tag)
	if err != nil {
		return nil, &BadAnswerError{FaultMalformed, m.GetHeight()}
	}
	return h, nil
}

// Headers streams the headers that follow on a block, at most count of them; 0:
// up to the tip. Each follows on the one before, or the stream ends with a
// *BadAnswerError. If the block is not on the peer's chain it ends with an
// *rpc.Status with the code NotFound. Leaving the loop ends the stream at the
// peer. A peer has one stream at a time for us, of headers or of blocks: a second
// one waits for the first.
func (c *Client) Headers(ctx context.Context, after Point, count uint64) iter.Seq2[*Header, error] {
	return func(yield func(*Header, error) bool) {
		last, given := after, uint64(0)
		req := &basenodepb.SyncHeadersRequest{StartHash: after.Hash[:], Count: count}
		for m, err := range exclusive(ctx, c, SyncHeaders.Call(ctx, c.service(SyncService), req)) {
			var h *Header
			if err == nil {
				h, err = c.parse(m)
			}
			if err == nil && count > 0 && given == count {
				err = &BadAnswerError{FaultSurplus, h.Height}
			}
			if err == nil {
				err = h.follows(last)
			}
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(h, nil) {
				return
			}
			last = h.Point()
			given++
		}
	}
}

// Blocks is Headers with the bodies. It asks for the headers of some, and then
// for the bodies. If the peer's chain changes meanwhile it ends with an
// *rpc.Status with the code Conflict or NotFound. A peer that has thrown old
// bodies away answers BadRequest: see Tip.PrunedHeight.
func (c *Client) Blocks(ctx context.Context, after Point, count uint64) iter.Seq2[Block, error] {
	return func(yield func(Block, error) bool) {
		for given := uint64(0); count == 0 || given < count; {
			size := uint64(blockBatch)
			if count > 0 {
				size = min(size, count-given)
			}
			headers, err := collect(c.Headers(ctx, after, size))
			if err != nil {
				yield(Block{}, err)
				return
			}
			if len(headers) > 0 && !c.bodies(ctx, after, headers, yield) || uint64(len(headers)) < size {
				return
			}
			after = headers[len(headers)-1].Point()
			given += size
		}
	}
}

// bodies yields the blocks with these headers, and says whether all went well.
func (c *Client) bodies(ctx context.Context, after Point, headers []*Header, yield func(Block, error) bool) bool {
	end := headers[len(headers)-1].Hash
	req := &basenodepb.SyncBlocksRequest{StartHash: after.Hash[:], EndHash: end[:]}
	for m, err := range exclusive(ctx, c, SyncBlocks.Call(ctx, c.service(SyncService), req)) {
		switch {
		case err != nil:
		case len(headers) == 0:
			err = &BadAnswerError{FaultSurplus, after.Height}
		case string(m.GetHash()) != string(headers[0].Hash[:]):
			err = &BadAnswerError{FaultHash, headers[0].Height}
		}
		if err != nil {
			yield(Block{}, err)
			return false
		}
		if !yield(Block{headers[0], m.GetBody()}, nil) {
			return false
		}
		after, headers = headers[0].Point(), headers[1:]
	}
	if len(headers) > 0 {
		yield(Block{}, &BadAnswerError{FaultShort, headers[0].Height})
	}
	return len(headers) == 0
}

func collect[T any](items iter.Seq2[T, error]) (all []T, err error) {
	for item, err := range items {
		if err != nil {
			return nil, err
		}
		all = append(all, item)
	}
	return all, nil
}

// exclusive ranges over a stream of which a peer has one at a time for us. Ours
// wait for each other; and the peer may take a moment to see the end of the last
// one, until when it answers Forbidden.
func exclusive[T any](ctx context.Context, c *Client, items iter.Seq2[T, error]) iter.Seq2[T, error] {
	return func(yield func(T, error) bool) {
		var none T
		select {
		case c.stream <- struct{}{}:
			defer func() { <-c.stream }()
		case <-ctx.Done():
			yield(none, ctx.Err())
			return
		}
		for wait := firstWait; ; wait *= 2 {
			first, busy := true, false
			for item, err := range items {
				if busy = first && rpc.CodeOf(err) == rpc.Forbidden && wait <= lastWait; busy {
					break
				}
				if !yield(item, err) || err != nil {
					return
				}
				first = false
			}
			if !busy {
				return
			}
			select {
			case <-time.After(wait):
			case <-ctx.Done():
				yield(none, ctx.Err())
				return
			}
		}
	}
}
