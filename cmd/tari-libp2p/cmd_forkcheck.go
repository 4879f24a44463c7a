package main

import (
	"context"
	"fmt"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// forkReport is what fork-check prints.
type forkReport struct {
	Agree  bool            `json:"agree"`
	Height uint64          `json:"height"` // where the chains were compared: that of the lowest tip
	Common *basenode.Point `json:"common"` // the last block that all have; null if there is none
	Depth  uint64          `json:"depth"`  // how many blocks lie between it and height
	Chains []forkChain     `json:"chains"` // that of most work first
	Failed []peerFailed    `json:"failed"`
}

// forkChain is a chain and who is on it.
type forkChain struct {
	Hash  string    `json:"hash"` // of its block at the height of the report
	Peers []peerTip `json:"peers"`
}

func (a *app) forkCheckCommand() *cobra.Command {
	var (
		timeout  time.Duration
		tolerate uint64
	)
	c := &cobra.Command{
		Use:   "fork-check PUBKEY::ADDRESS PUBKEY::ADDRESS…",
		Short: "Check that base nodes are on one chain, and find the block from which on they are not",
		Long: "Check that base nodes are on one chain: compare the block that each has at the height of the lowest tip, and if these\n" +
			"differ look for the last block that all have. Exit code 0: one chain; 8: more than one. Nodes differ in the last blocks\n" +
			"for a moment whenever two miners find one at the same time: so many as --tolerate says are no fork.",
		Args: cobra.MinimumNArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.withBaseNodes(ctx, args, func(clients []*basenode.Client) error {
				return a.forkCheck(ctx, clients, tolerate)
			})
		},
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	timeoutFlag(c, &timeout)
	c.Flags().Uint64Var(&tolerate, "tolerate", 3, "a difference in the last `N` blocks is no fork")
	return c
}

func (a *app) forkCheck(ctx context.Context, clients []*basenode.Client, tolerate uint64) error {
	found, err := basenode.Compare(ctx, clients)
	if err != nil {
		return err
	}
	r := newForkReport(found)
	text := func() { a.printForks(r) }
	compared := 0
	for _, c := range r.Chains {
		compared += len(c.Peers)
	}
	switch {
	case compared < 2:
		failure := *r.Failed[0].Failure
		failure.Text = fmt.Sprintf("there is nothing to compare: %s", failure.Text)
		return a.showFailed(r, &failure, text)
	case r.Agree || r.Common != nil && r.Depth <= tolerate:
		return a.show(r, func() {
			text()
			a.out.printf("%s\n", r.verdict())
		})
	}
	return a.showFailed(r, &node.Failure{Kind: failForked, Text: r.verdict()}, text)
}

func newForkReport(found *basenode.Comparison) forkReport {
	r := forkReport{Agree: found.Agree(), Height: found.Height, Common: found.Common, Depth: found.Height, Chains: []forkChain{}, Failed: []peerFailed{}}
	if r.Common != nil {
		r.Depth = r.Height - r.Common.Height
	}
	for _, chain := range found.Chains {
		c := forkChain{Hash: chain.At.Hash.String()}
		for _, p := range chain.Peers {
			c.Peers = append(c.Peers, newPeerTip(keyOf(p.Client), p.Tip))
		}
		r.Chains = append(r.Chains, c)
	}
	for _, f := range found.Failed {
		r.Failed = append(r.Failed, peerFailed{keyText(f.Peer), failureOf(f.Err)})
	}
	return r
}

// verdict says in a sentence where the peers stand.
func (r forkReport) verdict() string {
	switch {
	case r.Agree:
		return "one chain, compared at height " + strconv.FormatUint(r.Height, 10)
	case r.Common == nil:
		return fmt.Sprintf("%d chains, which do not even have the first block in common", len(r.Chains))
	}
	return fmt.Sprintf("%d chains, the same up to height %d and not from %d on", len(r.Chains), r.Common.Height, r.Common.Height+1)
}

func (a *app) printForks(r forkReport) {
	for i, c := range r.Chains {
		a.out.printf("chain %d, %s at height %d\n", i+1, c.Hash, r.Height)
		for _, p := range c.Peers {
			a.out.printf("  %s  tip %d, %s old, difficulty %s\n", p.Peer[:16], p.Height, p.age(), p.Difficulty)
		}
	}
	a.printFailed(r.Failed)
}

// keyText is the public key of a peer of Tari's.
func keyText(p peer.ID) string {
	key, err := tarikey.PublicKeyFromPeerID(p)
	if err != nil {
		return p.String()
	}
	return key.String()
}
