// Gossipsub runs go-libp2p-pubsub, unmodified, over three hosts that speak Tari.
// The first and the last are not connected: what the first publishes reaches
// the last through the one between them.
//
//	go run ./gossipsub
package main

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"sync"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run publishes at one end of a line of three hosts until the other end has heard it.
func run(ctx context.Context, out io.Writer) error {
	ctx, cancel := context.WithCancel(ctx) // of gossipsub and of the publisher
	defer cancel()

	var topics []*pubsub.Topic
	var subscriptions []*pubsub.Subscription
	var before *tari.Host
	for range 3 {
		host, err := tari.New(tari.Config{
			Network:            dialect.Localnet,
			Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
			AllowTestAddresses: true, // this is no public network
		})
		if err != nil {
			return err
		}
		defer host.Close()
		topic, subscription, err := join(ctx, host)
		if err != nil {
			return err
		}
		topics, subscriptions = append(topics, topic), append(subscriptions, subscription)

		if before != nil {
			if err := host.Connect(ctx, peer.AddrInfo{ID: before.ID(), Addrs: before.Addrs()}); err != nil {
				return err
			}
		}
		before = host
	}

	// What is published before the hosts have found each other in the topic reaches
	// nobody, so it is said again every now and then.
	var publishing sync.WaitGroup
	defer publishing.Wait()
	defer cancel()
	publishing.Go(func() {
		again := time.NewTicker(200 * time.Millisecond)
		defer again.Stop()
		for i := 1; ctx.Err() == nil; i++ {
			_ = topics[0].Publish(ctx, fmt.Appendf(nil, "hello, for the %d. time", i))
			select {
			case <-again.C:
			case <-ctx.Done():
			}
		}
	})

	m, err := subscriptions[2].Next(ctx)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "%q\nwritten by %s\nheard from %s\n", m.Data, m.GetFrom(), m.ReceivedFrom)
	if m.ReceivedFrom == m.GetFrom() {
		return fmt.Errorf("%s came directly, not through the middle", m.Data)
	}
	return nil
}

// join starts gossipsub on a host and subscribes it to the example's topic.
func join(ctx context.Context, host *tari.Host) (*pubsub.Topic, *pubsub.Subscription, error) {
	gossip, err := pubsub.NewGossipSub(ctx, host)
	if err != nil {
		return nil, nil, err
	}
	topic, err := gossip.Join("/example/greetings/1")
	if err != nil {
		return nil, nil, err
	}
	subscription, err := topic.Subscribe()
	return topic, subscription, err
}
