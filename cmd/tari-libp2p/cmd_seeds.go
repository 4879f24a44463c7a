package main

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/seeds"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// seedOptions say where to look for seeds.
type seedOptions struct {
	names, servers, files, anchors []string
	dnssec, add                    bool
	timeout                        time.Duration
}

// seedReport is what the command prints with --json.
type seedReport struct {
	Sources []seedSource `json:"sources"`
	Peers   int          `json:"peers"` // different ones
	Added   int          `json:"added"` // with --add
}

type seedSource struct {
	Name    string         `json:"name"`
	Server  string         `json:"server,omitempty"`
	TookUS  int64          `json:"took_us"`
	Peers   []string       `json:"peers"`
	Bad     []badSeed      `json:"bad"`
	Failed  []failedServer `json:"failed"`
	Dropped int            `json:"dropped,omitempty"`
}

type badSeed struct {
	Record int    `json:"record"`
	Error  string `json:"error"`
}

type failedServer struct {
	Server string `json:"server"`
	Error  string `json:"error"`
}

func (a *app) seedsCommand() *cobra.Command {
	var o seedOptions
	cmd := &cobra.Command{
		Use:   "seeds",
		Short: "Find the peers that a node starts from",
		Long: "Find the peers that a node starts from, in the TXT records of the network's names, or of those given, and in\n" +
			"files. Each source is reported: who answered, what was no peer, which servers failed. Nothing is kept but with\n" +
			"--add. With --socks no name is asked for but through the proxy, by TCP, of servers given with --dns-server.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return a.findSeeds(cmd, &o) },
	}
	a.options.folderFlags(cmd)
	a.options.socksFlag(cmd)
	o.flags(cmd)
	f := cmd.Flags()
	f.BoolVar(&a.options.allowTest, "allow-test-addresses", false, "take internal addresses (loopback, private) from names too; for test networks")
	f.BoolVar(&o.add, "add", false, "put what was found into the peer book")
	o.timeout = seeds.DefaultTimeout
	f.Var((*period)(&o.timeout), "timeout", "`time` that one server has for one name")
	return cmd
}

// flags are the options of seeds and run.
func (o *seedOptions) flags(cmd *cobra.Command) {
	f := cmd.Flags()
	f.StringSliceVar(&o.names, "dns-seed", nil, "`name` to ask for (repeatable; default: those of the network, or none if other seeds are given)")
	repeatFlag(cmd, &o.servers, "dns-server", "name server, \"system\", `IP:PORT` or for DNS over TLS IP:PORT/NAME (repeatable: the next is asked if one fails)", checkServer)
	f.BoolVar(&o.dnssec, "dnssec", false, "take only what signatures prove, from the root's keys down; needs --dns-server")
	repeatFlag(cmd, &o.anchors, "trust-anchor", "`DS` record to begin with in place of the root's (repeatable)", checkAnchor)
	f.StringArrayVar(&o.files, "seed-file", nil, "`file` of PUBKEY::ADDRESS lines, or a JSON array of them; - is standard input (repeatable)")
}

// nameServers are those of --dns-server.
func (o *seedOptions) nameServers() ([]seeds.Server, error) {
	return parseAll(o.servers, seeds.ParseServer)
}

// findSeeds asks all sources, reports, and adds.
func (a *app) findSeeds(cmd *cobra.Command, o *seedOptions) error {
	cfg, err := a.seedConfig(o)
	if err != nil {
		return err
	}
	report := &seeds.Report{}
	for _, file := range o.files {
		s, err := a.seedFile(file)
		if err != nil {
			return err
		}
		report.Sources = append(report.Sources, s)
	}
	found, err := seeds.Lookup(cmd.Context(), cfg)
	if err != nil {
		return usageError{err}
	}
	report.Sources = append(report.Sources, found.Sources...)
	peers := report.Peers()
	added := 0
	if o.add && len(peers) > 0 {
		err = a.withNode(cmd.Context(), node.Open, func(c *node.Client) (err error) {
			added, err = c.AddSeeds(cmd.Context(), peers)
			return err
		})
		if err != nil {
			return err
		}
	}
	text := func() { a.printSeeds(report, len(peers), added, o.add) }
	if len(peers) == 0 {
		return a.showFailed(seedsJSON(report, 0, 0), &node.Failure{Kind: node.FailUnreachable, Text: "no seed was found"}, text)
	}
	return a.show(seedsJSON(report, len(peers), added), text)
}

