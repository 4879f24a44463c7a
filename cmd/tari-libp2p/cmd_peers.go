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
			return ask(cmd.Context(), a, node.Open, (*node.Client).Peers, func(book node.PeerList) {
				if len(book.Peers) == 0 {
					a.out.printf("no peers yet; \"tari-libp2p peers add PUBKEY::ADDRESS\" adds one\n")
				}
				for _, p := range book.Peers {
					a.printPeer(p)
				}
			})
		},
	}
	add := &cobra.Command{
		Use:   "add PUBKEY::ADDRESS[::ADDRESS…]",
		Short: "Put a peer into the book",
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if _, err := parsePeer(args[0]); err != nil {
				return err
			}
			return askAbout(cmd.Context(), a, node.Open, args[0], (*node.Client).AddPeer, a.printPeer)
		},
	}
	a.options.folderFlags(list)
	a.options.folderFlags(add)
	peers.AddCommand(list, add, a.peersGetCommand(), a.peersRmCommand(), a.peersBannedCommand(),
		a.peersAllowCommand(), a.peersDisallowCommand(), a.peersAllowedCommand(), a.peersExportCommand(), a.peersImportCommand())
	return peers
}

func (a *app) peersGetCommand() *cobra.Command {
	get := &cobra.Command{
		Use:   "get PEER",
		Short: "Show all that the book knows of a peer",
		Long:  "Show all that the book knows of a peer.\n" + peerHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askAbout(cmd.Context(), a, node.Open, args[0], (*node.Client).Peer, a.printDetail)
		},
	}
	a.options.folderFlags(get)
	return get
}

func (a *app) peersRmCommand() *cobra.Command {
	rm := &cobra.Command{
		Use:   "rm PEER",
		Short: "Forget a peer, but not its ban",
		Long:  "Forget a peer, but not its ban; it is on the allow list no longer. A peer that is connected comes back with its next connection.\n" + peerHelp,
		Args:  cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			return askAbout(cmd.Context(), a, node.Open, args[0], (*node.Client).RemovePeer, func(r node.Removed) {
				a.out.printf("%s  removed\n", r.PublicKey)
				if r.Connected {
					a.out.printf("    it is connected; its next connection brings it back (\"tari-libp2p ban\" shuts it out)\n")
				}
			})
		},
	}
	a.options.folderFlags(rm)
	return rm
}

// peerHelp says what a PEER is.
const peerHelp = "PEER is a public key, a node id, the beginning of either that no other peer has, or PUBKEY::ADDRESS."

// addressHelp says what PUBKEY::ADDRESS is.
const addressHelp = "PUBKEY::ADDRESS is 64 hexadecimal characters, ::, and a multiaddr such as /ip4/1.2.3.4/tcp/18189"

// checkName makes what cannot name a peer a usage error before anything is opened.
func checkName(text string) error {
	if err := node.CheckPeer(text); err != nil {
		return usagef("%s: %w. %s", quote(text), err, peerHelp)
	}
	return nil
}

// parsePeer reads PUBKEY::ADDRESS, where a peer is introduced. Errors are usage errors.
func parsePeer(text string) (tari.Address, error) {
	peer, err := tari.ParseAddress(text)
	if err != nil {
		return peer, usagef("%s: %w; %s", quote(text), err, addressHelp)
	}
	if len(peer.Addrs) == 0 {
		return peer, usagef("%s has no address; %s", quote(text), addressHelp)
	}
	return peer, nil
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

// printDetail prints a peer with all that is known of it.
func (a *app) printDetail(p node.PeerDetail) {
	a.printPeer(p.PeerInfo)
	a.out.printf("    peer id    %s\n", p.PeerID)
	a.out.printf("    protocols  %s\n", none(strings.Join(p.Protocols, " ")))
	if p.Network != "" {
		a.out.printf("    met in     %s\n", p.Network)
	}
	if p.Seed {
		a.out.printf("    seed       yes\n")
	}
	if p.Allowed {
		a.out.printf("    allowed    yes\n")
	}
	if p.Added != nil {
		a.out.printf("    added      %s\n", timeText(p.Added))
	}
	a.out.printf("    last seen  %s\n", timeText(p.LastSeen))
	if p.Claim == nil {
		a.out.printf("    claim      none that is signed\n")
	} else {
		a.out.printf("    claim      signed %s: %s; %s\n", timeText(&p.Claim.Updated), none(p.Claim.Features), none(strings.Join(p.Claim.Addresses, " ")))
	}
	for _, d := range p.Dials {
		a.out.printf("    address    %s, %s; reached %s", d.Address, d.Source, timeText(d.LastSeen))
		if d.LastSeen != nil {
			a.out.printf(" in %s", time.Duration(d.TookUS)*time.Microsecond)
		}
		a.out.printf("; dials %d, failed since %d\n", d.Attempts, d.Failures)
		if d.Failure != "" {
			a.out.printf("               failed %s: %s\n", timeText(d.LastFail), quote(d.Failure))
		}
	}
}

func timeText(t *time.Time) string {
	if t == nil {
		return "never"
	}
	return t.Local().Format(time.DateTime)
}
