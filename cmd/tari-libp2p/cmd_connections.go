package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// connectionList is what "connections --json" prints.
type connectionList struct {
	Running     bool                  `json:"running"`
	Connections []node.ConnectionInfo `json:"connections"`
}

func (a *app) connectionsCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "connections",
		Short: "List the connections of our running node",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			list := func(c *node.Client, ctx context.Context) (connectionList, error) {
				s, err := c.Status(ctx)
				return connectionList{s.Running, s.Connections}, err
			}
			return ask(cmd.Context(), a, node.Open, list, a.printConnections)
		},
	}
	a.options.folderFlags(c)
	return c
}

func (a *app) printConnections(s connectionList) {
	switch {
	case !s.Running:
		a.out.printf("no node runs\n")
	case len(s.Connections) == 0:
		a.out.printf("no connections\n")
	}
	for _, c := range s.Connections {
		a.out.printf("%-8s %s %s %s\n         node id %s, %s, %s, %s, for %s\n", c.Direction, c.Peer, c.Address, quote(c.UserAgent),
			c.NodeID, c.Dialect, c.Features, count(c.Streams, "stream"), time.Duration(c.AgeSec)*time.Second)
	}
}

func (a *app) dialCommand() *cobra.Command {
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "dial PEER",
		Short: "Connect to a peer, from the running node if there is one",
		Long: "Connect to a peer, from the running node if there is one, which keeps the connection; else the connection ends\n" +
			"with the command. If it fails, it says at which address which stage failed and why.\n" + peerHelp,
		Args: cobra.ExactArgs(1),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkName(args[0]); err != nil {
				return err
			}
			dial := func(c *node.Client, ctx context.Context) (node.Dialed, error) { return c.Dial(ctx, args[0]) }
			return onErrand(cmd.Context(), a, timeout, dial, func(d node.Dialed) {
				verb := "connected to"
				if d.Already {
					verb = "was connected to"
				}
				a.out.printf("%s %s at %s, %s, %s, in %d ms\n", verb, d.Peer, d.Address, d.Dialect, quote(d.UserAgent), d.ElapsedMS)
			})
		},
	}
	a.options.errandFlags(c, &timeout)
	return c
}

func (a *app) watchCommand() *cobra.Command {
	c := &cobra.Command{
		Use:   "watch",
		Short: "Show the events of our running node as they come, until Ctrl-C",
		Long: "Show the events of our running node as they come, until Ctrl-C or the node's end. A watcher that is too slow\n" +
			"misses some, and is told how many; the node waits for nobody.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			err := a.withNode(cmd.Context(), node.Open, func(c *node.Client) error {
				return c.Watch(cmd.Context(), a.watched)
			})
			if cmd.Context().Err() != nil && errors.Is(err, context.Canceled) {
				return nil // Ctrl-C is how it ends
			}
			return err
		},
	}
	a.options.folderFlags(c)
	return c
}

// watched prints any event, those too that run only logs.
func (a *app) watched(e node.Event) {
	if a.json {
		_ = a.out.json(e) // a reader that has gone ends the command by a signal
		return
	}
	at := e.Time.Format(time.TimeOnly)
	switch e.Kind {
	case node.EventRefused:
		a.out.printf("%s refused      %s %s %s: %s\n", at, e.Direction, e.Peer, e.Address, quote(e.Error))
	case node.EventRefusals:
		var counts []string
		for _, reason := range slices.Sorted(maps.Keys(e.Refused)) {
			counts = append(counts, fmt.Sprintf("%d %s", e.Refused[reason], reason))
		}
		a.out.printf("%s refused      in the last minute: %s\n", at, strings.Join(counts, ", "))
	case node.EventMissed:
		a.out.printf("%s missed       %s\n", at, count(e.Missed, "event"))
	default:
		a.out.printf("%s", eventText(e))
	}
}
