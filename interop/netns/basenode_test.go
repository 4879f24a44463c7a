//go:build interop && linux

package netns

import (
	"bytes"
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// nodeEnv names the program of a whole base node, see scripts/rust-node.sh; recordEnv a file for what it answers.
const nodeEnv, recordEnv = "TARI_LIBP2P_RUST_NODE", "TARI_LIBP2P_RECORD"

// blocksMined are how many blocks the base node's chain gets, besides the first.
const blocksMined = 5

// TestBaseNode: a whole base node of Tari, as it is published, begins a chain of its own on localnet, without a network. We read all
// that there is to read from it, over our host, and ask it for peers.
func TestBaseNode(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") != "1" {
		t.Skip("its program takes long to build; TARI_LIBP2P_LONG=1 runs it")
	}
	if os.Getenv(nodeEnv) == "" {
		t.Fatalf("no base node: run scripts/rust-node.sh and set %s to the path it prints", nodeEnv)
	}
	inside(t, func(t *testing.T) {
		b := startBaseNode(t, os.Getenv(nodeEnv))
		b.mine(t, blocksMined)

		us := startLocal(t)
		us.Host.SetConfigured(b.at)
		direct := readNode(t, us.Host, b.at.ID)
		recording := &chaintest.Recording{
			Node: b.version(t), Network: "localnet",
			Built: "by scripts/rust-node.sh: the published crate and its own lock file, without Tor and mimalloc, for the test networks, opt-level 0",
		}
		tape := startTape(t, us.Host, b.at.ID, recording)
		r := readNode(t, tape, us.Host.ID())
		if err := r.Rewards(); err != nil || direct.Tip.Point != r.Tip.Point || r.Tip.Height != blocksMined || r.Mempool != (basenode.MempoolStats{}) {
			t.Errorf("%v; the tip is %+v, the mempool %+v", err, r.Tip, r.Mempool)
		}
		t.Logf("row: %s, a whole base node, read over RPC: tip, headers, blocks, splits, mempool, peers | each answer is read, and each hash is ours | "+
			"%d blocks, %d calls, tip %v", recording.Node, len(r.Blocks), len(recording.Calls), r.Tip.Hash)
		tells(t, us, b.at.ID)
		if file := os.Getenv(recordEnv); file != "" && !t.Failed() {
			if err := recording.Save(file); err != nil {
				t.Fatal(err)
			}
		}
		if outside, dns := sent(t); outside != 0 || dns != 0 {
			t.Logf("the base node sent %d packets to outside of the machine, %d of them for a name server", outside, dns)
		}
	})
}

// startLocal starts a node of ours on localnet, that is told of peers by nobody but the test.
func startLocal(t *testing.T) *node.Node {
	t.Helper()
	n, err := node.Errand(t.Context(), node.Config{
		Network: dialect.Localnet, AllowTestAddresses: true, Listen: []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = n.Close() })
	return n
}

