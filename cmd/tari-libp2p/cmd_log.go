package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) logCommand() *cobra.Command {
	log := &cobra.Command{
		Use:   "log [LEVEL[,PART=LEVEL…]]",
		Short: "What the running node logs; with an argument, from now on",
		Long: "What the running node logs on its standard error, as \"run --log\" has it. With an argument it logs as that\n" +
			"says from now on, until it ends.",
		Example: "  tari-libp2p log debug\n  tari-libp2p log warn,libp2p=debug",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			levels := ""
			if len(args) == 1 {
				if err := new(logLevels).Set(args[0]); err != nil {
					return usagef("%w", err)
				}
				levels = args[0]
			}
			return ask(cmd.Context(), a, node.Open, func(c *node.Client, ctx context.Context) (node.LogLevels, error) {
				return c.Log(ctx, levels)
			}, func(l node.LogLevels) { a.out.printf("%s\n", l.Levels) })
		},
	}
	a.options.folderFlags(log)
	return log
}
