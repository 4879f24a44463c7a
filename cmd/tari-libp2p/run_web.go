package main

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/internal/webstatus"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// webDefault is where --web serves the page when nothing is said.
const webDefault = "127.0.0.1:9108"

// runWeb is the option --web of run.
type runWeb struct {
	addr   metricsAddr
	server *webstatus.Server
}

func (w *runWeb) flags(cmd *cobra.Command) {
	cmd.Flags().Var(&w.addr, "web", "serve a page that shows how the node is, at `[HOST:]PORT`; without a host to this machine alone")
	cmd.Flags().Lookup("web").NoOptDefVal = webDefault
	cmd.Args = w.args
}

// args lets no argument through but the value of --web. The parser of options takes a value that may be left out only behind a "=", and that is not how
// people write the others.
func (w *runWeb) args(cmd *cobra.Command, args []string) error {
	if web := cmd.Flags().Lookup("web"); len(args) == 1 && web.Changed && w.addr == webDefault && web.Value.Set(args[0]) == nil {
		return nil
	}
	return cobra.NoArgs(cmd, args)
}

// begin serves the page of a node that has started, and says where.
func (w *runWeb) begin(a *app, n *node.Node, log *slog.Logger) (err error) {
	if w.addr == "" {
		return nil
	}
	if w.server, err = webstatus.Serve(string(w.addr), n, schema); err != nil {
		return &node.Failure{Kind: node.FailOther, Text: fmt.Sprintf("%v; --web says where", err)} // no peer of ours is unreachable
	}
	warnIfOpen(log, w.server.Addr(), "the status page has")
	ready := served{Time: time.Now().UTC(), Event: "web", Address: "http://" + w.server.Addr().String() + webstatus.PagePath}
	return a.show(ready, func() { a.out.printf("status page at %s\n", ready.Address) })
}

// end is called before the node is closed: it is asked until then.
func (w *runWeb) end() {
	if w.server != nil {
		_ = w.server.Close() // says why it had ended, when nobody asks it any more
	}
}
