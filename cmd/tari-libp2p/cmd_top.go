package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// topOptions are those of top alone.
type topOptions struct {
	every time.Duration
	count uint64 // 0: until Ctrl-C
	once  bool
}

// askTime is how long a node may take to answer top.
const askTime = 10 * time.Second

// overviewer asks for an overview, as node.Client does.
type overviewer func(context.Context) (node.Overview, error)

// topAbsent is what top prints as JSON when no node answers.
type topAbsent struct {
	Time    time.Time `json:"time"`
	Running bool      `json:"running"`
}

func (a *app) topCommand() *cobra.Command {
	var o topOptions
	c := &cobra.Command{
		Use:   "top",
		Short: "Look at our running node: connections, messages, peers, bans, events",
		Long: "Look at our running node: connections, messages, peers, bans and events, until q or Ctrl-C; ? shows the keys. A node\n" +
			"that goes away is waited for. Where standard output is no terminal, and with --json, --once or --count, it prints\n" +
			"what there is again and again instead.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.top(cmd.Context(), &o) },
	}
	a.options.folderFlags(c)
	o.every = 2 * time.Second
	c.Flags().Var((*period)(&o.every), "every", "ask the node after each `time`")
	c.Flags().Uint64Var(&o.count, "count", 0, "print what there is `N` times (default: until Ctrl-C)")
	c.Flags().BoolVar(&o.once, "once", false, "print what there is once")
	return c
}

func (a *app) top(ctx context.Context, o *topOptions) error {
	if o.once {
		o.count = 1
	}
	cfg, err := a.options.config()
	if err != nil {
		return err
	}
	ask := func(ctx context.Context) (node.Overview, error) { return overviewOf(ctx, cfg.DataDir) }
	model := &topModel{dir: cfg.DataDir, every: o.every}
	if !a.json && o.count == 0 {
		// Signals that would end the process before it gives the terminal back.
		ctx, stop := signal.NotifyContext(ctx, syscall.SIGHUP, syscall.SIGQUIT)
		defer stop()
		screen, err := terminal.Open(a.stdin, a.out.w, os.Getenv)
		if err == nil {
			return watchTop(ctx, screen, model, ask)
		}
		if !errors.Is(err, terminal.ErrNone) {
			return err
		}
	}
	return a.printTop(ctx, o, model, ask)
}

// overviewOf asks the node that runs in dir. Nothing is opened if none does: its folder stays free for it.
func overviewOf(ctx context.Context, dir string) (node.Overview, error) {
	ctx, cancel := context.WithTimeout(ctx, askTime)
	defer cancel()
	none := &node.Failure{Kind: node.FailUnreachable, Text: fmt.Sprintf(`no node runs in %s; "tari-libp2p run" starts one`, dir)}
	client, err := node.Reach(ctx, dir, func() (*node.Node, error) { return nil, none })
	if err != nil {
		return node.Overview{}, err
	}
	o, err := client.Overview(ctx)
	return o, errors.Join(err, client.Close())
}

// printTop prints what there is, again and again. If no node ever answered, that is the error.
func (a *app) printTop(ctx context.Context, o *topOptions, m *topModel, ask overviewer) error {
	answered := false
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	for n := uint64(1); o.count == 0 || n <= o.count; n++ {
		overview, err := ask(ctx)
		if ctx.Err() != nil {
			break // Ctrl-C is how it ends
		}
		answered = answered || err == nil
		if n == o.count && !answered {
			return err
		}
		m.take(overview, err, time.Now())
		if err != nil {
			err = a.printAbsent(err)
		} else {
			err = a.show(overview, func() { a.printPlain(m) })
		}
		if err != nil {
			return err
		}
		if n == o.count {
			break
		}
		select {
		case <-ctx.Done():
		case <-tick.C:
		}
	}
	return nil
}

// printAbsent prints why there was no answer.
func (a *app) printAbsent(why error) error {
	now := time.Now()
	if a.json {
		return a.out.json(topAbsent{Time: now.UTC()}, failureOf(why))
	}
	a.out.printf("%s no answer: %s\n", now.Format(time.DateTime), oneLine(why))
	return nil
}

func (a *app) printPlain(m *topModel) {
	var b strings.Builder
	for _, line := range m.plain() {
		b.WriteString(strings.TrimRight(line.String(), " ") + "\n")
	}
	a.out.printf("%s\n", b.String())
}

// watchTop shows a node on a screen until the user has had enough. The screen is as it was afterwards, whatever ended it.
func watchTop(ctx context.Context, screen *terminal.Screen, m *topModel, ask overviewer) error {
	defer screen.Close()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // before the screen waits for who asks
	loop := topLoop{model: m, ask: ask, start: screen.Go, keys: screen.Keys(), resized: screen.Resized()}
	return loop.run(ctx, func() error { return screen.Draw(m.view(screen.Size())) }, screen.Clear)
}

// topLoop asks, shows and obeys.
type topLoop struct {
	model   *topModel
	ask     overviewer
	start   func(func()) // a goroutine
	keys    <-chan terminal.Key
	resized <-chan os.Signal
}

// topAnswer is what came of asking.
type topAnswer struct {
	overview node.Overview
	err      error
}

// run draws whenever there is something new, until a key or ctx ends it.
func (l *topLoop) run(ctx context.Context, draw func() error, clean func()) error {
	answers := make(chan topAnswer, 1)
	asking := false
	askNow := func() {
		if asking || l.model.paused {
			return
		}
		asking = true
		l.start(func() {
			o, err := l.ask(ctx)
			answers <- topAnswer{o, err}
		})
	}
	tick := time.NewTicker(l.model.every)
	defer tick.Stop()
	askNow()
	for {
		if err := draw(); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			askNow()
		case a := <-answers:
			asking = false
			l.model.take(a.overview, a.err, time.Now())
		case <-l.resized:
		case k := <-l.keys:
			if k == terminal.CtrlL {
				clean()
			}
			if l.model.press(k) {
				return nil
			}
		}
	}
}
