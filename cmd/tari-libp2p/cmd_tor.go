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
			if !s.OK {
				return a.showFailed(s, node.ErrNoTor, func() { a.printSteps(s) })
			}
			return a.show(s, func() { a.printSteps(s) })
		},
	}
	a.options.folderFlags(status)
	a.options.controlFlags(status)
	a.options.socksFlag(status)
	tor.AddCommand(status)
	return tor
}

func (a *app) printSteps(s node.TorStatus) {
	for _, step := range s.Steps {
		mark := "ok"
		if !step.OK {
			mark = "FAILED"
		}
		a.out.printf("%-15s %-7s %s\n", step.Name, mark, step.Detail)
	}
}
