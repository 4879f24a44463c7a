package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) runCommand() *cobra.Command {
	o := &a.options
	var start runSeeds
	run := &cobra.Command{
		Use:   "run",
		Short: "Run a node until Ctrl-C",
		Long: "Run a node until Ctrl-C. On its first start it makes an identity. It prints its PUBKEY::ADDRESS, then\n" +
			"connections and messages as they come.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			cfg, err := o.config()
			if err != nil {
				return err
			}
			if !cmd.Flags().Changed("listen") && !cfg.Tor.Service {
				cfg.Listen = defaultListen(cfg.Network.Port)
			}
			log, err := a.logger()
			if err != nil {
				return err
			}
			given, err := a.given(&start, log)
			if err != nil {
				return err
			}
			look, err := start.lookup(&cfg, log)
			if err != nil {
				return err
			}
			cfg.OnEvent = func(e node.Event) { a.event(log, e) }
			n, err := node.Start(cmd.Context(), cfg)
			if err != nil {
				return err
			}
			if err = n.ServeControl(); err == nil {
				_, err = n.AddSeeds(given)
			}
			if err != nil {
				n.Close()
				return err
			}
			if len(look.Names) > 0 {
				a.findSeedsFor(cmd.Context(), n, look, log)
			}
			<-cmd.Context().Done()
			return closeInTime(n)
		},
	}
	o.folderFlags(run)
	o.dialFlags(run)
	o.torFlags(run)
	o.limitFlags(run)
	start.flags(run)
	run.Flags().StringSliceVar(&o.accept, "accept", nil, "also accept these `networks` on the same port")
	run.Flags().StringSliceVar(&o.listen, "listen", nil, "`multiaddr` to listen on (repeatable; default: the network's port on all interfaces; \"\" = nowhere)")
	run.Flags().StringArrayVar(&o.peers, "peer", nil, "`PUBKEY::ADDRESS` to stay connected to (repeatable)")
	run.Flags().StringVar(&o.log, "log", "warn", "`level` of the log on standard error: debug, info, warn, error, off")
	return run
}

// closeLimit is how long Ctrl-C may take, whatever peers do.
const closeLimit = 1900 * time.Millisecond

// closeInTime closes the node. Peers that do not read can hold that up; after closeLimit the process ends without them, which the
// data folder survives as it survives a crash.
func closeInTime(n *node.Node) error {
	closed := make(chan error, 1)
	go func() { closed <- n.Close() }() // ends with the process if not before
	select {
	case err := <-closed:
		return err
	case <-time.After(closeLimit):
		return errors.New("a peer did not take everything in time; it was cut off")
	}
}

func defaultListen(port int) []ma.Multiaddr {
	return []ma.Multiaddr{
		ma.StringCast(fmt.Sprintf("/ip4/0.0.0.0/tcp/%d", port)),
		ma.StringCast(fmt.Sprintf("/ip6/::/tcp/%d", port)),
	}
}

// logger logs to standard error, as JSON if the output is.
func (a *app) logger() (*slog.Logger, error) {
	if a.options.log == "off" {
		return slog.New(slog.DiscardHandler), nil
	}
	var level slog.Level
	if err := level.UnmarshalText([]byte(a.options.log)); err != nil {
		return nil, usagef("--log %s: one of debug, info, warn, error, off", quote(a.options.log))
	}
	if a.json {
		return slog.New(slog.NewJSONHandler(a.err, &slog.HandlerOptions{Level: level})), nil
	}
	return slog.New(slog.NewTextHandler(a.err, &slog.HandlerOptions{Level: level})), nil
}

// event prints what a user of run wants to see as it comes, and logs the rest.
func (a *app) event(log *slog.Logger, e node.Event) {
	if e.Kind == node.EventRefused {
		log.Info("connection refused", "direction", e.Direction, "address", e.Address, "peer", e.Peer, "err", e.Error)
		return
	}
	if e.Kind == node.EventRefusals {
		var counts []any
		for _, reason := range slices.Sorted(maps.Keys(e.Refused)) {
			counts = append(counts, string(reason), e.Refused[reason], "raise_"+string(reason), raise(reason))
		}
		log.Warn("inbound connections refused in the last minute", counts...)
		return
	}
	if a.json {
		if err := a.out.json(e); err != nil {
			log.Error("output", "err", err)
		}
		return
	}
	a.out.printf("%s", eventText(e))
}

// eventText shows an event on one line, or two.
func eventText(e node.Event) string {
	at := e.Time.Format(time.TimeOnly)
	switch e.Kind {
	case node.EventReady:
		return readyText(e)
	case node.EventConnected:
		return fmt.Sprintf("%s connected    %s %s %s, %s, %s\n", at, e.Direction, e.Peer, e.Address, e.Dialect, quote(e.UserAgent))
	case node.EventDisconnected:
		return fmt.Sprintf("%s disconnected %s %s %s\n", at, e.Direction, e.Peer, e.Address)
	case node.EventMessage:
		return fmt.Sprintf("%s message      from %s, %s: %s\n", at, e.Peer, bytesText(*e.Size), preview(e.Message))
	case node.EventBanned:
		return fmt.Sprintf("%s banned       %s %s: %s\n", at, e.Peer, banText(e.Seconds), quote(e.Error))
	case node.EventUnbanned:
		return fmt.Sprintf("%s unbanned     %s\n", at, e.Peer)
	case node.EventStateChanged:
		return fmt.Sprintf("%s %-12s connected to %d nodes\n", at, e.State, *e.Nodes)
	case node.EventDialFailed:
		return fmt.Sprintf("%s dial failed  %s: %s\n", at, e.Peer, quote(e.Error))
	case node.EventTor:
		if e.Error != "" {
			return fmt.Sprintf("%s tor          waiting: %s\n", at, quote(e.Error))
		}
		return fmt.Sprintf("%s tor          serves %s\n", at, e.Address)
	case node.EventIdentityBackup:
		return fmt.Sprintf("%s warning: the identity file was damaged; it is now %s, and the node has a new identity\n", at, e.Path)
	default:
		return fmt.Sprintf("%s %s %s\n", at, e.Kind, e.Peer)
	}
}

func readyText(e node.Event) string {
	if len(e.Addresses) == 0 {
		return fmt.Sprintf("%s::\nlistening nowhere; Ctrl-C ends it\n", e.Peer)
	}
	text := e.Addresses[0] + "\n"
	for _, other := range e.Addresses[1:] {
		text += "also " + other + "\n"
	}
	return text + "running; Ctrl-C ends it\n"
}
