package main

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

func (a *app) banCommand() *cobra.Command {
	var reason string
	length := banLength(time.Hour)
	ban := &cobra.Command{
		Use:   "ban PEER",
		Short: "Shut a peer out for a time, and end its connections",
		Long: "Shut a peer out for a time, and end its connections. A ban survives restarts; one that holds longer is never\n" +
			"shortened: unban the peer first. A peer that nobody knows yet is banned by its public key.\n" + peerHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			ban := func(c *node.Client, ctx context.Context, peer string) (node.Banned, error) {
				return c.Ban(ctx, peer, time.Duration(length), reason)
			}
			return askAbout(cmd.Context(), a, node.Open, args[0], ban, func(b node.Banned) {
				a.printBan(b)
				if b.Closed > 0 {
					a.out.printf("    connections ended: %d\n", b.Closed)
				}
			})
		},
	}
	a.options.folderFlags(ban)
	ban.Flags().Var(&length, "for", "how long: a `time` such as 30m, 12h or 7d, or \"forever\"")
	ban.Flags().StringVar(&reason, "reason", "by hand", "`text` to remember it by")
	return ban
}

func (a *app) unbanCommand() *cobra.Command {
	all := false
	unban := &cobra.Command{
		Use:   "unban PEER|--all",
		Short: "Let a banned peer in again, or all of them",
		Long:  "Let a banned peer in again, or with --all every one, whether you banned it or the node did.\n" + peerHelp,
		Args:  cobra.MaximumNArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			switch { // --all may come from elsewhere than the command line, which is known only now
			case all && len(args) > 0:
				return withUsage(cmd, errors.New("either a peer or --all"))
			case !all && len(args) == 0:
				return withUsage(cmd, cobra.ExactArgs(1)(cmd, args))
			}
			if all {
				return ask(cmd.Context(), a, node.Open, (*node.Client).UnbanAll, func(u node.UnbannedAll) {
					a.out.printf("bans lifted: %d\n", u.Lifted)
				})
			}
			return askAbout(cmd.Context(), a, node.Open, args[0], (*node.Client).Unban, func(u node.Unbanned) {
				if u.WasBanned {
					a.out.printf("%s  not banned any more\n", u.PublicKey)
				} else {
					a.out.printf("%s  was not banned\n", u.PublicKey)
				}
			})
		},
	}
	a.options.folderFlags(unban)
	unban.Flags().BoolVar(&all, "all", false, "lift every ban")
	return unban
}

func (a *app) peersBannedCommand() *cobra.Command {
	banned := &cobra.Command{
		Use:   "banned",
		Short: "List the peers that are banned",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, node.Open, (*node.Client).Bans, func(list node.BanList) {
				if len(list.Bans) == 0 {
					a.out.printf("nobody is banned\n")
				}
				for _, b := range list.Bans {
					a.printBan(b)
				}
			})
		},
	}
	a.options.folderFlags(banned)
	return banned
}

func (a *app) printBan(b node.Banned) {
	a.out.printf("%s  %s\n", b.PublicKey, bannedText(b.Banned))
	a.out.printf("    node id    %s\n", b.NodeID)
}

// bannedText says how a ban is, "not banned" for nil.
func bannedText(b *node.BanInfo) string {
	if b == nil {
		return "not banned"
	}
	return "banned " + untilText(b.Until) + ": " + quote(b.Reason)
}

// forever is from when on the end of a ban is called so: nobody will see it.
const forever = 100 * 365 * 24 * time.Hour

func untilText(until time.Time) string {
	if time.Until(until) > forever {
		return "forever"
	}
	return "until " + until.Local().Format(time.DateTime)
}

// banText says how long a ban is, in seconds.
func banText(seconds int64) string {
	if seconds > int64(forever/time.Second) {
		return "forever"
	}
	return "for " + (time.Duration(seconds) * time.Second).String()
}

// banLength is the value of --for: a Go duration, whole days such as 7d, or forever.
type banLength time.Duration

func (l *banLength) Type() string { return "time" }

func (l *banLength) String() string {
	if time.Duration(*l) == peerbook.Forever {
		return "forever"
	}
	text := time.Duration(*l).String()
	for _, zero := range []string{"m0s", "h0m"} {
		if strings.HasSuffix(text, zero) {
			text = text[:len(text)-2]
		}
	}
	return text
}

func (l *banLength) Set(text string) error {
	d, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); ok {
		var n uint16
		n, err = parseDays(days)
		d = time.Duration(n) * 24 * time.Hour
	}
	if text == "forever" {
		d, err = peerbook.Forever, nil
	}
	if err != nil || d < time.Second {
		return fmt.Errorf("a time of at least a second, such as 30m, 12h or 7d, or forever")
	}
	*l = banLength(d)
	return nil
}

func parseDays(text string) (uint16, error) {
	n, err := strconv.ParseUint(text, 10, 16) // 65,535 days fit a Duration
	return uint16(n), err
}
