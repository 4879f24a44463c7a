//go:build interop && linux

package netns

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/interop/pattern"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// crowdEnv is set in a process that is a crowd: so many hosts of ours, spread over so many lanes.
const crowdEnv = "TARI_LIBP2P_CROWD"

// TestCrowd is no test but that process. It is driven as the Rust peers are; each command says which host it is for.
func TestCrowd(t *testing.T) {
	var n, lanes int
	if _, err := fmt.Sscanf(os.Getenv(crowdEnv), "%d/%d", &n, &lanes); err != nil {
		t.Skip("only run by TestSoak")
	}
	c := &crowd{}
	ready := line{Event: "ready"}
	for i := range n {
		h := &crowdHost{crowd: c, index: i, cfg: tari.Config{
			Listen:             []ma.Multiaddr{ma.StringCast("/ip4/" + farIP(i%lanes) + "/tcp/0")},
			AllowTestAddresses: true,
		}}
		var err error
		if h.cfg.Key, err = tarikey.GenerateKey(nil); err != nil {
			t.Fatal(err)
		}
		if err := h.start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = h.stop() })
		h.cfg.Listen = h.host.Network().ListenAddresses() // the same port after a restart
		key := h.cfg.Key.Public()
		ready.Hosts = append(ready.Hosts, line{PublicKey: key.String(), NodeID: key.NodeID().String(), Address: h.cfg.Listen[0].String()})
		c.hosts = append(c.hosts, h)
	}
	c.say(ready)
	var busy sync.WaitGroup
	defer busy.Wait()
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		var command command
		if err := json.Unmarshal(lines.Bytes(), &command); err != nil {
			t.Fatal(err)
		}
		if command.Cmd == "quit" {
			return
		}
		busy.Go(func() {
			reply := line{Event: "reply", ID: command.ID, OK: true}
			if command.Cmd == "trail" {
				reply.Trail = c.hosts[command.Host].story()
			} else if err := c.hosts[command.Host].execute(command); err != nil {
				reply.OK, reply.Error = false, err.Error()
			}
			c.say(reply)
		})
	}
}

// command is what a crowd is asked for.
type command struct {
	Cmd       string   `json:"cmd"`
	ID        int      `json:"id"`
	Host      int      `json:"host"`
	PublicKey string   `json:"public_key"`
	Addresses []string `json:"addresses"`
	Ends      []string `json:"ends"` // of connections
	Seed      uint64   `json:"seed"`
	Count     int      `json:"count"`
	Size      int      `json:"size"`
}

type crowd struct {
	hosts []*crowdHost
	mu    sync.Mutex // of standard output
}

func (c *crowd) say(l line) {
	raw, err := json.Marshal(l)
	if err != nil {
		panic(err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	_, _ = os.Stdout.Write(append(raw, '\n'))
}

// crowdHost is one of a crowd. Its commands come one after the other.
type crowdHost struct {
	crowd *crowd
	index int
	cfg   tari.Config
	host  *tari.Host
	msgs  *messagingproto.Service
	trail trail // of the one peer that it has
}

func (h *crowdHost) start() (err error) {
	if h.host, err = tari.New(h.cfg); err != nil {
		return err
	}
	follow(h.host.Network(), func(peer.ID) *trail { return &h.trail })
	if h.msgs, err = messagingproto.New(h.host, messagingproto.Config{OnViolation: h.host.Offence}); err != nil {
		return err
	}
	h.msgs.Handle(func(_ context.Context, _ peer.ID, body []byte) {
		h.crowd.say(line{Event: "message", Host: h.index, SHA256: sum(body)})
	})
	return nil
}

// story is what happened to its connections, and which there are.
func (h *crowdHost) story() []string {
	said := h.trail.all()
	for _, p := range h.host.Network().Peers() {
		said = append(said, standing(h.host.Network(), p)...)
	}
	return said
}

func (h *crowdHost) stop() error { return errors.Join(h.msgs.Close(), h.host.Close()) }

func (h *crowdHost) execute(c command) error {
	if c.Cmd == "restart" {
		if err := h.stop(); err != nil {
			return err
		}
		return h.start()
	}
	ctx := context.Background()
	key, err := tarikey.PublicKeyFromHex(c.PublicKey)
	if err != nil {
		return err
	}
	id := key.PeerID()
	switch c.Cmd {
	case "dial":
		return h.host.Connect(ctx, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{ma.StringCast(c.Addresses[0])}})
	case "connected":
		have := ends(h.host.Network(), id, false)
		if len(have) == 0 {
			return errors.New("not connected")
		}
		for _, want := range c.Ends {
			if !slices.Contains(have, want) {
				return errors.New("not by " + want)
			}
		}
		return nil
	case "disconnect":
		return h.host.Network().ClosePeer(id)
	case "send":
		messages := make([][]byte, c.Count)
		for i := range messages {
			messages[i] = pattern.Message(c.Seed, i, c.Size)
		}
		for i, r := range h.msgs.SendMany(ctx, id, messages) {
			if r.Err != nil {
				return fmt.Errorf("message %d: %w", i, r.Err)
			}
		}
		return nil
	default:
		return errors.New("no such command: " + strconv.Quote(c.Cmd))
	}
}
