package main

import (
	"strings"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) identityCommand() *cobra.Command {
	identity := &cobra.Command{Use: "identity", Short: "Who our node is", Args: cobra.NoArgs, RunE: needsSubcommand}
	show := &cobra.Command{
		Use:   "show",
		Short: "Show the node's public key, node id and claimed addresses; never the secret key",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, node.Open, (*node.Client).Identity, a.printIdentity)
		},
	}
	a.options.folderFlags(show)
	identity.AddCommand(show, a.identityNewCommand(), a.identityImportCommand(), a.identityExportCommand())
	return identity
}

func (a *app) printIdentity(id node.IdentityInfo) {
	a.out.printf("public key  %s\n", id.PublicKey)
	a.out.printf("node id     %s\n", id.NodeID)
	a.out.printf("peer id     %s\n", id.PeerID)
	a.out.printf("features    %s\n", id.Features)
	a.out.printf("addresses   %s\n", none(strings.Join(id.Addresses, " ")))
	a.out.printf("file        %s\n", id.File)
}

// needsSubcommand makes "tari-libp2p identity" alone, or with a word that is no command, a usage error.
func needsSubcommand(cmd *cobra.Command, _ []string) error {
	var names []string
	for _, sub := range cmd.Commands() {
		names = append(names, sub.Name())
	}
	return usagef("%s needs a command: %s", cmd.CommandPath(), strings.Join(names, ", "))
}

func none(text string) string {
	if text == "" {
		return "none"
	}
	return text
}
