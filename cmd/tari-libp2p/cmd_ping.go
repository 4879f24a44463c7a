package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) pingCommand() *cobra.Command {
	var (
		count   = positive(1)
		timeout time.Duration
	)
	ping := &cobra.Command{
		Use:   "ping PUBKEY::ADDRESS[::ADDRESS…]",
		Short: "Go through every stage of a connection to a peer, with times",
		Long: "Go through every stage of a connection to a peer, with a throw-away identity: connect, wire byte, Noise,\n" +
			"identity, yamux, round trip. It needs no set-up and leaves nothing behind. On failure it names the stage.",
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
			stage := a.printStage
			if a.json {
				stage = func(node.Stage) {}
			}
			pong, err := node.Ping(ctx, network, a.options.tor.SOCKS, peer, int(count), stage)
			if err != nil {
				return a.showFailed(pong, err, func() { a.printPong(pong) })
			}
			return a.show(pong, func() { a.printPong(pong) })
		},
	}
	a.options.networkFlag(ping)
	a.options.socksFlag(ping)
	ping.Flags().Var(&count, "count", "`number` of round trips")
	timeoutFlag(ping, &timeout)
	return ping
}

// printPong shows what the peer said of itself, after the stages.
func (a *app) printPong(pong node.Pong) {
	if pong.UserAgent == "" {
		return
	}
	a.out.printf("\nagent        %s\n", quote(pong.UserAgent))
	a.out.printf("features     %s\n", none(pong.Features))
	a.out.printf("protocols    %s\n", none(strings.Join(pong.Protocols, " ")))
	a.out.printf("addresses    %s\n", none(strings.Join(pong.Addresses, " ")))
}

func (a *app) printStage(s node.Stage) {
	mark, text := "ok", s.Detail
	if s.Error != "" {
		mark, text = "FAILED", s.Error
	}
	took := (time.Duration(s.TookUS) * time.Microsecond).Round(10 * time.Microsecond)
	a.out.printf("%-12s %-7s %9s  %s\n", s.Name, mark, took, strings.ReplaceAll(text, "\n", "; "))
}
