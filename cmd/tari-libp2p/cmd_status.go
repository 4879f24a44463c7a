package main

import (
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
)

func (a *app) statusCommand() *cobra.Command {
	status := &cobra.Command{
		Use:   "status",
		Short: "How our node is: running or not, its addresses and connections",
		Args:  cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			return ask(cmd.Context(), a, node.Open, (*node.Client).Status, a.printStatus)
		},
	}
	a.options.folderFlags(status)
	return status
}

func (a *app) printStatus(s node.Status) {
	running := "not running"
	if s.Running {
		running = "running for " + (time.Duration(s.UptimeSec) * time.Second).String()
	}
	a.out.printf("node         %s\n", running)
	a.out.printf("network      %s", s.Network)
	if len(s.Accepts) > 1 {
		a.out.printf(" (accepts %s)", strings.Join(s.Accepts, ", "))
	}
	a.out.printf("\npublic key   %s\n", s.PublicKey)
	a.out.printf("node id      %s\n", s.NodeID)
	a.out.printf("data folder  %s\n", s.DataDir)
	if c := s.Connectivity; c != nil {
		text := fmt.Sprintf("%s, %s and %s, %d outbound and %d inbound", c.State, count(c.Nodes, "node"), count(c.Clients, "wallet"), c.Outbound, c.Inbound)
		switch {
		case c.NoLink:
			text += "; this machine has no network"
		case c.Paused:
			text += "; nobody answers, the next try is in a moment"
		case c.Dialing > 0:
			text += fmt.Sprintf("; dialing %d", c.Dialing)
		}
		a.out.printf("connected    %s\n", text)
	}
	a.out.printf("peers known  %d\n", s.Peers)
	for _, addr := range s.Addresses {
		a.out.printf("address      %s\n", addr)
	}
	for _, p := range s.Public {
		text := string(p.State)
		if p.Error != "" {
			text += ": " + quote(p.Error)
		}
		a.out.printf("public       %s %s\n", p.Address, text)
	}
	for _, c := range s.Connections {
		a.out.printf("connection   %s %s %s %s, %s, for %s\n", c.Direction, c.Peer, c.Address, c.Dialect,
			quote(c.UserAgent), time.Duration(c.AgeSec)*time.Second)
	}
}
