package main

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/spf13/cobra"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// maxCallPayload is the largest request that a server of tari_comms takes, in bytes.
const maxCallPayload = 6 << 20

// called is one answer of a call.
type called struct {
	Answer  int    `json:"answer"` // from 1 on
	Size    int    `json:"size"`
	Payload []byte `json:"payload"`
}

// callEnd is printed behind the answers.
type callEnd struct {
	Answers   int   `json:"answers"`
	ElapsedMS int64 `json:"elapsed_ms"`
}

func (a *app) rpcCommand() *cobra.Command {
	c := &cobra.Command{Use: "rpc", Short: "Services of peers", Args: cobra.NoArgs, RunE: needsSubcommand}
	c.AddCommand(a.rpcCallCommand())
	return c
}

func (a *app) rpcCallCommand() *cobra.Command {
	var (
		timeout time.Duration
		raw     bool
		limit   = positive(0)
	)
	c := &cobra.Command{
		Use:   "call PUBKEY::ADDRESS PROTOCOL METHOD [HEX|@FILE|-]",
		Short: "Call a method of a peer's service by its number, and print the bytes of each answer",
		Long: "Call a method of a peer's service by its number, with a throw-away identity, and print the bytes of each answer: one\n" +
			"of a unary method, any number of a streaming one. The payload is a protobuf message: in hexadecimal, from a file,\n" +
			"from standard input, or empty. Answers are a line of hexadecimal each; --raw writes them as they are.",
		Example: "  tari-libp2p rpc call PUBKEY::ADDRESS t/blksync/1 5          get_chain_metadata of a base node\n" +
			"  tari-libp2p rpc call PUBKEY::ADDRESS t/blksync/1 3 0864     get_header_by_height of 100",
		Args: cobra.RangeArgs(3, 4),
		RunE: func(cmd *cobra.Command, args []string) error {
			peer, err := parsePeer(args[0])
			if err != nil {
				return err
			}
			method, err := strconv.ParseUint(args[2], 10, 32)
			if err != nil {
				return usagef("%s: a method is a number", quote(args[2]))
			}
			payload, err := a.payload(args[3:])
			if err != nil {
				return err
			}
			if raw && a.json {
				return usagef("--raw and --json exclude each other")
			}
			ctx, cancel := context.WithTimeout(cmd.Context(), timeout)
			defer cancel()
			return a.asStranger(ctx, []tari.Address{peer}, func(n *node.Node) error {
				service := n.RPC.Peer(peer.Key.PeerID(), protocol.ID(args[1]))
				return a.call(ctx, service, rpc.Raw{Number: uint32(method)}, payload, int(limit), raw)
			})
		},
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	timeoutFlag(c, &timeout)
	c.Flags().BoolVar(&raw, "raw", false, "write the bytes of the answers as they are, one after the other")
	c.Flags().Var(&limit, "limit", "stop after so many `answers`")
	return c
}

// call prints answers until their end, an error, or limit, if it is not 0.
func (a *app) call(ctx context.Context, to rpc.Caller, method rpc.Raw, payload []byte, limit int, raw bool) error {
	began, answers := time.Now(), 0
	for answer, err := range method.Call(ctx, to, payload) {
		if err != nil {
			return err
		}
		answers++
		switch {
		case a.json:
			err = a.out.json(called{answers, len(answer), answer})
		case raw:
			err = a.out.raw(answer)
		default:
			a.out.printf("%x\n", answer)
		}
		if err != nil {
			return err
		}
		if answers == limit {
			break
		}
	}
	if a.json {
		return a.out.json(callEnd{answers, time.Since(began).Milliseconds()})
	}
	if answers == 0 {
		a.err.printf("an empty answer, or a stream without items\n")
	}
	return nil
}

// payload is what a call sends: the bytes of its argument, if there is one.
func (a *app) payload(args []string) (payload []byte, err error) {
	switch {
	case len(args) == 0:
		return nil, nil
	case args[0] == "-":
		payload, err = io.ReadAll(io.LimitReader(a.stdin, maxCallPayload+1))
	case strings.HasPrefix(args[0], "@"):
		name := args[0][1:]
		var f *os.File
		if f, err = os.Open(name); err != nil {
			return nil, notRead(name, err)
		}
		defer f.Close()
		payload, err = io.ReadAll(io.LimitReader(f, maxCallPayload+1))
	default:
		if payload, err = hex.DecodeString(args[0]); err != nil {
			return nil, usagef("%s: a payload is in hexadecimal, @FILE, or - for standard input", quote(args[0]))
		}
	}
	if err == nil && len(payload) > maxCallPayload {
		err = usagef("the payload is longer than %d bytes", maxCallPayload)
	}
	if err != nil {
		return nil, fmt.Errorf("reading the payload: %w", err)
	}
	return payload, nil
}

// asStranger runs f with a node that has a throw-away identity, leaves nothing behind, and knows where the peers are.
func (a *app) asStranger(ctx context.Context, peers []tari.Address, f func(*node.Node) error) error {
	network, err := networkByName(a.options.network)
	if err != nil {
		return err
	}
	n, err := node.Errand(ctx, node.Config{Network: network, Tor: a.options.tor, AllowTestAddresses: true}) // nothing is stored
	if err != nil {
		return err
	}
	for _, peer := range peers {
		n.Host.SetConfigured(peer.AddrInfo())
	}
	return errors.Join(f(n), n.Close())
}
