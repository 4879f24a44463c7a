package main

import (
	"context"
	"sync"
	"time"

	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// peerTip is the tip of a peer's chain, as the peer says.
type peerTip struct {
	Peer         string    `json:"peer"`
	Height       uint64    `json:"height"`
	Hash         string    `json:"hash"`
	Difficulty   string    `json:"difficulty"` // accumulated; a decimal number of any length
	Timestamp    time.Time `json:"timestamp"`
	AgeSeconds   int64     `json:"age_seconds"`
	PrunedHeight uint64    `json:"pruned_height"`
}

func newPeerTip(peer string, tip basenode.Tip) peerTip {
	return peerTip{
		Peer: peer, Height: tip.Height, Hash: tip.Hash.String(), Difficulty: tip.Difficulty.String(), Timestamp: tip.Time(),
		AgeSeconds: int64(time.Since(tip.Time()) / time.Second), PrunedHeight: tip.PrunedHeight,
	}
}

// age is the age of a tip for people.
func (t peerTip) age() string { return (time.Duration(t.AgeSeconds) * time.Second).String() }

// peerFailed is a peer that was of no use.
type peerFailed struct {
	Peer string `json:"peer"`
	*node.Failure
}

// tipReport is what the command tip prints.
type tipReport struct {
	Tips   []tipOf      `json:"tips"` // in the order of the command line
	Failed []peerFailed `json:"failed"`
}

type tipOf struct {
	peerTip
	Synced    bool  `json:"synced"` // the peer has caught up with what it knows of the network
	ElapsedMS int64 `json:"elapsed_ms"`
}

func (a *app) tipCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "tip PUBKEY::ADDRESS…",
		Short: "Ask base nodes for the tip of their chains, side by side",
		Long: "Ask base nodes for the tip of their chains, all at the same time and with a throw-away identity: height, accumulated\n" +
			"difficulty, age, and whether they have caught up. It is what they say; \"fork-check\" compares their chains.",
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.withBaseNodes(ctx, args, func(clients []*basenode.Client) error {
				return a.tips(ctx, clients)
			})
		},
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	timeoutFlag(c, &timeout)
	return c
}

func (a *app) tips(ctx context.Context, clients []*basenode.Client) error {
	tips, failures := make([]tipOf, len(clients)), make([]error, len(clients))
	var all sync.WaitGroup
	for i, c := range clients {
		all.Go(func() {
			began := time.Now()
			tip, synced, err := c.TipInfo(ctx)
			if failures[i] = err; err == nil {
				tips[i] = tipOf{newPeerTip(keyOf(c), tip), synced, time.Since(began).Milliseconds()}
			}
		})
	}
	all.Wait()
	report := tipReport{Tips: []tipOf{}, Failed: []peerFailed{}}
	for i, err := range failures {
		if err == nil {
			report.Tips = append(report.Tips, tips[i])
		} else {
			report.Failed = append(report.Failed, peerFailed{keyOf(clients[i]), failureOf(err)})
		}
	}
	text := func() { a.printTips(report) }
	if len(report.Tips) == 0 {
		return a.showFailed(report, report.Failed[0].Failure, text)
	}
	return a.show(report, text)
}

func (a *app) printTips(r tipReport) {
	if len(r.Tips) > 0 {
		a.out.printf("%-16s  %9s  %12s  %-7s  %-16s  %s\n", "peer", "height", "age", "synced", "hash", "difficulty")
	}
	for _, t := range r.Tips {
		synced := "yes"
		if !t.Synced {
			synced = "no"
		}
		a.out.printf("%-16s  %9d  %12s  %-7s  %-16s  %s\n", t.Peer[:16], t.Height, t.age(), synced, t.Hash[:16], t.Difficulty)
	}
	a.printFailed(r.Failed)
}

func (a *app) printFailed(failed []peerFailed) {
	for _, f := range failed {
		a.out.printf("%-16s  FAILED  %s\n", f.Peer[:16], oneLine(f.Failure))
	}
}

// keyOf is the public key of the peer that a client asks.
func keyOf(c *basenode.Client) string { return keyText(c.Peer()) }

// withBaseNodes runs f with a client of each peer of the command line, from a node that leaves nothing behind.
func (a *app) withBaseNodes(ctx context.Context, args []string, f func([]*basenode.Client) error) error {
	peers, err := parsePeers(args)
	if err != nil {
		return err
	}
	network, err := networkByName(a.options.network)
	if err != nil {
		return err
	}
	return a.asStranger(ctx, peers, func(n *node.Node) error {
		var clients []*basenode.Client
		for _, p := range peers {
			c, err := basenode.New(n.Host, p.Key.PeerID(), basenode.Config{Network: network})
			if err != nil {
				return usageError{err}
			}
			defer c.Close()
			clients = append(clients, c)
		}
		return f(clients)
	})
}

// parsePeers reads PUBKEY::ADDRESS as often as there are arguments; none may come twice.
func parsePeers(args []string) ([]tari.Address, error) {
	var peers []tari.Address
	seen := map[string]bool{}
	for _, arg := range args {
		peer, err := parsePeer(arg)
		if err != nil {
			return nil, err
		}
		if key := peer.Key.String(); seen[key] {
			return nil, usagef("%s is there twice", key)
		}
		seen[peer.Key.String()] = true
		peers = append(peers, peer)
	}
	return peers, nil
}