// seedConfig turns the options into a Lookup. Errors are usage errors.
func (a *app) seedConfig(o *seedOptions) (seeds.Config, error) {
	cfg := seeds.Config{Names: o.names, DNSSEC: o.dnssec, Anchors: o.anchors, Timeout: o.timeout, AllowTestAddresses: a.options.allowTest}
	network, err := networkByName(a.options.network)
	if err != nil {
		return cfg, err
	}
	if len(o.names) == 0 && len(o.files) == 0 {
		if cfg.Names = network.DNSSeeds; len(cfg.Names) == 0 {
			return cfg, usagef("network %s has no names to ask for: give --dns-seed or --seed-file", network.Name)
		}
	}
	if cfg.Servers, err = o.nameServers(); err != nil {
		return cfg, err
	}
	if (o.dnssec || a.options.tor.SOCKS != "") && len(o.servers) == 0 && len(cfg.Names) > 0 {
		return cfg, usagef("--dnssec and --socks need --dns-server: the system's resolver shows no signatures and uses no proxy")
	}
	if a.options.tor.SOCKS != "" {
		cfg.Dial = dialSeeds(&torsocks.Dialer{Proxy: a.options.tor.SOCKS})
	}
	return cfg, nil
}

// dialSeeds reaches name servers through a proxy, which has no UDP.
func dialSeeds(proxy *torsocks.Dialer) func(ctx context.Context, network, address string) (net.Conn, error) {
	return func(ctx context.Context, network, address string) (net.Conn, error) {
		if network != "tcp" {
			return nil, errors.New("the proxy carries TCP only")
		}
		at, err := netip.ParseAddrPort(address)
		if err != nil {
			return nil, err
		}
		return proxy.Dial(ctx, at.Addr().String(), at.Port(), "dns")
	}
}

func (a *app) seedFile(name string) (seeds.Source, error) {
	if name == "-" {
		return seeds.Read(a.stdin, "standard input")
	}
	file, err := os.Open(name)
	if err != nil {
		return seeds.Source{}, notRead(name, err)
	}
	defer file.Close()
	return seeds.Read(file, name)
}

func seedsJSON(r *seeds.Report, peers, added int) seedReport {
	out := seedReport{Sources: []seedSource{}, Peers: peers, Added: added}
	for _, s := range r.Sources {
		js := seedSource{
			Name: s.Name, Server: s.Server, TookUS: s.Took.Microseconds(), Dropped: s.Dropped,
			Peers: []string{}, Bad: []badSeed{}, Failed: []failedServer{},
		}
		for _, p := range s.Peers {
			js.Peers = append(js.Peers, p.String())
		}
		for _, b := range s.Bad {
			js.Bad = append(js.Bad, badSeed{b.Number, b.Err.Error()})
		}
		for _, f := range s.Failed {
			js.Failed = append(js.Failed, failedServer{f.Server.String(), f.Err.Error()})
		}
		out.Sources = append(out.Sources, js)
	}
	return out
}

func (a *app) printSeeds(r *seeds.Report, peers, added int, add bool) {
	for _, s := range r.Sources {
		a.out.printf("%s: %s\n", strings.TrimSuffix(s.Name, "."), count(len(s.Peers), "peer")+answeredBy(s))
		for _, p := range s.Peers {
			a.out.printf("  %s\n", p)
		}
		for _, b := range s.Bad {
			a.out.printf("  no peer: %v\n", b)
		}
		if s.Dropped > 0 {
			a.out.printf("  %d more records were not read: %d are enough\n", s.Dropped, seeds.MaxRecords)
		}
		for _, f := range s.Failed {
			a.out.printf("  failed: %v\n", f)
		}
	}
	a.out.printf("%s in all", count(peers, "peer"))
	if add {
		a.out.printf(", %d put into the book", added)
	}
	a.out.printf("\n")
}

func answeredBy(s seeds.Source) string {
	if s.Server == "" {
		return ""
	}
	return ", from " + s.Server + " in " + s.Took.Round(time.Millisecond).String()
}
