package chaintest

import (
	"context"
	"fmt"
	"iter"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// Reading is all that there is to read from a base node.
type Reading struct {
	Tip, TipInfo basenode.Tip
	Synced       bool
	Mempool      basenode.MempoolStats
	Headers      []*basenode.Header // of the whole chain, the first first
	Blocks       []basenode.Block   // without the first
}

// Read asks a base node for all that there is to read, in each way that there is,
// and holds the answers against each other. Its chain has three blocks or more,
// and does not grow meanwhile.
func Read(ctx context.Context, c *basenode.Client) (*Reading, error) {
	r := new(Reading)
	for _, step := range []struct {
		what string
		read func() error
	}{
		{"the tip", func() (err error) { r.Tip, err = c.Tip(ctx); return err }},
		{"tip info", func() (err error) { r.TipInfo, r.Synced, err = c.TipInfo(ctx); return err }},
		{"mempool", func() (err error) { r.Mempool, err = c.MempoolStats(ctx); return err }},
		{"the first header", func() error {
			first, err := c.HeaderByHeight(ctx, 0)
			r.Headers = append(r.Headers, first)
			return err
		}},
		{"headers", func() error {
			more, err := all(c.Headers(ctx, r.Headers[0].Point(), 0))
			r.Headers = append(r.Headers, more...)
			return err
		}},
		{"blocks", func() (err error) { r.Blocks, err = all(c.Blocks(ctx, r.Headers[0].Point(), 0)); return err }},
		{"what fits together", r.check},
		{"headers by height", func() error {
			for _, want := range r.Headers {
				if h, err := c.HeaderByHeight(ctx, want.Height); err != nil || h.Hash != want.Hash {
					return fmt.Errorf("%d: %+v, %w", want.Height, h, err)
				}
			}
			return nil
		}},
		{"headers by hash", func() error {
			for _, want := range r.Headers {
				if h, err := c.HeaderByHash(ctx, want.Hash); err != nil || h.Height != want.Height {
					return fmt.Errorf("%d: %+v, %w", want.Height, h, err)
				}
			}
			return nil
		}},
		{"a split", func() error {
			index, following, err := c.Split(ctx, []basenode.Hash{{1}, r.Headers[1].Hash, r.Headers[0].Hash}, 1)
			if err != nil || index != 1 || len(following) != 1 || following[0].Hash != r.Headers[2].Hash {
				return fmt.Errorf("%d, %v, %w", index, following, err)
			}
			return nil
		}},
		{"a header above the tip", func() error {
			if _, err := c.HeaderByHeight(ctx, r.Tip.Height+1); rpc.CodeOf(err) != rpc.NotFound {
				return fmt.Errorf("not NotFound, but %w", err)
			}
			return nil
		}},
		{"headers behind an unknown block", func() error {
			if _, err := all(c.Headers(ctx, basenode.Point{Height: 1, Hash: basenode.Hash{1}}, 0)); rpc.CodeOf(err) != rpc.NotFound {
				return fmt.Errorf("not NotFound, but %w", err)
			}
			return nil
		}},
	} {
		if err := step.read(); err != nil {
			return r, fmt.Errorf("%s: %w", step.what, err)
		}
	}
	return r, nil
}

// check holds the tips, the headers and the blocks against each other.
func (r *Reading) check() error {
	last := r.Headers[len(r.Headers)-1]
	if len(r.Headers) < 3 || last.Point() != r.Tip.Point || r.TipInfo.Point != r.Tip.Point || r.TipInfo.Difficulty.Cmp(r.Tip.Difficulty) != 0 || r.Tip.Timestamp != last.Timestamp {
		return fmt.Errorf("%d headers up to %v; the tip is %+v, or %+v", len(r.Headers), last.Point(), r.Tip, r.TipInfo)
	}
	if len(r.Blocks) != len(r.Headers)-1 {
		return fmt.Errorf("%d blocks of %d headers", len(r.Blocks), len(r.Headers))
	}
	return nil
}

// Rewards says whether each block has its miner's reward and nothing else, as on
// a chain that nobody uses.
func (r *Reading) Rewards() error {
	for _, b := range r.Blocks {
		in, out, kernels := b.Body.GetInputs(), b.Body.GetOutputs(), b.Body.GetKernels()
		if len(in) != 0 || len(out) != 1 || len(kernels) != 1 {
			return fmt.Errorf("block %d has %d inputs, %d outputs, %d kernels", b.Height, len(in), len(out), len(kernels))
		}
		if len(out[0].GetCommitment().GetData()) != 32 || len(kernels[0].GetExcess().GetData()) != 32 || out[0].GetFeatures().GetMaturity() <= b.Height {
			return fmt.Errorf("block %d: %v", b.Height, b.Body)
		}
	}
	return nil
}

// all are the items of a sequence up to its end or its error.
func all[T any](items iter.Seq2[T, error]) (got []T, err error) {
	for item, err := range items {
		if err != nil {
			return got, err
		}
		got = append(got, item)
	}
	return got, nil
}
