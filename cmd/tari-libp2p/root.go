package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// app is what all commands share.
type app struct {
	stdin    io.Reader
	out, err *printer
	json     bool
	options  options
	layers   layers
	started  bool // a command's own code has begun: errors are not about usage by themselves
}

func (a *app) rootCommand() *cobra.Command {
	root := &cobra.Command{
		Use:   "tari-libp2p",
		Short: "A Tari node on go-libp2p's swarm, and its tools",
		Long: "A Tari node on go-libp2p's swarm, and its tools.\n\n" +
			"Start one with \"tari-libp2p run\", look at it offline with \"tari-libp2p demo\", or go through\n" +
			"the stages of a connection to somebody else's with \"tari-libp2p ping PUBKEY::ADDRESS\".",
		Args:          cobra.NoArgs,
		SilenceErrors: true,
		SilenceUsage:  true,
		PersistentPreRunE: func(cmd *cobra.Command, _ []string) error {
			a.started = true
			return a.layer(cmd)
		},
		RunE: func(cmd *cobra.Command, _ []string) error {
			return cmd.Help()
		},
	}
	root.PersistentFlags().BoolVar(&a.json, "json", false, "print JSON: one object, or one a line for what goes on")
	root.AddCommand(
		a.runCommand(), a.pingCommand(), a.sendCommand(), a.livenessCommand(), a.demoCommand(),
		a.identityCommand(), a.peersCommand(), a.banCommand(), a.unbanCommand(), a.seedsCommand(), a.statusCommand(), a.connectionsCommand(), a.dialCommand(), a.watchCommand(), a.doctorCommand(), a.logCommand(), a.torCommand(), a.tipCommand(), a.forkCheckCommand(), a.headersCommand(), a.blocksCommand(), a.rpcCommand(), a.conformanceCommand(), a.crawlCommand(), a.versionCommand(),
		a.configCommand(), a.topCommand(), a.explainCommand(),
	)
	a.configFlags(root)
	a.completeAll(root)
	return root
}

// report prints the error that a command ended with, if any, and gives the exit code.
func (a *app) report(err error) int {
	if err == nil {
		return exitOK
	}
	var known reported
	if errors.As(err, &known) {
		return exitCode(known.Kind)
	}
	failure := failureOf(err)
	failure.Text += a.origins(failure.Text)
	if a.json {
		if err := a.out.json(failure); err != nil {
			return exitOther
		}
	} else {
		a.err.printf("tari-libp2p: %s\n", oneLine(failure))
	}
	return exitCode(failure.Kind)
}

// failureOf is what a user is told of an error.
func failureOf(err error) *node.Failure {
	failure := *node.FailureOf(err)
	if errors.As(err, new(usageError)) {
		failure = node.Failure{Kind: node.FailUsage, Text: err.Error()}
	}
	failure.Text = strings.TrimPrefix(failure.Text, "node: ")
	return &failure
}

// withUsage makes what is wrong with a command line a usage error that says how to write it.
func withUsage(cmd *cobra.Command, err error) error {
	switch {
	case cmd.HasSubCommands():
		return usagef("%w; \"%s --help\" lists the commands", err, cmd.CommandPath())
	case errors.As(err, new(*pflag.NotExistError)):
		return usagef("%w; \"%s --help\" lists the options", err, cmd.CommandPath())
	case errors.As(err, new(*pflag.InvalidValueError)):
		return usageError{err} // it says what may stand there
	}
	return usagef("%w; usage: %s", err, cmd.UseLine())
}

// usageError is a fault of the command line that a command found itself.
type usageError struct{ error }

// reported is an error that was printed already.
type reported struct{ *node.Failure }

func usagef(format string, args ...any) error { return usageError{fmt.Errorf(format, args...)} }

// show prints v as JSON, or lets text print it.
func (a *app) show(v any, text func()) error {
	if a.json {
		return a.out.json(v)
	}
	text()
	return nil
}

// showFailed is show for the answer of a command that failed with err. As JSON the two are one object.
func (a *app) showFailed(v any, err error, text func()) error {
	if !a.json {
		text()
		return err
	}
	failure := failureOf(err)
	if err := a.out.json(v, failure); err != nil {
		return err
	}
	return reported{failure}
}

// opener opens the data folder where no node runs: node.Open, or node.Errand.
type opener func(node.Config) (*node.Node, error)

// ask makes one request of the node in the data folder, running or not, and shows the answer when all that was opened for it is
// closed without an error. A request is written as methods of node.Client are: (*node.Client).Status.
func ask[T any](ctx context.Context, a *app, open opener, request func(*node.Client, context.Context) (T, error), text func(T)) error {
	var answer T
	err := a.withNode(ctx, open, func(c *node.Client) (err error) {
		answer, err = request(c, ctx)
		return err
	})
	if err != nil {
		return err
	}
	return a.show(answer, func() { text(answer) })
}

// askAbout is ask for a request about a PEER.
func askAbout[T any](ctx context.Context, a *app, open opener, peer string, request func(*node.Client, context.Context, string) (T, error), text func(T)) error {
	if err := checkName(peer); err != nil {
		return err
	}
	return ask(ctx, a, open, func(c *node.Client, ctx context.Context) (T, error) { return request(c, ctx, peer) }, text)
}

// onErrand is ask for what needs a node that dials: the running one, or else one that is started for it.
func onErrand[T any](ctx context.Context, a *app, timeout time.Duration, request func(*node.Client, context.Context) (T, error), text func(T)) error {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	ours := false
	open := func(cfg node.Config) (*node.Node, error) {
		n, err := node.Errand(ctx, cfg)
		ours = err == nil
		return n, err
	}
	return ask(ctx, a, open, func(c *node.Client, ctx context.Context) (answer T, err error) {
		if a.options.tor.SOCKS != "" && !ours && !a.layered("socks") { // a file says it for commands that dial themselves
			return answer, usagef("the node that runs here dials in its own way: leave out --socks, or choose another --data-dir")
		}
		return request(c, ctx)
	}, text)
}

// withNode runs f with a client of the node in the data folder, running or not.
func (a *app) withNode(ctx context.Context, open opener, f func(*node.Client) error) error {
	cfg, err := a.options.config()
	noProxy := errors.Is(err, errNoProxy) && a.layered("tor-only") // which does not matter to a node that runs
	if err != nil && !noProxy {
		return err
	}
	client, err := node.Reach(ctx, cfg.DataDir, func() (*node.Node, error) {
		if noProxy {
			return nil, errNoProxy
		}
		return open(cfg)
	})
	if err != nil {
		return err
	}
	return errors.Join(f(client), client.Close())
}
