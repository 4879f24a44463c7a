package main

import (
	"bytes"
	"context"
	"encoding/base64"
	"encoding/json"
	"iter"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"google.golang.org/protobuf/types/known/emptypb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// startService starts a node with the service t/test/1 and returns its PUBKEY::ADDRESS: method 1 echoes, 2 counts so far, 3 finds
// nothing, 4 never answers.
func startService(t *testing.T, network dialect.Network) string {
	t.Helper()
	n, err := node.New(node.Config{Network: network, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	err = n.RPC.Register("t/test/1",
		rpc.Unary[*wrapperspb.BytesValue, *wrapperspb.BytesValue]{Number: 1}.Serve(func(_ context.Context, _ peer.ID, b *wrapperspb.BytesValue) (*wrapperspb.BytesValue, error) {
			return b, nil
		}),
		rpc.Streaming[*wrapperspb.UInt64Value, *wrapperspb.UInt64Value]{Number: 2}.Serve(func(_ context.Context, _ peer.ID, n *wrapperspb.UInt64Value) iter.Seq2[*wrapperspb.UInt64Value, error] {
			return func(yield func(*wrapperspb.UInt64Value, error) bool) {
				for i := uint64(1); i <= n.Value && yield(wrapperspb.UInt64(i), nil); i++ {
				}
			}
		}),
		rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 3}.Serve(func(context.Context, peer.ID, *emptypb.Empty) (*emptypb.Empty, error) {
			return nil, &rpc.Status{Code: rpc.NotFound, Text: "there is none \x1b[2J"}
		}),
		rpc.Unary[*emptypb.Empty, *emptypb.Empty]{Number: 4}.Serve(func(ctx context.Context, _ peer.ID, _ *emptypb.Empty) (*emptypb.Empty, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}))
	if err != nil {
		t.Fatal(err)
	}
	if err := n.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	at, err := n.Host.Network().InterfaceListenAddresses()
	if err != nil || len(at) == 0 {
		t.Fatal(at, err)
	}
	return n.Identity.String() + "::" + at[0].String()
}

func TestRPCCall(t *testing.T) {
	for _, network := range []dialect.Network{dialect.Mainnet, dialect.Stibbons} {
		t.Run(network.Name, func(t *testing.T) {
			at := startService(t, network)
			call := func(stdin string, args ...string) result {
				return commandIn(t, stdin, append([]string{"rpc", "call", "--network", network.Name, at, "t/test/1"}, args...)...)
			}
			hello := "0a0568656c6c6f"
			file := filepath.Join(t.TempDir(), "payload")
			if err := os.WriteFile(file, []byte("\x0a\x05hello"), 0o600); err != nil {
				t.Fatal(err)
			}
			for _, args := range [][]string{{"1", hello}, {"1", "@" + file}, {"1", "-"}} {
				if r := call("\x0a\x05hello", args...); r.code != exitOK || r.out != hello+"\n" {
					t.Errorf("%v: %+v", args, r)
				}
			}
			if r := call("", "1", hello, "--raw"); r.code != exitOK || r.out != "\x0a\x05hello" {
				t.Errorf("raw: %+v", r)
			}
			if r := call("", "1"); r.code != exitOK || r.out != "" || !strings.Contains(r.err, "empty") {
				t.Errorf("an empty answer: %+v", r)
			}
			if r := call("", "2", "0803"); r.code != exitOK || r.out != "0801\n0802\n0803\n" {
				t.Errorf("a stream: %+v", r)
			}
			r := call("", "2", "0864", "--limit", "2", "--json")
			lines := strings.Split(strings.TrimSpace(r.out), "\n")
			if r.code != exitOK || len(lines) != 3 {
				t.Fatalf("two of a hundred: %+v", r)
			}
			for i, line := range lines {
				var o map[string]any
				if err := json.Unmarshal([]byte(line), &o); err != nil || o["schema"] != 1.0 {
					t.Fatalf("%v in %s", err, line)
				}
				payload := base64.StdEncoding.EncodeToString([]byte{8, byte(i + 1)})
				if i < 2 && (o["answer"] != float64(i+1) || o["payload"] != payload || o["size"] != 2.0) || i == 2 && o["answers"] != 2.0 {
					t.Errorf("line %d: %s", i, line)
				}
			}
		})
	}
}

func TestRPCCallFails(t *testing.T) {
	at := startService(t, dialect.Mainnet)
	for name, c := range map[string]struct {
		args   []string
		code   int
		reason string
	}{
		"a status":            {[]string{at, "t/test/1", "3"}, exitRefused, "not found"},
		"no such method":      {[]string{at, "t/test/1", "77"}, exitRefused, "unsupported method"},
		"no such service":     {[]string{at, "t/none/1", "1"}, exitRefused, ""},
		"no answer":           {[]string{at, "t/test/1", "4", "--timeout", "1s"}, exitTimeout, ""},
		"nobody":              {[]string{key(at) + "::/ip4/127.0.0.1/tcp/1", "t/test/1", "1"}, exitUnreachable, ""},
		"another key":         {[]string{key(friend) + "::" + strings.SplitN(at, "::", 2)[1], "t/test/1", "1"}, exitAuthentication, ""},
		"no number":           {[]string{at, "t/test/1", "one"}, exitUsage, ""},
		"no hexadecimal":      {[]string{at, "t/test/1", "1", "xyz"}, exitUsage, ""},
		"no such file":        {[]string{at, "t/test/1", "1", "@/nonexistent/file"}, exitNotFound, ""},
		"two forms of output": {[]string{at, "t/test/1", "1", "--raw"}, exitUsage, ""},
		"no peer":             {[]string{"peer", "t/test/1", "1"}, exitUsage, ""},
	} {
		r := command(t, append([]string{"rpc", "call", "--json"}, c.args...)...)
		if o := r.object(t); r.code != c.code || o["error"] == nil || c.reason != "" && o["reason"] != c.reason {
			t.Errorf("%s: code %d, %s", name, r.code, r.out)
		}
	}
	if r := commandIn(t, string(bytes.Repeat([]byte{1}, maxCallPayload+1)), "rpc", "call", at, "t/test/1", "1", "-"); r.code != exitUsage {
		t.Errorf("a payload that is too long: %+v", r)
	}
	if r := command(t, "rpc", "call", at, "t/test/1", "3"); strings.Contains(r.err, "\x1b") || !strings.Contains(r.err, "there is none") {
		t.Errorf("a peer's text: %q", r.err)
	}
}
