package node

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"

	"github.com/libp2p/go-libp2p/core/network"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// New opens the data folder of cfg and builds a node there that does not run yet: nobody can reach it, and it connects to nobody of its
// own accord. That is the time to register protocols (Host.SetStreamHandler) and services (RPC.Register), to take messages
// (Messages.Handle), to add peers, and to subscribe (Host.EventBus). Then Start. Close ends the node, started or not.
//
// The parts are built in the order in which they need each other: identity and peer book, the key of the onion service, the host,
// messaging, RPC. Start runs the listeners, the onion service, the check of our public addresses, and connectivity. Close goes the way
// back.
func New(cfg Config) (*Node, error) {
	n, err := Open(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.build(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Start is New, then the node's Start. Close ends the node.
func Start(ctx context.Context, cfg Config) (*Node, error) {
	return startWith(ctx, cfg, (*Node).Start)
}

// Errand is Start for a node that has one thing to do: it makes no connections of its own accord.
func Errand(ctx context.Context, cfg Config) (*Node, error) {
	return startWith(ctx, cfg, (*Node).run)
}

func startWith(ctx context.Context, cfg Config, start func(*Node, context.Context) error) (*Node, error) {
	n, err := New(cfg)
	if err != nil {
		return nil, err
	}
	if err := start(n, ctx); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// Start runs a node from New. ctx bounds the start only. After an error the node is of no more use than to be closed; a second Start
// is one.
func (n *Node) Start(ctx context.Context) error {
	if err := n.run(ctx); err != nil {
		return err
	}
	n.keep(n.running)
	return nil
}

// build makes the parts that New promises.
func (n *Node) build() (err error) {
	cfg := &n.config
	if err := n.prepareTor(); err != nil {
		return err
	}
	gate := loopbackLiveness()
	n.reach = newReacher(gate)
	limits := cfg.Limits
	limits.Liveness = gate
	n.Host, err = tari.NewUnstarted(tari.Config{
		Key:                n.Identity.Key,
		Network:            cfg.Network,
		Accept:             cfg.Accept,
		Listen:             cfg.Listen,
		ListenOnion:        n.onionListener(),
		Public:             n.public(),
		UserAgent:          cfg.UserAgent,
		AllowTestAddresses: cfg.AllowTestAddresses,
		Gater:              n.Peers,
		Addresses:          n.known,
		Transports:         n.transports,
		Hooks:              tari.Hooks{OnClaim: n.onClaim, OnOffence: n.onOffence, OnFailed: n.onFailed, OnRefused: n.onRefused, OnRefusals: n.onRefusals},
		Limits:             limits,
	})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.up.Store(n.Host)
	n.Host.Network().Notify(&network.NotifyBundle{ConnectedF: n.onConnected, DisconnectedF: n.onDisconnected})
	n.Messages, err = messagingproto.New(n.Host, messagingproto.Config{OnViolation: n.Host.Offence})
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.Messages.Handle(n.onMessage)
	n.RPC = newRPC(n)
	if err := n.tellPeers(); err != nil {
		return err
	}
	for _, p := range cfg.Peers {
		if _, err := n.learn(p, false); err != nil {
			return err
		}
	}
	return nil
}

// run makes the node reachable.
func (n *Node) run(ctx context.Context) error {
	if n.Host == nil {
		return errors.New("node: only the folder is open: a node that can be started is made by New")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("node: %w", err)
	}
	if err := n.Host.Listen(); err != nil {
		return fail(FailOther, fmt.Errorf("node: %w; --listen says where", err)) // no peer of ours is unreachable
	}
	if err := n.startTor(); err != nil {
		return err
	}
	n.emit(Event{Kind: EventReady, Peer: n.Identity.String(), Addresses: n.addresses()})
	n.running, n.cancel = context.WithCancel(context.Background())
	if len(n.public()) > 0 && len(n.Host.Network().ListenAddresses()) > 0 {
		n.tasks.Go(func() { n.keepChecking(n.running) })
	}
	return nil
}

// loopbackLiveness lets one session at a time ask from this machine whether we are alive, as the Rust crate's default does.
func loopbackLiveness() *wiremode.Gate {
	return &wiremode.Gate{Allow: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("::1/128")}, MaxSessions: 1}
}

// public are the addresses that we claim: the onion service, those of the identity file, the configured ones. Whoever is only
// on Tor claims nothing else.
func (n *Node) public() []ma.Multiaddr {
	var onion []ma.Multiaddr
	if n.tor != nil {
		onion = []ma.Multiaddr{n.tor.address()}
	}
	if n.config.Tor.Only {
		return onion
	}
	return unique(onion, n.Identity.Addresses, n.config.Public)
}

// unique joins lists of addresses, each address once, in the order in which they come.
func unique(lists ...[]ma.Multiaddr) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, addr := range slices.Concat(lists...) {
		if !slices.ContainsFunc(out, addr.Equal) {
			out = append(out, addr)
		}
	}
	return out
}

// texts are the text forms of addresses or protocol ids; never nil, so that JSON has a list.
func texts[T any](items []T) []string {
	out := []string{}
	for _, item := range items {
		out = append(out, fmt.Sprint(item))
	}
	return out
}
