package main

import (
	"context"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// doctorLimit is how long all checks may take together.
const doctorLimit = 30 * time.Second

func (a *app) doctorCommand() *cobra.Command {
	o := &a.options
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look for what is in the way of our node, and say the cure",
		Long: "Look for what is in the way of our node, running or not, and say the cure: clock, data folder, identity, disk,\n" +
			"peer book, open files, ports, name servers, Tor, connections, reachability. Give it the options of \"run\". It\n" +
			"asks nobody outside of this machine and changes nothing. Exit code 0 means that nothing failed; warnings may be.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.config()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("listen") && !cfg.Tor.Service {
				cfg.Listen = defaultListen(cfg.Network.Port)
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), doctorLimit)
			defer cancel()
			d := node.Diagnose(ctx, cfg)
			err = a.show(d, func() {
				for _, c := range d.Checks {
					a.out.printf("%-5s %-14s %s\n", c.Verdict, c.Name, c.Detail)
					if c.Cure != "" && c.Verdict != node.CheckOK {
						a.out.printf("%20s cure: %s\n", "", c.Cure)
					}
				}
			})
			if err == nil && !d.OK {
				err = reported{&node.Failure{Kind: node.FailOther, Text: "a check failed"}}
			}
			return err
		},
	}
	o.folderFlags(c)
	o.torFlags(c)
	o.limitFlags(c)
	c.Flags().StringSliceVar(&o.listen, "listen", nil, "`multiaddr` to listen on (repeatable; default: the network's port on all interfaces; \"\" = nowhere)")
	return c
}
