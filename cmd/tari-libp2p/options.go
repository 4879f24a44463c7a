package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// options are the node options of the command line.
type options struct {
	network   string
	accept    []string
	listen    []string
	public    []string
	peers     []string
	dataDir   string
	allowTest bool
	log       string
}

// folderFlags are the options that find a data folder.
func (o *options) folderFlags(cmd *cobra.Command) {
	o.networkFlag(cmd)
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "", "data `folder` (default: tari-libp2p/NETWORK in $XDG_DATA_HOME or ~/.local/share)")
}

func (o *options) networkFlag(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.network, "network", "mainnet", "`network`: "+strings.Join(networkNames(), ", "))
}

// dialFlags are the options of a node that dials, listening or not.
func (o *options) dialFlags(cmd *cobra.Command) {
	cmd.Flags().StringSliceVar(&o.public, "public-address", nil, "`multiaddr` to claim as ours (repeatable)")
	cmd.Flags().BoolVar(&o.allowTest, "allow-test-addresses", false, "take, claim and dial internal addresses (loopback, private) too; for test networks")
}

func networkNames() []string {
	var names []string
	for _, n := range dialect.Networks() {
		names = append(names, n.Name)
	}
	return names
}

// config turns the options into a node's configuration. Errors are usage errors.
func (o *options) config() (node.Config, error) {
	cfg := node.Config{AllowTestAddresses: o.allowTest}
	var err error
	if cfg.Network, err = networkByName(o.network); err != nil {
		return cfg, err
	}
	for _, name := range o.accept {
		network, err := networkByName(name)
		if err != nil {
			return cfg, err
		}
		cfg.Accept = append(cfg.Accept, network)
	}
	if cfg.Listen, err = multiaddrs("--listen", o.listen); err != nil {
		return cfg, err
	}
	if cfg.Public, err = multiaddrs("--public-address", o.public); err != nil {
		return cfg, err
	}
	for _, text := range o.peers {
		peer, err := tari.ParseAddress(text)
		if err != nil {
			return cfg, usagef("--peer %s: %w", quote(text), err)
		}
		cfg.Peers = append(cfg.Peers, peer)
	}
	if cfg.DataDir = o.dataDir; cfg.DataDir == "" {
		cfg.DataDir, err = defaultDataDir(cfg.Network.Name)
	}
	return cfg, err
}

func networkByName(name string) (dialect.Network, error) {
	network, err := dialect.NetworkByName(name)
	if err != nil {
		return network, usagef("unknown network %s: one of %s", quote(name), strings.Join(networkNames(), ", "))
	}
	return network, nil
}

func multiaddrs(flag string, texts []string) ([]ma.Multiaddr, error) {
	var addrs []ma.Multiaddr
	for _, text := range texts {
		addr, err := ma.NewMultiaddr(text)
		if err != nil {
			return nil, usagef("%s %s: not a multiaddr such as /ip4/1.2.3.4/tcp/18189", flag, quote(text))
		}
		addrs = append(addrs, addr)
	}
	return addrs, nil
}

// defaultDataDir follows the XDG base directory specification: a relative $XDG_DATA_HOME is ignored.
func defaultDataDir(network string) (string, error) {
	base := os.Getenv("XDG_DATA_HOME")
	if !filepath.IsAbs(base) {
		home, err := os.UserHomeDir()
		if err != nil {
			return "", usageError{errors.New("no home directory for the data folder: give --data-dir")}
		}
		base = filepath.Join(home, ".local", "share")
	}
	return filepath.Join(base, "tari-libp2p", network), nil
}
