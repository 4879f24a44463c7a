package main

import (
	"strings"
	"time"

	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) peersCommand() *cobra.Command {
	peers := &cobra.Command{Use: "peers", Short: "The peer book", Args: cobra.NoArgs, RunE: needsSubcommand}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the peers that we know",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return a.withNode(cmd.Context(), node.Open, func(c *node.Client) error {
				book, err := c.Peers(cmd.Context())
				if err != nil {
					return err
				}
				return a.show(book, func() {
					if len(book.Peers) == 0 {
						a.out.printf("no peers yet; \"tari-libp2p peers add PUBKEY::ADDRESS\" adds one\n")
					}
					for _, p := range book.Peers {
						a.printPeer(p)
					}
				})
			})
		},
	}
	add := &cobra.Command{
		Use:   "add PUBKEY::ADDRESS[::ADDRESS…]",
		Short: "Put a peer into the book",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkPeer(args[0], true); err != nil {
				return err
			}
			return a.withNode(cmd.Context(), node.Open, func(c *node.Client) error {
				p, err := c.AddPeer(cmd.Context(), args[0])
				if err != nil {
					return err
				}
				return a.show(p, func() { a.printPeer(p) })
			})
		},
	}
	a.options.folderFlags(list)
	a.options.folderFlags(add)
	peers.AddCommand(list, add)
	return peers
}

// checkPeer makes a peer that cannot be read a usage error before anything is opened.
func checkPeer(text string, needsAddress bool) error {
	addr, err := tari.ParseAddress(text)
	if err != nil {
		return usagef("%s: %w", quote(text), err)
	}
	if needsAddress && len(addr.Addrs) == 0 {
		return usagef("%s has no address: PUBKEY::ADDRESS, such as …::/ip4/1.2.3.4/tcp/18189", quote(text))
	}
	return nil
}

func (a *app) printPeer(p node.PeerInfo) {
	state := "never seen"
	if p.LastSeen != nil {
		state = "seen " + p.LastSeen.Local().Format(time.DateTime)
	}
	if p.Connected {
		state = "connected"
	}
	if p.Banned != nil {
		state = "banned until " + p.Banned.Until.Local().Format(time.DateTime) + ": " + quote(p.Banned.Reason)
	}
	a.out.printf("%s  %s\n", p.PublicKey, state)
	a.out.printf("    node id    %s\n", p.NodeID)
	a.out.printf("    addresses  %s\n", none(strings.Join(p.Addresses, " ")))
	if p.UserAgent != "" {
		a.out.printf("    agent      %s  (%s)\n", quote(p.UserAgent), p.Features)
	}
}
