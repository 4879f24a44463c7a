package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/spf13/cobra"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// Events of a chain.
const (
	eventHeader   = "header"
	eventBlock    = "block"
	eventRollback = "rollback"
)

// chainEvent begins each line of headers and blocks; of a rollback it is the whole.
type chainEvent struct {
	Event  string        `json:"event"`
	Height uint64        `json:"height"`
	Hash   basenode.Hash `json:"hash"`
}

// headerFields are the header of a block.
type headerFields struct {
	Prev          basenode.Hash `json:"prev_hash"`
	Timestamp     time.Time     `json:"timestamp"`
	Version       uint16        `json:"version"`
	PowAlgo       uint8         `json:"pow_algo"`
	PowData       []byte        `json:"pow_data"`
	Nonce         string        `json:"nonce"` // too large for the numbers of some that read JSON
	OutputMR      basenode.Hash `json:"output_mr"`
	BlockOutputMR basenode.Hash `json:"block_output_mr"`
	KernelMR      basenode.Hash `json:"kernel_mr"`
	InputMR       basenode.Hash `json:"input_mr"`
	KernelOffset  basenode.Hash `json:"total_kernel_offset"`
	ScriptOffset  basenode.Hash `json:"total_script_offset"`
	KernelMMRSize uint64        `json:"kernel_mmr_size"`
	OutputMMRSize uint64        `json:"output_mmr_size"`
	ValidatorMR   basenode.Hash `json:"validator_node_merkle_root"`
	ValidatorSize uint64        `json:"validator_node_size"`
}

// bodyField is the body of a block, in protobuf's own JSON.
type bodyField struct {
	Body json.RawMessage `json:"body"`
}

// chainOptions are the options of headers and blocks.
type chainOptions struct {
	bodies   bool
	from     uint64
	after    pointFlag
	file     string
	count    uint64
	follow   bool
	interval time.Duration
}

func (o *chainOptions) event() string {
	if o.bodies {
		return eventBlock
	}
	return eventHeader
}

const chainHelp = "\n\nWith several peers the first is asked; when it fails, has no session left or lies, the next goes on from there, and why is\n" +
	"told on standard error. When the chain is replaced from some block on, a rollback says which block is now the last, and\n" +
	"what follows comes in place of what was printed above it. --file keeps the lines in a file and goes on where it ends."

func (a *app) headersCommand() *cobra.Command {
	return a.chainCommand(&chainOptions{}, &cobra.Command{
		Use:   "headers PUBKEY::ADDRESS…",
		Short: "Stream the headers of a base node's chain",
		Long: "Stream the headers of a base node's chain up to its tip. Each is checked to follow on the one before; proof of work is\n" +
			"not checked." + chainHelp,
		Example: "  tari-libp2p headers PUBKEY::ADDRESS --from 100000 --count 10 --json\n" +
			"  tari-libp2p headers PUBKEY::ADDRESS PUBKEY::ADDRESS --file headers.ndjson --follow",
	})
}

func (a *app) blocksCommand() *cobra.Command {
	return a.chainCommand(&chainOptions{bodies: true}, &cobra.Command{
		Use:   "blocks PUBKEY::ADDRESS…",
		Short: "Stream the blocks of a base node's chain, with their bodies",
		Long: "Stream the blocks of a base node's chain up to its tip, from block 1 on: the first no node sends. Headers are checked to\n" +
			"follow on each other; that a body is the one of its header the peer says." + chainHelp,
	})
}

func (a *app) chainCommand(o *chainOptions, c *cobra.Command) *cobra.Command {
	c.Args = cobra.MinimumNArgs(1)
	c.RunE = func(cmd *cobra.Command, args []string) error {
		if cmd.Flags().Changed("from") && o.after.set {
			return usagef("--from and --after exclude each other")
		}
		return a.streamChain(cmd.Context(), args, o)
	}
	a.options.networkFlag(c)
	a.options.socksFlag(c)
	f := c.Flags()
	f.Uint64Var(&o.from, "from", 0, "begin with the block of this `height`")
	f.Var(&o.after, "after", "begin behind the block `HEIGHT:HASH`")
	f.StringVar(&o.file, "file", "", "append JSON lines to `FILE`, and go on where it ends if it is there")
	f.Uint64Var(&o.count, "count", 0, "stop after `N` blocks (default: at the tip)")
	f.BoolVar(&o.follow, "follow", false, "go on at the tip, until Ctrl-C")
	o.interval = 30 * time.Second
	f.Var((*period)(&o.interval), "interval", "with --follow: look for new blocks after this `time`")
	return c
}

// streamChain walks along the chain and writes what it meets.
func (a *app) streamChain(ctx context.Context, args []string, o *chainOptions) error {
	peers, err := parsePeers(args)
	if err != nil {
		return err
	}
	network, err := networkByName(a.options.network)
	if err != nil {
		return err
	}
	cfg := basenode.CursorConfig{Height: o.from}
	if o.after.set {
		cfg.After = []basenode.Point{o.after.Point}
	}
	out := a.chainPrinter()
	if o.file != "" {
		file, err := openChainFile(o.file, o.event())
		if err != nil {
			return err
		}
		defer file.Close()
		if len(file.points) > 0 {
			cfg.After = file.points
		}
		out = (&printer{w: file}).json
	}
	bar := a.progress(o.file == "")
	var ids []peer.ID
	for _, p := range peers {
		ids = append(ids, p.Key.PeerID())
	}
	return a.asStranger(ctx, peers, func(n *node.Node) error {
		nodes, err := basenode.NewPeers(n.Host, ids, basenode.PeersConfig{
			Config: basenode.Config{Network: network},
			OnLeave: func(e *basenode.PeerError) {
				bar.Aside(func() { a.err.printf("tari-libp2p: left %s\n", oneLine(e)) })
			},
		})
		if err != nil {
			return usageError{err}
		}
		defer nodes.Close()
		s := &chainStream{chainOptions: o, cursor: basenode.NewCursor(nodes, cfg), out: out, bar: bar}
		if err := s.run(ctx, a.err); err != nil {
			return err
		}
		if o.file != "" && !a.json {
			a.out.printf("%s written to %s\n", count(int(s.given), o.event()), o.file)
		}
		return nil
	})
}

