package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// demoLimit bounds each step of the demo; on any machine a step takes a fraction of a second.
const demoLimit = 30 * time.Second

func (a *app) demoCommand() *cobra.Command {
	return &cobra.Command{
		Use:   "demo",
		Short: "Two nodes in this process talk over loopback TCP, in each dialect; offline",
		Long: "Two nodes in this process go through every stage of a connection over loopback TCP and exchange messages\n" +
			"both ways, once in each dialect that Tari's networks have spoken. Nothing is mocked, nothing is kept.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			for _, network := range oneOfEachDialect() {
				d := demo{app: a, network: network}
				if err := d.run(cmd.Context()); err != nil {
					return fmt.Errorf("demo in %s: %w", network.Name, err)
				}
			}
			if !a.json {
				a.out.printf("That was it. \"tari-libp2p run\" starts a node of your own.\n")
			}
			return nil
		},
	}
}

// oneOfEachDialect picks the first network of each dialect.
func oneOfEachDialect() []dialect.Network {
	var picked []dialect.Network
	seen := make(map[string]bool)
	for _, network := range dialect.Networks() {
		if name := dialect.Of(network).String(); !seen[name] {
			seen[name] = true
			picked = append(picked, network)
		}
	}
	return picked
}

// demo is one conversation between two nodes, alice, who dials, and bob.
type demo struct {
	*app
	network dialect.Network
}

// demoStep is a line of the demo.
type demoStep struct {
	Network   string `json:"network"`
	Dialect   string `json:"dialect"`
	Node      string `json:"node"`
	Step      string `json:"step"` // listening, stage, identified, message
	Address   string `json:"address,omitempty"`
	Stage     string `json:"stage,omitempty"`
	TookUS    int64  `json:"took_us"`
	UserAgent string `json:"user_agent,omitempty"`
	Features  string `json:"features,omitempty"`
	Message   string `json:"message,omitempty"`
	text      string
}

func (d demo) run(ctx context.Context) error {
	if !d.json {
		d.out.printf("%s, %s dialect, wire byte 0x%02x\n", d.network.Name, dialect.Of(d.network), d.network.WireByte)
	}
	atAlice, atBob := make(chan string, 1), make(chan string, 1)
	alice, err := d.start(ctx, atAlice)
	if err != nil {
		return err
	}
	defer alice.Close()
	bob, err := d.start(ctx, atBob)
	if err != nil {
		return err
	}
	defer bob.Close()
	d.listening("alice", alice)
	d.listening("bob", bob)
	if err := d.connect(ctx, alice, bob); err != nil {
		return err
	}
	if err := d.message(ctx, "bob", alice, bob.Host.ID(), "Hello Bob, this is Alice.", atBob); err != nil {
		return err
	}
	if err := d.message(ctx, "alice", bob, alice.Host.ID(), "Hello Alice, I read you.", atAlice); err != nil {
		return err
	}
	if !d.json {
		d.out.printf("\n")
	}
	return errors.Join(alice.Close(), bob.Close())
}

// start starts a node as run does, in memory, on a free loopback port.
func (d demo) start(ctx context.Context, inbox chan<- string) (*node.Node, error) {
	return node.Start(ctx, node.Config{
		Network:            d.network,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true,
		OnEvent: func(e node.Event) {
			if e.Kind == node.EventMessage {
				inbox <- string(e.Message)
			}
		},
	})
}

func (d demo) listening(name string, n *node.Node) {
	address := fmt.Sprintf("%s::%s", n.Identity, n.Host.Addrs()[0])
	d.step(demoStep{Node: name, Step: "listening", Address: address, text: "listens as " + address})
}

func (d demo) connect(ctx context.Context, alice, bob *node.Node) error {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	began := time.Now()
	if err := alice.Host.Connect(ctx, peer.AddrInfo{ID: bob.Host.ID(), Addrs: bob.Host.Addrs()}); err != nil {
		return err
	}
	took := time.Since(began)
	session, ok := alice.Host.Session(bob.Host.ID())
	if !ok {
		return errors.New("the connection ended at once")
	}
	for _, s := range session.Stages {
		d.step(demoStep{
			Node: "alice", Step: "stage", Stage: s.Stage, TookUS: s.Took.Microseconds(),
			text: fmt.Sprintf("%-9s %8s  %s", s.Stage, s.Took.Round(10*time.Microsecond), stageTexts[s.Stage]),
		})
	}
	claim := session.Claim
	d.step(demoStep{
		Node: "alice", Step: "identified", TookUS: took.Microseconds(), UserAgent: claim.UserAgent, Features: claim.Features.String(),
		text: fmt.Sprintf("knows bob: %s, %s; %s in all", quote(claim.UserAgent), claim.Features, took.Round(10*time.Microsecond)),
	})
	return nil
}

// stageTexts say what a stage that went well means.
var stageTexts = map[string]string{
	node.StageConnect:     "somebody is there",
	dialect.StageNoise:    "wire byte sent; both keys proven, the channel is encrypted",
	dialect.StageAdmit:    "bob is not banned",
	dialect.StageIdentity: "both said who they are, and it was valid",
	dialect.StageMuxer:    "one connection, many substreams",
}

// message sends text to a node and waits until it is there.
func (d demo) message(ctx context.Context, name string, from *node.Node, to peer.ID, text string, inbox <-chan string) error {
	ctx, cancel := context.WithTimeout(ctx, demoLimit)
	defer cancel()
	began := time.Now()
	if err := from.Messages.Send(ctx, to, []byte(text)); err != nil {
		return err
	}
	select {
	case got := <-inbox:
		took := time.Since(began)
		if got != text {
			return fmt.Errorf("%s got %q instead of %q", name, got, text)
		}
		d.step(demoStep{
			Node: name, Step: "message", TookUS: took.Microseconds(), Message: got,
			text: fmt.Sprintf("got %s after %s", quote(got), took.Round(10*time.Microsecond)),
		})
		return nil
	case <-ctx.Done():
		return fmt.Errorf("the message to %s did not arrive: %w", name, ctx.Err())
	}
}

func (d demo) step(s demoStep) {
	if !d.json {
		d.out.printf("  %-6s %s\n", s.Node, s.text)
		return
	}
	s.Network, s.Dialect = d.network.Name, dialect.Of(d.network).String()
	_ = d.out.json(s)
}
