package main

import (
	"context"
	"errors"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// doctorLimit is how long all checks may take together.
const doctorLimit = 30 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	var start runSeeds
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is in the way of our node, and say the cure",
		Long: "Look for what is in the way of our node, running or not, and say the cure: clock, data folder, identity, disk,\n" +
			"peer book, open files, ports, name servers, Tor or proxy, connections, reachability. It takes the options of\n" +
			"\"run\": give it the same. It asks nobody but Tor or the proxy and changes nothing. Exit code 0 means that nothing\n" +
			"failed; warnings may be.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			p, err := a.plan(cmd, &start)
			if err != nil {
				return err
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorLimit)
			defer cancel()
			d := node.Diagnose(ctx, p.cfg)
			if !d.OK {
				return a.showFailed(d, errors.New("a check failed"), func() { a.printChecks(d) })
			}
			return a.show(d, func() { a.printChecks(d) })
		},
	}
	a.options.nodeFlags(c)
	start.flags(c)
	new(runMetrics).flags(c)
	new(runWeb).flags(c)
	new(plainPeers).flags(c) // deletion test: plainlibp2p
	return c
}

func (a *app) printChecks(d node.Diagnosis) {
	for _, c := range d.Checks {
		a.out.printf("%-5s %-14s %s\n", c.Verdict, c.Name, c.Detail)
		if c.Cure != "" && c.Verdict != node.CheckOK {
			a.out.printf("%20s cure: %s\n", "", c.Cure)
		}
	}
}
