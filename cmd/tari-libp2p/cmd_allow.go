package main

import (
	"context"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// allowHelp says what the allow list is.
const allowHelp = "The node bans no peer on the allow list, whatever the peer does; it ends the connection, and the peer may come back.\n" +
	"What a person bans (\"tari-libp2p ban\") is banned all the same, until \"tari-libp2p unban\". The list shuts nobody out.\n"

func (a *app) peersAllowCommand() *cobra.Command {
	allow := &cobra.Command{
		Use:   "allow PEER…",
		Short: "Put peers on the allow list: the node never bans them",
		Long: "Put peers on the allow list, and lift the bans that the node has put on them; those by hand stay.\n" + allowHelp +
			"A peer that nobody knows yet is named by its public key. Unless all names are good nothing is changed.\n" + peerHelp,
		Args: cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeAllowed(cmd.Context(), args, (*node.Client).Allow, func(p node.AllowChange) string {
				if p.WasAllowed {
					return "was on the allow list"
				}
				return "on the allow list"
			})
		},
	}
	a.options.folderFlags(allow)
	return allow
}

func (a *app) peersDisallowCommand() *cobra.Command {
	disallow := &cobra.Command{
		Use:   "disallow PEER…",
		Short: "Take peers off the allow list: the node may ban them again",
		Long:  "Take peers off the allow list. Unless all names are good nothing is changed.\n" + allowHelp + peerHelp,
		Args:  cobra.MinimumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return a.changeAllowed(cmd.Context(), args, (*node.Client).Disallow, func(p node.AllowChange) string {
				if p.WasAllowed {
					return "not on the allow list any more"
				}
				return "was not on the allow list"
			})
		},
	}
	a.options.folderFlags(disallow)
	return disallow
}

func (a *app) peersAllowedCommand() *cobra.Command {
	allowed := &cobra.Command{
		Use:   "allowed",
		Short: "List the peers on the allow list",
		Long:  "List the peers on the allow list.\n" + allowHelp,
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, node.Open, (*node.Client).Allowed, func(list node.AllowList) {
				if len(list.Peers) == 0 {
					a.out.printf("nobody is on the allow list\n")
				}
				for _, p := range list.Peers {
					a.printAllowed(p, "on the allow list")
				}
			})
		},
	}
	a.options.folderFlags(allowed)
	return allowed
}

// changeAllowed makes a request about several peers, and shows for each what became of it.
func (a *app) changeAllowed(
	ctx context.Context, peers []string, change func(*node.Client, context.Context, ...string) (node.AllowChanges, error), state func(node.AllowChange) string,
) error {
	for _, name := range peers {
		if err := checkName(name); err != nil {
			return err
		}
	}
	request := func(c *node.Client, ctx context.Context) (node.AllowChanges, error) { return change(c, ctx, peers...) }
	return ask(ctx, a, node.Open, request, func(answer node.AllowChanges) {
		for _, p := range answer.Peers {
			a.printAllowed(p.AllowedPeer, state(p))
			if p.WasBanned && p.Banned == nil {
				a.out.printf("    ban        lifted\n")
			}
		}
	})
}

func (a *app) printAllowed(p node.AllowedPeer, state string) {
	a.out.printf("%s  %s\n", p.PublicKey, state)
	a.out.printf("    node id    %s\n", p.NodeID)
	if p.Banned != nil {
		a.out.printf("    ban        %s; \"tari-libp2p unban\" lifts it\n", bannedText(p.Banned))
	}
}