// chainStream is one run of headers or blocks.
type chainStream struct {
	*chainOptions
	cursor *basenode.Cursor
	out    func(...any) error
	bar    *terminal.Progress
	given  uint64 // blocks
	moved  bool   // it got as far as a tip
}

var errEnough = errors.New("as many as were asked for")

// run walks to the tip, and with --follow again and again. There, peers that fail once it has begun are asked again later.
func (s *chainStream) run(ctx context.Context, log *printer) error {
	for {
		err := s.walk(ctx)
		if s.follow && ctx.Err() != nil {
			err = errEnough // Ctrl-C is how it ends
		}
		switch {
		case err == errEnough:
			return nil
		case err == nil:
			s.moved = true
		case s.follow && s.moved && errors.As(err, new(*basenode.NoPeerError)) && !errors.As(err, new(*basenode.DeepReorgError)):
			log.printf("tari-libp2p: %s; again in %s\n", oneLine(failureOf(err)), s.interval)
		default:
			return err
		}
		if !s.follow {
			return nil
		}
		select {
		case <-time.After(s.interval):
		case <-ctx.Done():
			return nil
		}
	}
}

func (s *chainStream) walk(ctx context.Context) error {
	defer s.bar.End()
	steps := s.cursor.Headers(ctx)
	if s.bodies {
		steps = s.cursor.Blocks(ctx)
	}
	for step, err := range steps {
		if err != nil {
			return err
		}
		if err := s.write(step); err != nil {
			return err
		}
		if step.Back {
			continue
		}
		if s.given++; s.given == s.count {
			return errEnough
		}
		s.progress(step)
	}
	return nil
}

// progress shows how far it is to the last block that is wanted, as far as that is known.
func (s *chainStream) progress(at basenode.Step) {
	if at.Tip == 0 {
		return
	}
	left := max(at.Tip, at.Height) - at.Height
	if s.count > 0 {
		left = min(left, s.count-s.given)
	}
	s.bar.Show(int64(s.given), int64(s.given+left), "%s, at height %d of %d", count(int(s.given), s.event()), at.Height, at.Tip)
}

// write writes a step as a line.
func (s *chainStream) write(step basenode.Step) error {
	if step.Back {
		return s.out(chainEvent{eventRollback, step.Height, step.Hash})
	}
	h := step.Header
	line := []any{chainEvent{s.event(), step.Height, step.Hash}, headerFields{
		Prev: h.Prev, Timestamp: h.Time(), Version: h.Version, PowAlgo: h.PowAlgo, PowData: h.PowData, Nonce: strconv.FormatUint(h.Nonce, 10),
		OutputMR: h.OutputMR, BlockOutputMR: h.BlockOutputMR, KernelMR: h.KernelMR, InputMR: h.InputMR,
		KernelOffset: h.KernelOffset, ScriptOffset: h.ScriptOffset, KernelMMRSize: h.KernelMMRSize, OutputMMRSize: h.OutputMMRSize,
		ValidatorMR: h.ValidatorMR, ValidatorSize: h.ValidatorSize,
	}}
	if s.bodies {
		body, err := protojson.MarshalOptions{UseProtoNames: true}.Marshal(step.Body)
		if err != nil {
			return err
		}
		line = append(line, bodyField{body})
	}
	return s.out(line...)
}

// chainPrinter writes steps to standard output.
func (a *app) chainPrinter() func(...any) error {
	if a.json {
		return a.out.json
	}
	return func(line ...any) error {
		e := line[0].(chainEvent)
		if len(line) == 1 {
			a.out.printf("%9d  %s  rollback: what was above is no longer on the chain\n", e.Height, e.Hash)
			return nil
		}
		a.out.printf("%9d  %s  %s%s\n", e.Height, e.Hash, line[1].(headerFields).Timestamp.Format(time.RFC3339), bodyText(line[2:]))
		return nil
	}
}

// bodyText says in a few words what a block has, if its body is there.
func bodyText(body []any) string {
	if len(body) == 0 {
		return ""
	}
	var parts struct{ Inputs, Outputs, Kernels []json.RawMessage }
	if err := json.Unmarshal(body[0].(bodyField).Body, &parts); err != nil {
		return "  " + err.Error()
	}
	return fmt.Sprintf("  %s, %s, %s", count(len(parts.Inputs), "input"), count(len(parts.Outputs), "output"), count(len(parts.Kernels), "kernel"))
}

// pointFlag is HEIGHT:HASH.
type pointFlag struct {
	basenode.Point
	set bool
}

func (p *pointFlag) Type() string { return "HEIGHT:HASH" }

func (p *pointFlag) String() string {
	if !p.set {
		return ""
	}
	return p.Point.String()
}

func (p *pointFlag) Set(text string) (err error) {
	height, hash, _ := bytes.Cut([]byte(text), []byte(":"))
	p.Height, err = strconv.ParseUint(string(height), 10, 64)
	if err == nil {
		p.Hash, err = basenode.ParseHash(string(hash))
	}
	if err != nil {
		return errors.New("HEIGHT:HASH, a number and 64 hexadecimal characters")
	}
	p.set = true
	return nil
}