// startTape starts a server on host that asks the base node whatever it is asked, and returns another host that can ask it.
func startTape(t *testing.T, host *tari.Host, to peer.ID, recording *chaintest.Recording) *tari.Host {
	t.Helper()
	pools := rpc.NewPools(host, rpc.PoolConfig{})
	t.Cleanup(func() { pools.Close() })
	server := rpc.NewServer(host, rpc.ServerConfig{})
	t.Cleanup(func() { server.Close() })
	if err := recording.Record(server, func(service protocol.ID) rpc.Caller { return pools.To(to, service) }); err != nil {
		t.Fatal(err)
	}
	asks, err := tari.New(tari.Config{Network: dialect.Localnet, AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { asks.Close() })
	asks.SetConfigured(peer.AddrInfo{ID: host.ID(), Addrs: host.Network().ListenAddresses()})
	return asks
}

// readNode reads all that there is to read.
func readNode(t *testing.T, host *tari.Host, from peer.ID) *chaintest.Reading {
	t.Helper()
	c, err := basenode.New(host, from, basenode.Config{Network: dialect.Localnet})
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	r, err := chaintest.Read(within(t), c)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// tells asks the base node for peers. It has reached nobody, so that it tells of none.
func tells(t *testing.T, us *node.Node, who peer.ID) {
	t.Helper()
	session, err := peersync.Connect(within(t), us.Host, who)
	if err != nil {
		t.Fatal(err)
	}
	defer session.Close()
	answer, err := peersync.Ask(within(t), session, peersync.Query{AllowTestAddresses: true})
	if err != nil || answer.Items != 0 {
		t.Errorf("told of %+v, %v", answer, err)
	}
}

// baseNode is a base node that runs.
type baseNode struct {
	bin string
	at  peer.AddrInfo
}

// The base node's addresses; the namespace has them for itself.
const (
	baseNodePort  = 18189
	baseNodeMiner = 18085 // where a miner asks for work
)

// startBaseNode starts a base node that knows nobody. It ends with the test.
func startBaseNode(t *testing.T, bin string) *baseNode {
	t.Helper()
	dir := t.TempDir()
	args := []string{"--base-path", dir, "--network", "localnet", "--non-interactive-mode", "--disable-splash-screen"}
	for _, setting := range []string{
		"base_node.grpc_enabled=false",
		"base_node.tari_pulse_enabled=false",
		"base_node.p2p.transport.type=tcp",
		fmt.Sprintf("base_node.p2p.transport.tcp.listener_address=/ip4/127.0.0.1/tcp/%d", baseNodePort),
		fmt.Sprintf("base_node.p2p.public_addresses=/ip4/127.0.0.1/tcp/%d", baseNodePort),
		"base_node.p2p.allow_test_addresses=true",
		"base_node.p2p.dht.peer_validator_config.allow_test_addresses=true",
		"p2p.seeds.dns_seeds=",
		"p2p.seeds.peer_seeds=",
		"base_node.xmrig_proxy_enabled=true",
		fmt.Sprintf("base_node.xmrig_proxy_address=/ip4/127.0.0.1/tcp/%d", baseNodeMiner),
		"base_node.xmrig_proxy_wallet_payment_address=" + walletAddress(t),
	} {
		args = append(args, "-p", setting)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = dir // it writes files where it runs
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	said := new(bytes.Buffer)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	exited := make(chan struct{})
	go func() { defer close(exited); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-exited
		if t.Failed() {
			text := said.String()
			t.Logf("the base node said: %s", text[max(0, len(text)-8<<10):])
		}
	})
	b := &baseNode{bin: bin}
	eventually(t, "the base node lets miners in", func() bool {
		select {
		case <-exited:
			t.Fatalf("the base node has ended: %s", said)
		default:
		}
		_, err := b.ask(t, "getblockcount")
		return err == nil
	})
	id, err := node.LoadIdentity(filepath.Join(dir, "localnet", "config", "base_node_id.json"))
	if err != nil {
		t.Fatal(err)
	}
	b.at = peer.AddrInfo{ID: id.Key.Public().PeerID(), Addrs: []ma.Multiaddr{ma.StringCast(fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", baseNodePort))}}
	return b
}

func (b *baseNode) version(t *testing.T) string {
	t.Helper()
	out, err := exec.Command(b.bin, "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(out))
}

// mine makes blocks. On localnet any nonce will do.
func (b *baseNode) mine(t *testing.T, blocks int) {
	t.Helper()
	for n := range blocks {
		work, err := b.ask(t, "getblocktemplate")
		if err != nil {
			t.Fatal(err)
		}
		if work.Height != n+1 || work.Difficulty != 1 {
			t.Fatalf("work for block %d of difficulty %d, after %d", work.Height, work.Difficulty, n)
		}
		if _, err := b.ask(t, "submitblock", work.Blob); err != nil {
			t.Fatal(err)
		}
	}
}

// work is what a miner is given.
type work struct {
	Blob       string `json:"blocktemplate_blob"`
	Height     int    `json:"height"`
	Difficulty int    `json:"difficulty"`
}

// ask is a call of a miner.
func (b *baseNode) ask(t *testing.T, method string, params ...string) (work, error) {
	t.Helper()
	body, err := json.Marshal(map[string]any{"jsonrpc": "2.0", "id": 1, "method": method, "params": params})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, fmt.Sprintf("http://127.0.0.1:%d/json_rpc", baseNodeMiner), bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		return work{}, err
	}
	defer resp.Body.Close()
	var answer struct {
		Result work
		Error  json.RawMessage
	}
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil {
		return work{}, err
	}
	if len(answer.Error) > 0 {
		return work{}, errors.New(method + ": " + string(answer.Error))
	}
	return answer.Result, nil
}

// walletAddress is an address of localnet, of keys that nobody keeps, in hexadecimal: network, features, the keys to view and to spend,
// and a checksum by Damm's algorithm over bytes.
func walletAddress(t *testing.T) string {
	t.Helper()
	address := []byte{dialect.Localnet.WireByte, 3}
	for range 2 {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		address = append(address, key.Public().Bytes()...)
	}
	sum := byte(0)
	for _, b := range address {
		sum ^= b
		overflow := sum&0x80 != 0
		if sum <<= 1; overflow {
			sum ^= 0x1b
		}
	}
	return hex.EncodeToString(append(address, sum))
}
