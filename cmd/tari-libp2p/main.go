// Command tari-libp2p is a Tari node and its tools: run it, ping another, send a message, look into a peer book.
//
//	tari-libp2p run                        a node
//	tari-libp2p ping PUBKEY::ADDRESS       every stage of one connection, with its time
//	tari-libp2p demo                       two nodes in one process, offline
package main

import (
	"context"
	"io"
	"os"
	"slices"
	"strconv"
)

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	return newApp(stdin, stdout, stderr).run(ctx, args)
}

func newApp(stdin io.Reader, stdout, stderr io.Writer) *app {
	a := &app{stdin: stdin, out: &printer{w: stdout}, err: &printer{w: stderr}}
	a.options.logs = newLogs(a.err)
	return a
}

func (a *app) run(ctx context.Context, args []string) int {
	root := a.rootCommand()
	a.json, _ = strconv.ParseBool(os.Getenv(variable("json")))
	a.json = a.json || slices.Contains(args, "--json") // also for an error before the flags are read
	root.SetArgs(args)
	root.SetOut(a.out)
	root.SetErr(a.err)
	cmd, err := root.ExecuteContextC(ctx)
	if err != nil && !a.started {
		err = withUsage(cmd, err)
	}
	return a.report(err)
}
