package main

import (
	"context"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) livenessCommand() *cobra.Command {
	var timeout time.Duration
	liveness := &cobra.Command{
		Use:   "liveness ADDRESS",
		Short: "Ask whether a node answers liveness checks at a multiaddr",
		Long: "Ask whether a node answers liveness checks at a multiaddr. It proves no key and starts no Noise. Most nodes answer\n" +
			"only whom they allow, ours only loopback; the others hang up without a word.",
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			addr, err := ma.NewMultiaddr(args[0])
			if err != nil {
				return usagef("%s: not a multiaddr such as /ip4/1.2.3.4/tcp/18189", quote(args[0]))
			}
			network, err := networkByName(a.options.network)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			alive, err := node.ProbeLiveness(ctx, network, a.options.tor.SOCKS, addr)
			if err != nil {
				return err
			}
			return a.show(alive, func() {
				a.out.printf("alive: %s echoed in %s\n", alive.Address, time.Duration(alive.TookUS)*time.Microsecond)
			})
		},
	}
	a.options.networkFlag(liveness)
	a.options.socksFlag(liveness)
	timeoutFlag(liveness, &timeout)
	return liveness
}
