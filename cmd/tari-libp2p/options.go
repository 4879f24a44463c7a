package main

import (
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

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
	never     []string
	refuse    []string
	dataDir   string
	allowTest bool
	logs      *logs
	tor       node.Tor
	limits    tari.Limits
	password  string // file of the control port's password
}

// folderFlags are the options that find a data folder.
func (o *options) folderFlags(cmd *cobra.Command) {
	o.networkFlag(cmd)
	cmd.Flags().StringVar(&o.dataDir, "data-dir", "", "data `folder` (default: tari-libp2p/NETWORK in $XDG_DATA_HOME or ~/.local/share)")
}

func (o *options) networkFlag(cmd *cobra.Command) {
	textFlag(cmd, &o.network, "network", "mainnet", "`network`: "+strings.Join(networkNames(), ", "), checkNetwork)
}

// dialFlags are the options of a node that dials, listening or not.
func (o *options) dialFlags(cmd *cobra.Command) {
	listFlag(cmd, &o.public, "public-address", "`multiaddr` to claim as ours (repeatable)", checkMultiaddr)
	cmd.Flags().BoolVar(&o.allowTest, "allow-test-addresses", false, "take, claim and dial internal addresses (loopback, private) too; for test networks")
}

// errandFlags are the options of a command that dials, from the running node if there is one.
func (o *options) errandFlags(cmd *cobra.Command, timeout *time.Duration) {
	o.folderFlags(cmd)
	o.dialFlags(cmd)
	o.socksFlag(cmd)
	cmd.Flags().BoolVar(&o.tor.Only, "tor-only", false, "dial onion addresses through the proxy and nothing else")
	timeoutFlag(cmd, timeout)
}

func (o *options) socksFlag(cmd *cobra.Command) {
	cmd.Flags().Var((*hostPort)(&o.tor.SOCKS), "socks", "dial through the SOCKS5 proxy at `HOST:PORT`")
}

// controlFlags are the options that find Tor's control port.
func (o *options) controlFlags(cmd *cobra.Command) {
	o.tor.Control = "127.0.0.1:9051"
	cmd.Flags().Var((*controlPort)(&o.tor.Control), "tor-control", "Tor's control port, `HOST:PORT` or the path of its socket")
	cmd.Flags().StringVar(&o.password, "tor-password-file", "", "`file` with the control port's password (default: Tor's cookie)")
}

// torFlags are the options of a node that uses Tor.
func (o *options) torFlags(cmd *cobra.Command) {
	o.socksFlag(cmd)
	o.controlFlags(cmd)
	cmd.Flags().BoolVar(&o.tor.Service, "tor", false, "be reachable by an onion address, and dial everything through Tor")
	cmd.Flags().BoolVar(&o.tor.Only, "tor-only", false, "nothing but onion addresses: no other connection, claim or name look-up")
	cmd.Flags().BoolVar(&o.tor.Direct, "tor-direct", false, "dial IP and DNS addresses directly, only onion addresses through Tor")
	cmd.Flags().Uint16Var(&o.tor.Port, "onion-port", node.DefaultOnionPort, "`port` of the onion address")
}

// nodeFlags are the options of a node that runs.
func (o *options) nodeFlags(cmd *cobra.Command) {
	o.folderFlags(cmd)
	o.dialFlags(cmd)
	o.torFlags(cmd)
	o.limitFlags(cmd)
	listFlag(cmd, &o.accept, "accept", "also accept these `networks` on the same port", checkNetwork)
	listFlag(cmd, &o.listen, "listen", "`multiaddr` to listen on (repeatable; default: the network's port on all interfaces; \"\" = nowhere)", checkMultiaddr)
	repeatFlag(cmd, &o.peers, "peer", "`PUBKEY::ADDRESS` to stay connected to (repeatable)", checkPeer)
	cmd.Flags().Var(&o.logs.levels, "log", "`LEVEL[,PART=LEVEL…]` of the log on standard error: debug, info, warn, error, off; parts: "+joined(logParts))
	cmd.Flags().Var(&o.logs.format, "log-format", "`format` of the log: text or json (default: json with --json)")
}

// limitFlags are the options of what strangers can make us do.
func (o *options) limitFlags(cmd *cobra.Command) {
	limit := func(n *int, name string, value int, usage string) {
		*n = value
		cmd.Flags().Var((*positive)(n), name, usage)
	}
	limit(&o.limits.Inbound, "max-inbound", 500, "at most `N` connections that others opened, a listener")
	limit(&o.limits.InboundPerSource, "max-inbound-per-source", 32, "of these at most `N` from one IPv4 address or IPv6 /64")
	limit(&o.limits.Handshakes, "max-handshakes", 100, "at most `N` inbound handshakes at a time, a listener")
	limit(&o.limits.HandshakesPerSource, "max-handshakes-per-source", 4, "of these at most `N` from one source")
	limit(&o.limits.InboundOnion, "max-inbound-onion", 500, "at most `N` connections that come to the onion address")
	limit(&o.limits.HandshakesOnion, "max-handshakes-onion", 100, "of these at most `N` in handshake")
	listFlag(cmd, &o.refuse, "refuse", "`NETWORK` from which connections are closed before a byte is read, such as 203.0.113.0/24 (repeatable)", checkPrefix)
	o.neverFlag(cmd)
}

