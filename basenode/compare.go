package basenode

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"
)

// Comparison is what Compare found.
type Comparison struct {
	Chains []Chain // that of most work first
	// Height is the one at which they were compared: that of the lowest tip.
	Height uint64
	// Common is the last block that all have. It is nil if not even the first is
	// the same.
	Common *Point
	Failed []*PeerError // peers that could not be compared
}

// Agree says whether all peers that could be compared are on one chain.
func (c *Comparison) Agree() bool { return len(c.Chains) <= 1 }

// Chain is a chain, and the peers that are on it.
type Chain struct {
	At    Point // its block at Comparison.Height
	Peers []PeerTip
}

// PeerTip is a peer's tip. It may have come on since.
type PeerTip struct {
	*Client
	Tip Tip
}

// Compare asks peers for their tips and for the block that each has at the height
// of the lowest, all at the same time. If these are not the same it looks for the
// last block that all chains have, which takes about as many calls as the height
// has binary digits. A peer that fails is left out of the rest. The error is ctx's.
func Compare(ctx context.Context, clients []*Client) (*Comparison, error) {
	result := &Comparison{}
	peers := each(ctx, result, clients, func(ctx context.Context, c *Client) (PeerTip, error) {
		tip, err := c.Tip(ctx)
		return PeerTip{c, tip}, err
	})
	for {
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if len(peers) == 0 {
			return result, nil
		}
		failed := len(result.Failed)
		result.group(ctx, peers)
		if len(result.Failed) == failed && !result.Agree() {
			result.findCommon(ctx)
		}
		if len(result.Failed) == failed {
			return result, ctx.Err()
		}
		peers = slices.DeleteFunc(peers, func(p PeerTip) bool { return result.failed(p.Client) })
	}
}

// group sorts the peers by their block at the height of the lowest tip.
func (c *Comparison) group(ctx context.Context, peers []PeerTip) {
	c.Chains, c.Common = nil, nil
	c.Height = slices.MinFunc(peers, func(a, b PeerTip) int { return cmp.Compare(a.Tip.Height, b.Tip.Height) }).Tip.Height
	type found struct {
		PeerTip
		at Point
	}
	for _, f := range each(ctx, c, peers, func(ctx context.Context, p PeerTip) (found, error) {
		h, err := p.HeaderByHeight(ctx, c.Height)
		if err != nil {
			return found{}, err
		}
		return found{p, h.Point()}, nil
	}) {
		i := slices.IndexFunc(c.Chains, func(chain Chain) bool { return chain.At == f.at })
		if i < 0 {
			i = len(c.Chains)
			c.Chains = append(c.Chains, Chain{At: f.at})
		}
		c.Chains[i].Peers = append(c.Chains[i].Peers, f.PeerTip)
	}
	for _, chain := range c.Chains {
		slices.SortStableFunc(chain.Peers, func(a, b PeerTip) int { return b.Tip.Difficulty.Cmp(a.Tip.Difficulty) })
	}
	slices.SortStableFunc(c.Chains, func(a, b Chain) int { return b.Peers[0].Tip.Difficulty.Cmp(a.Peers[0].Tip.Difficulty) })
	if len(c.Chains) == 1 {
		c.Common = &c.Chains[0].At
	}
}

// findCommon asks one peer of each chain, in halves: below a common block all are.
func (c *Comparison) findCommon(ctx context.Context) {
	var one []PeerTip
	for _, chain := range c.Chains {
		one = append(one, chain.Peers[0])
	}
	low, high := uint64(0), c.Height // they differ at high
	for low < high {
		height := low + (high-low)/2
		points := each(ctx, c, one, func(ctx context.Context, p PeerTip) (Point, error) {
			h, err := p.HeaderByHeight(ctx, height)
			if err != nil {
				return Point{}, err
			}
			return h.Point(), nil
		})
		if len(points) < len(one) {
			return // a peer failed: it begins anew without it
		}
		if points = slices.Compact(points); len(points) == 1 {
			c.Common = &points[0]
			low = height + 1
		} else {
			high = height
		}
	}
}

func (c *Comparison) failed(of *Client) bool {
	return slices.ContainsFunc(c.Failed, func(f *PeerError) bool { return f.Peer == of.peer })
}

// client is of what each peer's failure is noted.
type client interface{ self() *Client }

func (c *Client) self() *Client { return c }

// each asks all at the same time. It returns the answers in order, without those
// that failed, which it notes.
func each[C client, T any](ctx context.Context, r *Comparison, of []C, ask func(context.Context, C) (T, error)) []T {
	limited, cancel := ctx, context.CancelFunc(func() {})
	if end, ok := ctx.Deadline(); ok {
		limited, cancel = context.WithTimeout(ctx, time.Until(end)/2)
	}
	defer cancel()
	answers, errs := make([]T, len(of)), make([]error, len(of))
	var all sync.WaitGroup
	for i, c := range of {
		all.Go(func() { answers[i], errs[i] = ask(limited, c) })
	}
	all.Wait()
	var good []T
	for i, err := range errs {
		if err == nil {
			good = append(good, answers[i])
		} else {
			r.Failed = append(r.Failed, &PeerError{of[i].self().peer, err})
		}
	}
	return good
}
