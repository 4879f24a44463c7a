// Ping runs go-libp2p's own ping protocol, unmodified, between two hosts that
// speak Tari: a tari.Host is a go-libp2p host like any other.
//
//	go run ./ping
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/protocol/ping"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout, 5); err != nil {
		log.Fatal(err)
	}
}

// run starts two hosts, has one ping the other count times and prints the round trips.
func run(ctx context.Context, out io.Writer, count int) error {
	server, err := start()
	if err != nil {
		return err
	}
	defer server.Close()
	client, err := start()
	if err != nil {
		return err
	}
	defer client.Close()

	ping.NewPingService(server) // answers
	if err := client.Connect(ctx, peer.AddrInfo{ID: server.ID(), Addrs: server.Addrs()}); err != nil {
		return err
	}
	fmt.Fprintf(out, "%s at %s\n", server.PublicKey(), server.Addrs()[0])

	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the pings
	results := ping.Ping(ctx, client, server.ID())
	for i := range count {
		select {
		case r := <-results:
			if r.Error != nil {
				return r.Error
			}
			fmt.Fprintf(out, "ping %d: %v\n", i+1, r.RTT)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func start() (*tari.Host, error) {
	return tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true, // this is no public network
	})
}
