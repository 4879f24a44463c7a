package main

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

func (a *app) runCommand() *cobra.Command {
	var start runSeeds
	var figures runMetrics
	var page runWeb
	var plain plainPeers // deletion test: plainlibp2p
	run := &cobra.Command{
		Use:   "run",
		Short: "Run a node until Ctrl-C",
		Long: "Run a node until Ctrl-C. On its first start it makes an identity. It prints its PUBKEY::ADDRESS, then\n" +
			"connections and messages as they come.",
		RunE: func(cmd *cobra.Command, _ []string) error {
			log := a.options.logs
			log.format.follow(a.json)
			p, err := a.plan(cmd, &start)
			if err != nil {
				return err
			}
			p.cfg.OnEvent = func(e node.Event) { a.event(log.of(logNode), e) }
			figures.prepare(&p.cfg)
			err = plain.prepare(&p.cfg) // deletion test: plainlibp2p
			if err != nil {
				return err
			}
			n, err := node.New(p.cfg)
			if err != nil {
				return err
			}
			err = plain.begin(n) // deletion test: plainlibp2p
			if err == nil {
				err = n.Start(cmd.Context())
			}
			if err == nil {
				n.HandleLog(log.levels.change)
				err = n.ServeControl()
			}
			if err == nil {
				_, err = n.AddSeeds(p.seeds)
			}
			if err == nil {
				err = plain.tell(a, n) // deletion test: plainlibp2p
			}
			if err == nil {
				err = figures.begin(a, n, log.of(logMetrics))
			}
			if err == nil {
				err = page.begin(a, n, log.of(logWeb))
			}
			if err != nil {
				page.end()
				figures.end()
				plain.end() // deletion test: plainlibp2p
				n.Close()
				return err
			}
			boss := supervisorOf(os.Getenv, log.of(logService))
			boss.say("READY=1")
			var watched sync.WaitGroup
			watched.Go(func() { boss.watch(cmd.Context(), n.Status) })
			if len(p.look.Names) > 0 {
				a.findSeedsFor(cmd.Context(), n, p.look, log.of(logSeeds))
			}
			<-cmd.Context().Done()
			boss.say("STOPPING=1")
			watched.Wait()
			page.end()
			figures.end()
			plain.end() // deletion test: plainlibp2p
			return closeInTime(n)
		},
	}
	a.options.nodeFlags(run)
	start.flags(run)
	figures.flags(run)
	page.flags(run)
	plain.flags(run) // deletion test: plainlibp2p
	return run
}

// plan is what the command line says of a node to run.
type plan struct {
	cfg   node.Config
	seeds []tari.Address // given
	look  seeds.Config   // where to look for more; without Names nowhere
}

// plan reads the options of run. Errors are usage errors.
func (a *app) plan(cmd *cobra.Command, start *runSeeds) (p plan, err error) {
	if p.cfg, err = a.options.nodeConfig(cmd); err != nil {
		return p, err
	}
	log := a.options.logs.of(logSeeds)
	if p.seeds, err = a.given(start, log); err != nil {
		return p, err
	}
	p.look, err = start.lookup(&p.cfg, log)
	return p, err
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
		return fmt.Sprintf("%s message      from %s, %s: %s\n", at, e.Peer, count(*e.Size, "byte"), preview(e.Message))
	case node.EventBanned:
		return fmt.Sprintf("%s banned       %s %s: %s\n", at, e.Peer, banText(e.Seconds), quote(e.Error))
	case node.EventUnbanned:
		return fmt.Sprintf("%s unbanned     %s\n", at, e.Peer)
	case node.EventSpared:
		return fmt.Sprintf("%s spared       %s, which is on the allow list: %s\n", at, e.Peer, quote(e.Error))
	case node.EventStateChanged:
		return fmt.Sprintf("%s %-12s connected to %s\n", at, e.State, count(*e.Nodes, "node"))
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
		return fmt.Sprintf("%s\nlistening nowhere; Ctrl-C ends it\n", e.Peer)
	}
	text := e.Addresses[0] + "\n"
	for _, other := range e.Addresses[1:] {
		text += "also " + other + "\n"
	}
	return text + "running; Ctrl-C ends it\n"
}