func (o *options) neverFlag(cmd *cobra.Command) {
	listFlag(cmd, &o.never, "never-dial", "`RANGE` of addresses that nobody can make us dial, such as /ip4/10.*.*.*/tcp/* or /ip6/2001:db8::/ipcidr/32 (repeatable)", checkRange)
}

// raise is the option behind a reason to refuse; otherwise what the library says of it.
func raise(reason tari.Refusal) string {
	switch reason {
	case tari.RefusedInbound, tari.RefusedIdle:
		return "--max-inbound, --max-inbound-onion for Tor"
	case tari.RefusedInboundPerSource:
		return "--max-inbound-per-source"
	case tari.RefusedHandshakes, tari.RefusedDisplaced:
		return "--max-handshakes, --max-handshakes-onion for Tor"
	case tari.RefusedHandshakesPerSource:
		return "--max-handshakes-per-source"
	case tari.RefusedSource:
		return "--refuse"
	}
	return reason.Raise()
}

// torPassword is the first line of the password file.
func (o *options) torPassword() (string, error) {
	if o.password == "" {
		return "", nil
	}
	text, err := os.ReadFile(o.password)
	if err != nil {
		return "", notRead(o.password, err)
	}
	line, _, _ := strings.Cut(string(text), "\n")
	return strings.TrimSuffix(line, "\r"), nil
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
	cfg := node.Config{AllowTestAddresses: o.allowTest, Tor: o.tor, Limits: o.limits}
	var err error
	if o.tor.Only && o.tor.Direct {
		return cfg, usagef("--tor-only and --tor-direct exclude each other")
	}
	if cfg.Tor.Password, err = o.torPassword(); err != nil {
		return cfg, err
	}
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
	if err := distinct(append([]dialect.Network{cfg.Network}, cfg.Accept...)); err != nil {
		return cfg, err
	}
	// The texts were checked as the options were set.
	if cfg.Listen, err = parseAll(o.listen, ma.NewMultiaddr); err != nil {
		return cfg, err
	}
	if cfg.Public, err = parseAll(o.public, ma.NewMultiaddr); err != nil {
		return cfg, err
	}
	if cfg.Peers, err = parseAll(o.peers, parsePeer); err != nil {
		return cfg, err
	}
	if cfg.Limits.Refuse, err = parseAll(o.refuse, netip.ParsePrefix); err != nil {
		return cfg, err
	}
	if cfg.Limits.NeverDial, err = parseAll(o.never, tari.ParseAddrRange); err != nil {
		return cfg, err
	}
	if cfg.DataDir, err = o.folder(); err != nil {
		return cfg, err
	}
	if (o.tor.Only || o.tor.Direct) && !o.tor.Service && o.tor.SOCKS == "" {
		err = errNoProxy
	}
	return cfg, err
}

// folder is the data folder.
func (o *options) folder() (string, error) {
	if o.dataDir != "" {
		return o.dataDir, nil
	}
	network, err := networkByName(o.network)
	if err != nil {
		return "", err
	}
	return defaultDataDir(network.Name)
}

// errNoProxy is the only error of config beside which the configuration is whole.
var errNoProxy = usagef("--tor-only and --tor-direct need --tor or --socks")

// nodeConfig is config for a node that runs: it listens where nodes of its network do, if nothing else is said.
func (o *options) nodeConfig(cmd *cobra.Command) (node.Config, error) {
	cfg, err := o.config()
	if err == nil && !cmd.Flags().Changed("listen") && !cfg.Tor.Service {
		for _, all := range []string{"/ip4/0.0.0.0", "/ip6/::"} {
			cfg.Listen = append(cfg.Listen, ma.StringCast(fmt.Sprintf("%s/tcp/%d", all, cfg.Network.Port)))
		}
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

// distinct refuses two networks that one listener could not tell apart.
func distinct(networks []dialect.Network) error {
	names := make(map[byte]string)
	for _, n := range networks {
		if other, ok := names[n.WireByte]; ok && other != n.Name {
			return usagef("networks %s and %s have the same wire byte 0x%02x: one port can serve only one of them", other, n.Name, n.WireByte)
		}
		names[n.WireByte] = n.Name
	}
	return nil
}

func parseAll[T any](texts []string, parse func(string) (T, error)) ([]T, error) {
	var out []T
	for _, text := range texts {
		v, err := parse(text)
		if err != nil {
			return nil, usageError{err}
		}
		out = append(out, v)
	}
	return out, nil
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
