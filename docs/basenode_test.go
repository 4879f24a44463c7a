package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/basenode"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/chaintest"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// chainNode is a node with a chain of 20 blocks and a fork of it.
func chainNode() (*tari.Host, *chaintest.Chain, func()) {
	h, err := tari.New(tari.Config{Network: dialect.Localnet, Listen: []ma.Multiaddr{ma.StringCast("/memory/0")}, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	chain, server := chaintest.New(dialect.Localnet, 20), rpc.NewServer(h, rpc.ServerConfig{})
	if err := chain.Register(server); err != nil {
		log.Fatal(err)
	}
	return h, chain, func() {
		server.Close()
		h.Close()
	}
}

// follow copies the chain of some base nodes, to the tip.
func follow(ctx context.Context, cursor *basenode.Cursor, store map[uint64]basenode.Hash) error {
	for step, err := range cursor.Headers(ctx) {
		if err != nil {
			return err
		}
		if step.Back { // what was above is no longer on the chain
			for height := step.Height + 1; store[height] != (basenode.Hash{}); height++ {
				delete(store, height)
			}
			continue
		}
		store[step.Height] = step.Hash
	}
	return nil
}

func Example_basenode() {
	node, chain, stop := chainNode()
	defer stop()
	other, _, stopOther := chainNode()
	defer stopOther()
	host, err := tari.New(tari.Config{Network: dialect.Localnet, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, h := range []*tari.Host{node, other} {
		host.SetConfigured(peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()})
	}

	cfg := basenode.Config{Network: dialect.Localnet}
	client, err := basenode.New(host, node.ID(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer client.Close()
	tip, err := client.Tip(ctx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("tip", tip.Height, "of difficulty", tip.Difficulty)
	for header, err := range client.Headers(ctx, tip.Point, 0) {
		fmt.Println(header, err) // there is none behind the tip
	}

	peers, err := basenode.NewPeers(host, []peer.ID{node.ID()}, basenode.PeersConfig{Config: cfg})
	if err != nil {
		log.Fatal(err)
	}
	defer peers.Close()
	store := map[uint64]basenode.Hash{}
	cursor := basenode.NewCursor(peers, basenode.CursorConfig{})
	for range 2 {
		if err := follow(ctx, cursor, store); err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(store), "headers", store[20] == chain.Points()[20].Hash)
		chain.Set(25, 15, 1, 2000) // another chain from block 16 on, with more work
	}

	second, err := basenode.New(host, other.ID(), cfg)
	if err != nil {
		log.Fatal(err)
	}
	defer second.Close()
	found, err := basenode.Compare(ctx, []*basenode.Client{client, second})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println("one chain:", found.Agree(), "the same up to", found.Common.Height)

	chain.LieAt(10, chaintest.Height)
	_, err = client.HeaderByHeight(ctx, 10)
	if bad, ok := errors.AsType[*basenode.BadAnswerError](err); ok {
		fmt.Println(bad.Fault)
	}
	// Output:
	// tip 20 of difficulty 1000
	// 21 headers true
	// 26 headers true
	// one chain: false the same up to 15
	// not the height that was due
}
