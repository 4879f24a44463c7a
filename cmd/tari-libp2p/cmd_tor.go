package main

import (
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) torCommand() *cobra.Command {
	tor := &cobra.Command{Use: "tor", Short: "Tor, as our node would use it", Args: cobra.NoArgs, RunE: needsSubcommand}
	status := &cobra.Command{
		Use:   "status",
		Short: "Check each thing that a node needs of Tor",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := a.options.config()
			if err != nil {
				return err
			}
			s := node.CheckTor(cmd.Context(), cfg.Tor, cfg.DataDir)
			err = a.show(s, func() {
				for _, step := range s.Steps {
					mark := "ok"
					if !step.OK {
						mark = "FAILED"
					}
					a.out.printf("%-15s %-7s %s\n", step.Name, mark, step.Detail)
				}
			})
			if err == nil && !s.OK {
				// The output has said it.
				err = reported{node.FailureOf(node.ErrNoTor)}
			}
			return err
		},
	}
	a.options.folderFlags(status)
	a.options.controlFlags(status)
	a.options.socksFlag(status)
	tor.AddCommand(status)
	return tor
}
