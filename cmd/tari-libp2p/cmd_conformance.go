package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/internal/conformance"
)

// conformed is the sum of a conformance run.
type conformed struct {
	Peer    string `json:"peer"`
	Network string `json:"network"`
	OK      bool   `json:"ok"`
	Passed  int    `json:"passed"`
	Failed  int    `json:"failed"`
	Skipped int    `json:"skipped"`
}

// errNotConforming is the end of a run in which a check failed.
var errNotConforming = errors.New("a check failed")

func (a *app) conformanceCommand() *cobra.Command {
	var (
		timeout time.Duration
		hostile bool
		service string
	)
	c := &cobra.Command{
		Use:   "conformance PUBKEY::ADDRESS",
		Short: "Check from outside whether a node keeps the rules of the wire",
		Long: "Check from outside, with throw-away identities, whether a node keeps the rules of the wire: first byte, Noise,\n" +
			"identity, negotiation, messaging, RPC, limits. A table says how each check went; exit code 0 means that none failed.\n" +
			"It takes about half a minute, mostly for waiting until the node gives up on somebody who is silent.\n\n" +
			"Some checks break rules on purpose. They run against nodes on this machine; against others only with --hostile.\n" +
			"They earn bans, of identities that are thrown away, and whoever runs the node may take them for an attack: ask first.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			peer, err := parsePeer(args[0])
			if err != nil {
				return err
			}
			network, err := networkByName(a.options.network)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			to := conformance.Target{Peer: peer, Network: network, SOCKS: a.options.tor.SOCKS, Service: protocol.ID(service), Hostile: hostile || allLoopback(peer)}
			if hostile && !allLoopback(peer) {
				a.err.printf("tari-libp2p: --hostile breaks rules on purpose: expect bans, and ask whoever runs the node first\n")
			}
			return a.conform(ctx, to)
		},
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	timeoutFlag(c, &timeout)
	timeout = 5 * time.Minute
	c.Flag("timeout").DefValue = timeout.String()
	c.Flags().BoolVar(&hostile, "hostile", false, "against a node that is not on this machine, break rules too: this earns bans")
	c.Flags().StringVar(&service, "service", "", "`protocol` of an RPC service to try (default: the first of Tari's that its claim names)")
	return c
}

// conform prints each check when it is made, and then how many there were.
func (a *app) conform(ctx context.Context, to conformance.Target) error {
	sum := conformed{Peer: to.Peer.Key.String(), Network: to.Network.Name}
	var printing error
	err := conformance.Run(ctx, to, func(r conformance.Result) {
		switch r.Verdict {
		case conformance.OK:
			sum.Passed++
		case conformance.Failed:
			sum.Failed++
		case conformance.Skipped:
			sum.Skipped++
		}
		if a.json {
			printing = errors.Join(printing, a.out.json(r))
		} else {
			a.printCheck(r)
		}
	})
	if err = errors.Join(err, printing); err == nil && sum.Failed > 0 {
		err = errNotConforming
	}
	sum.OK = err == nil
	text := func() {
		a.out.printf("\n%d passed, %d failed, %d skipped\n", sum.Passed, sum.Failed, sum.Skipped)
	}
	if err != nil {
		return a.showFailed(sum, err, text)
	}
	return a.show(sum, text)
}

func (a *app) printCheck(r conformance.Result) {
	mark := string(r.Verdict)
	if r.Verdict == conformance.Failed {
		mark = "FAILED"
	}
	line := fmt.Sprintf("%-12s %-62s %-8s %s", r.Area, r.Check, mark, strings.ReplaceAll(r.Detail, "\n", "; "))
	a.out.printf("%s\n", strings.TrimRight(line, " "))
}

// allLoopback says whether a peer is on this machine.
func allLoopback(p tari.Address) bool {
	return !slices.ContainsFunc(p.Addrs, func(at ma.Multiaddr) bool { return !manet.IsIPLoopback(at) })
}
