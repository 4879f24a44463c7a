package main

import (
	"context"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

func (a *app) sendCommand() *cobra.Command {
	var timeout time.Duration
	send := &cobra.Command{
		Use:   "send PEER TEXT|-",
		Short: "Send one message; \"-\" reads it from standard input",
		Long: "Send one message to a peer, over the running node if there is one.\n" + peerHelp + "\n" +
			"Exit code 0 means that the peer's side of the connection could take every byte. Tari's\n" +
			"messaging has no receipt: whether the peer's software used the message, nobody tells.",
		Args: cobra.ExactArgs(2),
		RunE: func(cmd *cobra.Command, args []string) error {
			if err := checkName(args[0]); err != nil {
				return err
			}
			message, err := a.message(args[1])
			if err != nil {
				return err
			}
			send := func(c *node.Client, ctx context.Context) (node.Sent, error) { return c.Send(ctx, args[0], message) }
			return onErrand(cmd.Context(), a, timeout, send, func(s node.Sent) {
				a.out.printf("sent %s to %s in %d ms\n", count(s.Bytes, "byte"), s.Peer, s.ElapsedMS)
			})
		},
	}
	a.options.errandFlags(send, &timeout)
	return send
}

// message is the argument itself, or all of standard input for "-".
func (a *app) message(arg string) ([]byte, error) {
	if arg != "-" {
		return []byte(arg), nil
	}
	message, err := io.ReadAll(io.LimitReader(a.stdin, tariproto.MaxFrame+1))
	if err != nil {
		return nil, fmt.Errorf("reading the message: %w", err)
	}
	if len(message) > tariproto.MaxFrame {
		return nil, usagef("the message is longer than %d bytes", tariproto.MaxFrame)
	}
	return message, nil
}

// count is a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}
