//go:build interop

package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
)

// The real tari_comms, of either era, and an unmodified libp2p.New talk to one host of ours, on one port, in turns and at the same time.
func TestRustBesideStockLibp2p(t *testing.T) {
	for _, era := range []struct {
		name, env string
		network   dialect.Network
	}{
		{"modern", "TARI_LIBP2P_RUST_MODERN", dialect.Mainnet},
		{"seed", "TARI_LIBP2P_RUST_SEED", dialect.Stibbons},
	} {
		t.Run(era.name, func(t *testing.T) {
			bin := os.Getenv(era.env)
			if bin == "" {
				if os.Getenv("CI") == "true" {
					t.Fatalf("%s is not set", era.env)
				}
				t.Skipf("no %s Rust peer: scripts/rust-%s.sh builds it; set %s to the path it prints", era.name, era.name, era.env)
			}
			besideStock(t, bin, era.network)
		})
	}
}

func besideStock(t *testing.T, bin string, n dialect.Network) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	plain, err := plainlibp2p.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	us, err := tari.New(tari.Config{
		Network: n, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true, Limits: tari.Limits{Libp2p: plain},
	})
	if err != nil {
		t.Fatal(err)
	}
	defer us.Close()
	messages, err := messagingproto.New(us, messagingproto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer messages.Close()
	got := make(chan string, 100)
	messages.Handle(func(_ context.Context, _ peer.ID, m []byte) { got <- string(m) })
	us.SetStreamHandler("/test/echo/1", func(s network.Stream) { _, _ = io.Copy(s, s); s.Close() })

	stock, err := libp2p.New(libp2p.NoListenAddrs)
	if err != nil {
		t.Fatal(err)
	}
	defer stock.Close()
	if err := stock.Connect(ctx, peer.AddrInfo{ID: plain.ID(), Addrs: us.Addrs()}); err != nil {
		t.Fatal(err)
	}
	say := echoOver(ctx, t, stock, plain.ID())

	rust := startRust(ctx, t, bin)
	rust.do(t, map[string]any{"cmd": "dial", "public_key": us.PublicKey().String(), "addresses": []string{us.Addrs()[0].String()}})
	for i := range 20 {
		text := fmt.Sprintf("message %d", i)
		rust.do(t, map[string]any{"cmd": "send", "node_id": us.PublicKey().NodeID().String(), "hex": fmt.Sprintf("%x", text)})
		say(text)
		select {
		case m := <-got:
			if m != text {
				t.Errorf("got %q, want %q", m, text)
			}
		case <-ctx.Done():
			t.Fatalf("%q does not arrive", text)
		}
	}
	if peers := us.Network().Peers(); len(peers) != 2 {
		t.Errorf("connected to %v", peers)
	}
}

// echoOver opens a stream and returns what says something on it and wants it back.
func echoOver(ctx context.Context, t *testing.T, from host.Host, to peer.ID) func(string) {
	t.Helper()
	s, err := from.NewStream(ctx, to, "/test/echo/1")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	deadline, _ := ctx.Deadline()
	_ = s.SetDeadline(deadline)
	return func(text string) {
		t.Helper()
		if _, err := io.WriteString(s, text); err != nil {
			t.Fatal(err)
		}
		back := make([]byte, len(text))
		if _, err := io.ReadFull(s, back); err != nil || string(back) != text {
			t.Fatalf("%q comes back as %q, %v", text, back, err)
		}
	}
}

// rustPeer is the program in interop/rust: JSON lines in, JSON lines out.
type rustPeer struct {
	in  io.Writer
	out *bufio.Scanner
}

func startRust(ctx context.Context, t *testing.T, bin string) *rustPeer {
	t.Helper()
	cmd := exec.CommandContext(ctx, bin, "--listen", "/ip4/127.0.0.1/tcp/0", "--data-dir", t.TempDir())
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_, _ = io.WriteString(in, "{\"cmd\":\"quit\"}\n")
		in.Close()
		_ = cmd.Wait()
		if t.Failed() {
			t.Logf("%s", stderr.Bytes())
		}
	})
	p := &rustPeer{in: in, out: bufio.NewScanner(out)}
	p.await(t, "ready")
	return p
}

// await skips to an event.
func (p *rustPeer) await(t *testing.T, event string) (line []byte) {
	t.Helper()
	for p.out.Scan() {
		var e struct{ Event, Error string }
		if err := json.Unmarshal(p.out.Bytes(), &e); err != nil {
			t.Fatal(err)
		}
		if e.Event == event {
			return p.out.Bytes()
		}
	}
	t.Fatalf("the Rust peer ended before it said %s: %v", event, p.out.Err())
	return nil
}

// do sends a command and waits for its success.
func (p *rustPeer) do(t *testing.T, command map[string]any) {
	t.Helper()
	line, err := json.Marshal(command)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.in.Write(append(line, '\n')); err != nil {
		t.Fatal(err)
	}
	var reply struct {
		OK    bool
		Error string
	}
	if err := json.Unmarshal(p.await(t, "reply"), &reply); err != nil || !reply.OK {
		t.Fatalf("%s: %s %v", line, reply.Error, err)
	}
}
