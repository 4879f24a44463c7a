package main

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/metrics"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// metricsAddr is [HOST:]PORT, without a host on loopback; or nothing.
type metricsAddr string

func (m *metricsAddr) Type() string   { return "[HOST:]PORT" }
func (m *metricsAddr) String() string { return string(*m) }

func (m *metricsAddr) Set(text string) error {
	host, port, err := net.SplitHostPort(text)
	if err != nil {
		host, port = "", text
	}
	if _, wrong := strconv.ParseUint(port, 10, 16); wrong != nil && text != "" {
		return errors.New("PORT or HOST:PORT, such as 9107 or 127.0.0.1:9107")
	}
	switch {
	case text == "":
		*m = ""
	case host == "":
		*m = metricsAddr(net.JoinHostPort("127.0.0.1", port))
	default:
		*m = metricsAddr(text)
	}
	return nil
}

// runMetrics is the option --metrics-addr of run.
type runMetrics struct {
	addr   metricsAddr
	events *metrics.Events
	server *metrics.Server
}

func (m *runMetrics) flags(cmd *cobra.Command) {
	cmd.Flags().Var(&m.addr, "metrics-addr", "serve metrics to Prometheus at `[HOST:]PORT`; without a host to this machine alone")
}

// prepare counts the node's events from the first on.
func (m *runMetrics) prepare(cfg *node.Config) {
	if m.addr == "" {
		return
	}
	m.events = metrics.NewEvents()
	tell := cfg.OnEvent
	cfg.OnEvent = func(e node.Event) {
		m.events.Observe(e)
		tell(e)
	}
}

// served is what run prints about what it serves besides the node: metrics, or the status page.
type served struct {
	Time    time.Time `json:"time"`
	Event   string    `json:"event"`
	Address string    `json:"address"`
}

// begin serves the metrics of a node that has started, and says where.
func (m *runMetrics) begin(a *app, n *node.Node, log *slog.Logger) (err error) {
	if m.addr == "" {
		return nil
	}
	if m.server, err = metrics.Serve(string(m.addr), m.events, metrics.Node(n)); err != nil {
		return &node.Failure{Kind: node.FailOther, Text: fmt.Sprintf("%v; --metrics-addr says where", err)} // no peer of ours is unreachable
	}
	warnIfOpen(log, m.server.Addr(), "the metrics have")
	ready := served{Time: time.Now().UTC(), Event: "metrics", Address: "http://" + m.server.Addr().String() + metrics.Path}
	return a.show(ready, func() { a.out.printf("metrics at %s\n", ready.Address) })
}

// warnIfOpen warns when others than this machine may see what is served.
func warnIfOpen(log *slog.Logger, addr net.Addr, has string) {
	if at, ok := addr.(*net.TCPAddr); ok && !at.IP.IsLoopback() {
		log.Warn(has+" no password: whoever reaches this address sees all", "address", at)
	}
}

// end is called before the node is closed: its parts answer until then.
func (m *runMetrics) end() {
	if m.server != nil {
		_ = m.server.Close() // says why it had ended, when nobody asks it any more
	}
}
