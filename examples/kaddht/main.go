// Kaddht runs go-libp2p-kad-dht, unmodified, over four hosts that speak Tari.
// Three of them know only the first. One puts a value into the DHT and another
// gets it; one asks where another is, and is told.
//
// Kad-dht takes a peer into its routing table when go-libp2p's identify has said
// that the peer speaks the DHT's protocol, and where it listens. Tari hosts do
// not run identify; each connection begins with a claim that says the same:
// user agent, addresses, protocols. The host writes it into its peerstore and
// then emits go-libp2p's EvtPeerIdentificationCompleted, which is what kad-dht
// waits for. Two things follow:
//
//   - make the DHT before you connect: a claim is given once a connection, and
//     lists the protocols served at that time;
//   - say dht.ModeServer: nobody tells a Tari host whether it can be reached
//     from outside, so in ModeAuto it would stay a client for ever.
//
// Run it:
//
//	go run ./kaddht
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"slices"
	"time"

	dht "github.com/libp2p/go-libp2p-kad-dht"
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

// run finds a peer, then stores and finds a value.
func run(ctx context.Context, out io.Writer) error {
	var members []*member
	for range 4 {
		m, err := join(ctx, members)
		if err != nil {
			return err
		}
		defer m.Close()
		members = append(members, m)
	}
	first, second, third, fourth := members[0], members[1], members[2], members[3]

	// All know the first by now, and the first must know all.
	if err := first.knows(ctx, 3); err != nil {
		return err
	}
	if known := fourth.host.Peerstore().Addrs(second.host.ID()); len(known) > 0 {
		return fmt.Errorf("no need to ask: the fourth knows %v", known)
	}
	found, err := fourth.dht.FindPeer(ctx, second.host.ID())
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(second.host.Addrs(), found.Addrs[0].Equal) {
		return fmt.Errorf("found %v, where the second is not", found)
	}
	fmt.Fprintf(out, "found  %s at %s\n", found.ID, found.Addrs[0])

	if err := second.dht.PutValue(ctx, "/example/greeting", []byte("hello")); err != nil {
		return err
	}
	value, err := third.dht.GetValue(ctx, "/example/greeting")
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "got    %q\n", value)
	return nil
}

// member is a host and its part of the DHT.
type member struct {
	host *tari.Host
	dht  *dht.IpfsDHT
}

// join starts a host with a DHT and connects it to the first of the others.
func join(ctx context.Context, others []*member) (*member, error) {
	host, err := tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true, // this is no public network
	})
	if err != nil {
		return nil, err
	}
	table, err := dht.New(host,
		dht.Mode(dht.ModeServer),
		dht.ProtocolPrefix("/example"), // a DHT of our own: its protocol is /example/kad/1.0.0
		dht.NamespacedValidator("example", anything{}),
		dht.DisableAutoRefresh(), // nobody looks around before we ask
	)
	if err != nil {
		host.Close()
		return nil, err
	}
	m := &member{host, table}
	if len(others) > 0 {
		first := others[0].host
		err = host.Connect(ctx, peer.AddrInfo{ID: first.ID(), Addrs: first.Addrs()})
		if err == nil {
			err = m.knows(ctx, 1)
		}
	}
	if err != nil {
		m.Close()
		return nil, err
	}
	return m, nil
}

// Close ends the DHT, then the host.
func (m *member) Close() error { return errors.Join(m.dht.Close(), m.host.Close()) }

// knows waits until the routing table has n peers: kad-dht checks each before it takes it in.
func (m *member) knows(ctx context.Context, n int) error {
	look := time.NewTicker(10 * time.Millisecond)
	defer look.Stop()
	for m.dht.RoutingTable().Size() < n {
		select {
		case <-look.C:
		case <-ctx.Done():
			return fmt.Errorf("%d of %d peers in the routing table: %w", m.dht.RoutingTable().Size(), n, ctx.Err())
		}
	}
	return nil
}

// anything takes every value for valid, and the first for the best.
type anything struct{}

func (anything) Validate(string, []byte) error        { return nil }
func (anything) Select(string, [][]byte) (int, error) { return 0, nil }
