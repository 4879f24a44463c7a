package basenode

import (
	"context"
	"errors"
	"iter"
	"math/big"
	"slices"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Step is what a Cursor did last.
type Step struct {
	// Back: the blocks above Point are no longer on the chain, and what follows comes in their
	// place. Header and Body are nil then.
	Back bool
	// Point is where the cursor is now.
	Point
	Header *Header
	Body   *basenodepb.AggregateBody // if blocks were asked for

	// Tip is how high the chain is by the word of the peer that is asked; 0 before it has said so.
	Tip uint64
}

// CursorConfig is what NewCursor needs to know. Its zero value begins with the
// first block.
type CursorConfig struct {
	// Height of the first block to give, unless After is set. 0 gives the first
	// block's header; its body no node sends.
	Height uint64
	// After are blocks that were given before, the highest last: the cursor goes on behind
	// them. Several, such as Points returns, let it find where a chain left ours.
	After []Point
	// Keep is how many of the last blocks it remembers, and so how far it can go
	// back. 0 means 1000, the most of which a node says in one answer where they
	// leave its chain.
	Keep int
}

// Cursor walks along the chain that its peers are on. When a peer's chain no
// longer has the block where it is, it goes back to the last one that both have,
// says so, and goes on from there: but only onto a chain that, by the peer's
// word, has more work than the one it had last caught up with. A peer that is
// behind cannot lead it back. It is not for concurrent use.
type Cursor struct {
	peers  *Peers
	cfg    CursorConfig
	points []Point  // the last blocks, the highest last; none before the first peer was asked
	work   *big.Int // of the chain where we last caught up with a tip; nil before
}

// maxTurns is how often a peer may change its chain under us, with nothing given
// in between, before it is left.
const maxTurns = 3

// NewCursor makes a cursor. It asks nothing yet. The peers should be its own: it
// gives their sessions back whenever it is done with one.
func NewCursor(peers *Peers, cfg CursorConfig) *Cursor {
	if cfg.Keep <= 0 {
		cfg.Keep = maxSplitHashes
	}
	c := &Cursor{peers: peers, cfg: cfg}
	for _, p := range cfg.After {
		c.push(p)
	}
	return c
}

// Points are the last blocks, the highest last: for CursorConfig.After of one that
// goes on from here.
func (c *Cursor) Points() []Point { return slices.Clone(c.points) }

// Headers walks up to the tip of a peer, with the headers alone. To follow the
// chain call it again after a while. Errors, each the last of its sequence: ctx's,
// or a *NoPeerError. In that errors.As finds why: a *DeepReorgError, a
// *LessWorkError, an *rpc.Status with the code NotFound if no chain reaches up to
// CursorConfig.Height, and others. After an error the cursor can be used again.
func (c *Cursor) Headers(ctx context.Context) iter.Seq2[Step, error] { return c.walk(ctx, false) }

// Blocks is Headers with the bodies.
func (c *Cursor) Blocks(ctx context.Context) iter.Seq2[Step, error] { return c.walk(ctx, true) }

func (c *Cursor) walk(ctx context.Context, bodies bool) iter.Seq2[Step, error] {
	return func(yield func(Step, error) bool) {
		w := &walk{Cursor: c, bodies: bodies, yield: func(s Step) bool { return yield(s, nil) }}
		for {
			given := w.given
			err := c.peers.Ask(ctx, func(peer *Client) error {
				defer peer.Close() // a caller who comes back later holds nobody up until then
				return useless(w.with(ctx, peer))
			})
			if errors.As(err, new(*NoPeerError)) && w.given > given {
				continue // each failed in the end, but somebody got us on
			}
			if err != nil && !w.stopped {
				yield(Step{}, err)
			}
			return
		}
	}
}

// walk is a cursor while somebody ranges over it.
type walk struct {
	*Cursor
	bodies  bool
	yield   func(Step) bool
	given   int // steps
	tip     uint64
	stopped bool // the caller has left the loop
}

// with walks with one peer, until its tip or an error.
func (w *walk) with(ctx context.Context, peer *Client) error {
	if len(w.points) == 0 {
		if err := w.begin(ctx, peer); err != nil {
			return err
		}
	}
	for turns := 0; !w.stopped; {
		tip, err := peer.Tip(ctx)
		if err != nil {
			return err
		}
		w.tip = tip.Height
		if tip.Point == w.last() {
			w.work = tip.Difficulty
			return nil
		}
		given := w.given
		err = w.forward(ctx, peer)
		if w.given > given {
			turns = 0
		} else if turns++; err == nil {
			err = errStuck
		}
		switch {
		case w.stopped || err == nil:
		case turns > maxTurns || !leftChain(err):
			return err
		default:
			if err := w.back(ctx, peer); err != nil {
				return err
			}
		}
	}
	return nil
}

// leftChain says whether a stream ended in a way that a change of the peer's
// chain explains.
func leftChain(err error) bool {
	if bad, ok := errors.AsType[*BadAnswerError](err); ok {
		return bad.Fault != FaultMalformed && bad.Fault != FaultSurplus
	}
	code := rpc.CodeOf(err)
	return code == rpc.NotFound || code == rpc.Conflict || err == errStuck
}

// uselessError is an answer that keeps a cursor from going on with that peer, but
// not with the next.
type uselessError struct{ error }

func (e *uselessError) Unwrap() error { return e.error }

func useless(err error) error {
	if err == nil {
		return nil
	}
	return &uselessError{err}
}

// begin finds the block before the first.
func (w *walk) begin(ctx context.Context, peer *Client) error {
	h, err := peer.HeaderByHeight(ctx, max(w.cfg.Height, 1)-1)
	if err != nil {
		return err
	}
	w.push(h.Point())
	if w.cfg.Height == 0 && !w.bodies {
		w.give(Step{Point: h.Point(), Header: h})
	}
	return nil
}

// forward gives what follows on the last block.
func (w *walk) forward(ctx context.Context, peer *Client) error {
	if w.bodies {
		for b, err := range peer.Blocks(ctx, w.last(), 0) {
			if err != nil {
				return err
			}
			w.push(b.Point())
			if !w.give(Step{Point: b.Point(), Header: b.Header, Body: b.Body}) {
				return nil
			}
		}
		return nil
	}
	for h, err := range peer.Headers(ctx, w.last(), 0) {
		if err != nil {
			return err
		}
		w.push(h.Point())
		if !w.give(Step{Point: h.Point(), Header: h}) {
			return nil
		}
	}
	return nil
}

// back goes to the last block that is on the peer's chain, if that is a chain to
// follow.
func (w *walk) back(ctx context.Context, peer *Client) error {
	tip, err := peer.Tip(ctx)
	if err != nil {
		return err
	}
	kept, err := w.common(ctx, peer)
	switch {
	case err != nil:
		return err
	case kept == len(w.points): // it has our last block after all
		return nil
	case w.work != nil && tip.Difficulty.Cmp(w.work) <= 0, kept > 0 && w.points[kept-1] == tip.Point:
		return &LessWorkError{tip} // the second is a peer that is on our chain, and not as far
	case kept == 0:
		return &DeepReorgError{w.points[0]}
	}
	w.points = w.points[:kept]
	w.give(Step{Back: true, Point: w.last()})
	return nil
}

// common counts how many of our blocks, the lowest first, are on the peer's chain.
func (w *walk) common(ctx context.Context, peer *Client) (int, error) {
	for end := len(w.points); end > 0; {
		start := max(0, end-maxSplitHashes)
		var hashes []Hash
		for _, p := range slices.Backward(w.points[start:end]) {
			hashes = append(hashes, p.Hash)
		}
		index, _, err := peer.Split(ctx, hashes, 0)
		if err == nil {
			return end - index, nil
		}
		if rpc.CodeOf(err) != rpc.NotFound {
			return 0, err
		}
		end = start
	}
	return 0, nil
}

// give hands a step to the caller and says whether to go on.
func (w *walk) give(s Step) bool {
	w.given++
	s.Tip = w.tip
	if !w.stopped && !w.yield(s) {
		w.stopped = true
	}
	return !w.stopped
}

func (c *Cursor) last() Point { return c.points[len(c.points)-1] }

// push remembers a block, and forgets the oldest of too many.
func (c *Cursor) push(p Point) {
	if c.points = append(c.points, p); len(c.points) >= 2*c.cfg.Keep {
		c.points = slices.Delete(c.points, 0, len(c.points)-c.cfg.Keep)
	}
}
