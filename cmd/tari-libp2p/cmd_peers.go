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
			if err := checkPeer(args[0]); err != nil {
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
	peers.AddCommand(list, add, a.peersBannedCommand())
	return peers
}

// peerHelp says what a PEER is.
const peerHelp = "PEER is a public key, a node id, the beginning of either that no other peer has, or PUBKEY::ADDRESS."

// checkName makes what cannot name a peer a usage error before anything is opened.
func checkName(text string) error {
	if err := node.CheckPeer(text); err != nil {
		return usagef("%s: %w", quote(text), err)
	}
	return nil
}

// checkPeer is checkName where a peer is introduced: PUBKEY::ADDRESS.
func checkPeer(text string) error {
	addr, err := tari.ParseAddress(text)
	if err != nil {
		return usagef("%s: %w", quote(text), err)
	}
	if len(addr.Addrs) == 0 {
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
		state = bannedText(p.Banned)
	}
	a.out.printf("%s  %s\n", p.PublicKey, state)
	a.out.printf("    node id    %s\n", p.NodeID)
	a.out.printf("    addresses  %s\n", none(strings.Join(p.Addresses, " ")))
	if p.UserAgent != "" {
		a.out.printf("    agent      %s  (%s)\n", quote(p.UserAgent), p.Features)
	}
}
