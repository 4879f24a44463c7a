package main

import (
	"context"
	"log/slog"
	"time"

	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/seeds"
)

// How long a node waits before it asks again for names that gave no seed; twice as long each time. Our choice: tari_comms asks at the
// start and when the DHT has lost everybody.
const (
	seedsAgainFirst = 5 * time.Second
	seedsAgainLast  = 30 * time.Minute
)

// runSeeds are the seeds of a node under way: those given, and names to ask for.
type runSeeds struct {
	seedOptions
	texts  []string // PUBKEY::ADDRESS
	noName bool
}

func (s *runSeeds) flags(cmd *cobra.Command) {
	repeatFlag(cmd, &s.texts, "seed", "`PUBKEY::ADDRESS` of a well-known node to start from (repeatable)", checkPeer)
	cmd.Flags().BoolVar(&s.noName, "no-dns-seeds", false, "do not ask for the network's names, whatever else is given")
	s.seedOptions.flags(cmd)
}

// given are the seeds on the command line and in files. Lines that are no peers are logged.
func (a *app) given(s *runSeeds, log *slog.Logger) ([]tari.Address, error) {
	out, err := parseAll(s.texts, parsePeer)
	if err != nil {
		return nil, err
	}
	for _, name := range s.files {
		source, err := a.seedFile(name)
		if err != nil {
			return nil, err
		}
		for _, bad := range source.Bad {
			log.Warn("no seed", "file", name, "err", bad)
		}
		if source.Dropped > 0 {
			log.Warn("seeds beyond the limit were not read", "file", name, "dropped", source.Dropped)
		}
		out = append(out, source.Peers...)
	}
	return out, nil
}

// lookup says what to ask for while the node runs: Names is empty if nothing. Errors are usage errors.
func (s *runSeeds) lookup(cfg *node.Config, log *slog.Logger) (seeds.Config, error) {
	look := seeds.Config{Names: s.names, DNSSEC: s.dnssec, Anchors: s.anchors, AllowTestAddresses: cfg.AllowTestAddresses}
	if s.noName && len(s.names) > 0 {
		return look, usagef("--dns-seed and --no-dns-seeds exclude each other")
	}
	if !s.noName && len(s.names)+len(s.texts)+len(s.files) == 0 {
		look.Names = cfg.Network.DNSSeeds
	}
	var err error
	if look.Servers, err = s.nameServers(); err != nil || len(look.Names) == 0 {
		return look, err
	}
	switch {
	case len(look.Servers) > 0:
	case cfg.Tor.Only:
		look.Names = nil
		log.Warn("with --tor-only no names are asked for: give seeds (--seed), or a name server to ask through Tor (--dns-server)")
	case cfg.Tor.Everything():
		look.Servers = seeds.PublicServers()
	case s.dnssec:
		return look, usagef("--dnssec needs --dns-server: the system's resolver shows no signatures")
	}
	if err := look.Check(); err != nil {
		return look, usageError{err}
	}
	return look, nil
}

// seedsFound is what run prints when names have been asked for.
type seedsFound struct {
	Time  time.Time `json:"time"`
	Event string    `json:"event"`
	seedReport
}

// findSeedsFor asks for names until seeds are found or ctx ends, and puts them into the book of a node.
func (a *app) findSeedsFor(ctx context.Context, n *node.Node, cfg seeds.Config, log *slog.Logger) {
	if proxy := n.Proxy(); proxy != nil {
		cfg.Dial = dialSeeds(proxy)
	}
	again(ctx, func() bool {
		report, err := seeds.Lookup(ctx, cfg)
		if ctx.Err() != nil {
			return true
		}
		if err != nil {
			log.Error("seeds", "err", err)
			return true
		}
		peers := report.Peers()
		added, err := n.AddSeeds(peers)
		if err != nil {
			log.Error("seeds", "err", err)
		}
		a.tellSeeds(report, len(peers), added, log)
		return len(peers) > 0
	})
}

// again calls try until it says that it is done, at growing intervals.
func again(ctx context.Context, try func() (done bool)) {
	for wait := seedsAgainFirst; !try(); wait = min(2*wait, seedsAgainLast) {
		select {
		case <-ctx.Done():
			return
		case <-time.After(wait):
		}
	}
}

// tellSeeds prints what was found, and logs what was not; as a warning only if there was nothing else.
func (a *app) tellSeeds(r *seeds.Report, peers, added int, log *slog.Logger) {
	level := slog.LevelInfo
	if peers == 0 {
		level = slog.LevelWarn
	}
	for _, s := range r.Sources {
		for _, f := range s.Failed {
			log.Log(context.Background(), level, "no seeds", "name", s.Name, "server", f.Server.String(), "err", f.Err)
		}
		for _, b := range s.Bad {
			log.Log(context.Background(), level, "no seed", "name", s.Name, "err", b)
		}
	}
	now := time.Now()
	err := a.show(seedsFound{now, "seeds", seedsJSON(r, peers, added)}, func() {
		a.out.printf("%s seeds        %s found by name\n", now.Format(time.TimeOnly), count(peers, "peer"))
	})
	if err != nil {
		log.Error("output", "err", err)
	}
}
