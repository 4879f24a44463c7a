package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/crawl"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

// crawlOptions are those of crawl alone.
type crawlOptions struct {
	seedOptions
	crawl crawl.Config
	out   string
	csv   bool
}

// peerVisited and crawlDone are what the command prints with --json.
type peerVisited struct {
	Event string `json:"event"`
	crawl.Row
}

type crawlDone struct {
	Event string `json:"event"`
	crawl.Summary
}

func (a *app) crawlCommand() *cobra.Command {
	var o crawlOptions
	c := &cobra.Command{
		Use:   "crawl [PUBKEY::ADDRESS…]",
		Short: "Find the peers of a network",
		Long: "Find the peers of a network: beginning with those given, or with the network's seeds, ask each for the peers\n" +
			"that it knows, verify what they signed, and go there. It uses a throw-away identity, comes once to each peer\n" +
			"and leaves at once, dials four at a time at one host, and nobody at addresses that are not for strangers to\n" +
			"give. With --journal it goes on where a crawl ended that was interrupted or killed.",
		Example: "  tari-libp2p crawl --journal mainnet.journal --out mainnet.csv",
		RunE:    func(cmd *cobra.Command, args []string) error { return a.crawl(cmd.Context(), args, &o) },
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	f := c.Flags()
	f.BoolVar(&a.options.tor.Only, "tor-only", false, "dial onion addresses through the proxy and nothing else")
	f.BoolVar(&a.options.allowTest, "allow-test-addresses", false, "take and dial internal addresses (loopback, private) too; for test networks")
	a.options.neverFlag(c)
	o.seedOptions.flags(c)
	f.StringVar(&o.crawl.Journal, "journal", "", "`file` that keeps what is known; go on from there if it is there already")
	f.StringVar(&o.out, "out", "", "write all peers to a new `file`: an object a line, or a table if its name ends in .csv")
	f.BoolVar(&o.csv, "csv", false, "write a table, whatever the name")
	f.BoolVar(&o.crawl.Clients, "clients", false, "ask for wallets too, which mostly cannot be reached")
	for name, limit := range map[string]struct {
		n     *int
		value int
		usage string
	}{
		"max-peers": {&o.crawl.MaxPeers, 50_000, "know at most `N` peers"},
		"parallel":  {&o.crawl.Parallel, 32, "visit at most `N` peers at a time"},
		"per-host":  {&o.crawl.PerHost, 4, "of these at most `N` at one host"},
	} {
		*limit.n = limit.value
		f.Var((*positive)(limit.n), name, limit.usage)
	}
	return c
}

// crawl finds out where to begin, crawls, and shows what came of it.
func (a *app) crawl(ctx context.Context, args []string, o *crawlOptions) error {
	cfg, err := a.options.config()
	if err != nil {
		return err
	}
	if !cfg.Network.Signed() {
		return usagef("peers of network %s sign nothing, so that nothing they say of others can be verified", cfg.Network)
	}
	if _, err := os.Lstat(o.out); o.out != "" && err == nil { // before the work, not after it
		return notWritten(o.out, fs.ErrExist)
	}
	o.seedOptions.timeout = seeds.DefaultTimeout
	if o.crawl.Start, err = a.crawlStart(ctx, args, o); err != nil {
		return err
	}
	bar := a.progress(a.json)
	o.crawl.Network, o.crawl.AllowTestAddresses = cfg.Network.Name, cfg.AllowTestAddresses
	o.crawl.OnVisit = func(p crawl.Peer, at crawl.Progress) {
		if a.json {
			_ = a.out.json(peerVisited{"visited", p.Row()}) // the summary will say so if it cannot be printed
		}
		bar.Show(int64(at.Done), int64(at.Known), "%d of %s, %d reached, %d being visited", at.Done, count(at.Known, "peer"), at.Reached, at.Visits)
	}
	result, err := crawlFrom(ctx, cfg, o.crawl)
	bar.End()
	switch {
	case result == nil:
		return err
	case errors.As(err, new(*crawl.JournalError)):
		return usageError{err}
	case errors.Is(err, fs.ErrNotExist):
		return notWritten(o.crawl.Journal, err)
	}
	if o.out != "" {
		write := result.WriteJSON
		if o.csv || strings.HasSuffix(o.out, ".csv") {
			write = result.WriteCSV
		}
		err = errors.Join(err, newFile(o.out, write))
	}
	return a.showCrawl(result.Summary(), crawlFailure(ctx, result, err))
}

// crawlStart are the peers to begin with: those given, or else seeds.
func (a *app) crawlStart(ctx context.Context, args []string, o *crawlOptions) (start []tari.Address, err error) {
	for _, text := range args {
		p, err := parsePeer(text)
		if err != nil {
			return nil, err
		}
		start = append(start, p)
	}
	for _, file := range o.files {
		source, err := a.seedFile(file)
		if err != nil {
			return nil, err
		}
		start = append(start, source.Peers...)
	}
	if len(start) > 0 && len(o.names) == 0 {
		return start, nil
	}
	look, err := a.seedConfig(&o.seedOptions)
	if err != nil {
		return nil, err
	}
	found, err := seeds.Lookup(ctx, look)
	if err != nil {
		return nil, usageError{err}
	}
	return append(start, found.Peers()...), nil
}

// crawlFrom crawls as somebody who is not known and not to be passed on.
func crawlFrom(ctx context.Context, cfg node.Config, c crawl.Config) (*crawl.Result, error) {
	cfg.DataDir, cfg.NoPeerSync = "", true
	cfg.UserAgent = "tari-libp2p crawl/" + node.Version()
	cfg.UserAgent = cfg.UserAgent[:min(len(cfg.UserAgent), identityproto.DefaultMaxUserAgent)]
	n, err := node.Errand(ctx, cfg)
	if err != nil {
		return nil, err
	}
	n.Host.SetFeatures(identityproto.FeatureClient)
	result, err := crawl.Run(ctx, n.Host, c)
	return result, errors.Join(err, n.Close())
}

// crawlFailure is what a user is told of how a crawl ended.
func crawlFailure(ctx context.Context, r *crawl.Result, err error) error {
	sum := r.Summary()
	switch {
	case ctx.Err() != nil && errors.Is(err, ctx.Err()):
		return &node.Failure{Kind: node.FailOther, Text: fmt.Sprintf("interrupted, with %s not visited", count(sum.Waiting, "peer"))}
	case err == nil && sum.Peers == 0:
		return &node.Failure{Kind: node.FailUnreachable, Text: "there is nobody to begin with: no seed was found"}
	case err == nil && sum.Reached == 0:
		return &node.Failure{Kind: node.FailUnreachable, Text: "no peer was reached"}
	}
	return err
}

func (a *app) showCrawl(sum crawl.Summary, err error) error {
	done := crawlDone{"summary", sum}
	if err != nil {
		return a.showFailed(done, err, func() { a.printCrawl(sum) })
	}
	return a.show(done, func() { a.printCrawl(sum) })
}

// maxAgents is how many user agents are listed; strangers choose them.
const maxAgents = 20

func (a *app) printCrawl(s crawl.Summary) {
	a.out.printf("%s, %d reached\n", count(s.Peers, "peer"), s.Reached)
	if s.Waiting > 0 {
		a.out.printf("%d not visited to the end\n", s.Waiting)
	}
	if s.Dropped > 0 {
		a.out.printf("%d more were heard of, beyond --max-peers\n", s.Dropped)
	}
	table := func(title string, lines []string) {
		if len(lines) > 0 {
			a.out.printf("\n%s\n  %s\n", title, strings.Join(lines, "\n  "))
		}
	}
	table("how visits ended", counted(s.Classes, func(c crawl.Class) string { return string(c) }))
	var agents []string
	for i, agent := range s.Agents {
		if i == maxAgents {
			agents = append(agents, fmt.Sprintf("%7s  and %d more", "", len(s.Agents)-i))
			break
		}
		agents = append(agents, fmt.Sprintf("%7d  %s", agent.Peers, quote(agent.UserAgent)))
	}
	table("user agents", agents)
	var kinds []string
	for _, kind := range slices.Sorted(maps.Keys(s.Kinds)) {
		kinds = append(kinds, fmt.Sprintf("%7d  %s, %d reached there", s.Kinds[kind].Peers, kind, s.Kinds[kind].Reached))
	}
	table("peers with an address of a kind", kinds)
	table("told of, and not taken", counted(s.Invalid, func(f peersync.Fault) string { return string(f) }))
}

// counted are lines of numbers and what they count, the greatest first.
func counted[K cmp.Ordered](counts map[K]int, name func(K) string) (lines []string) {
	keys := slices.SortedFunc(maps.Keys(counts), func(x, y K) int {
		return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y))
	})
	for _, k := range keys {
		lines = append(lines, fmt.Sprintf("%7d  %s", counts[k], name(k)))
	}
	return lines
}
