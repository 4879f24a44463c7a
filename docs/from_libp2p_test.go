package docs_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"time"

	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

const greet protocol.ID = "/example/greet/1"

func startHost(plain tari.Libp2p) (*tari.Host, error) {
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		return nil, err
	}
	host, err := tari.New(tari.Config{
		Key:                key,                                                     // libp2p.Identity
		Network:            dialect.Localnet,                                        // which of Tari's networks
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},   // libp2p.ListenAddrs
		Public:             []ma.Multiaddr{ma.StringCast("/ip4/203.0.113.7/tcp/1")}, // libp2p.AddrsFactory
		UserAgent:          "example/1",                                             // libp2p.UserAgent
		AllowTestAddresses: true,                                                    // loopback, for this example
		Limits:             tari.Limits{Libp2p: plain},                              // nil: Tari peers only
	})
	if err != nil {
		return nil, err
	}
	host.SetStreamHandler(greet, func(s network.Stream) {
		fmt.Fprint(s, "hello")
		s.Close()
	})
	return host, nil
}

func Example_fromLibp2p() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := startHost(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := startHost(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()

	identified, err := bob.EventBus().Subscribe(new(event.EvtPeerIdentificationCompleted))
	if err != nil {
		log.Fatal(err)
	}
	defer identified.Close()
	if err := bob.Connect(ctx, peer.AddrInfo{ID: alice.ID(), Addrs: alice.Network().ListenAddresses()}); err != nil {
		log.Fatal(err)
	}
	e := (<-identified.Out()).(event.EvtPeerIdentificationCompleted)
	fmt.Println(e.AgentVersion, "serves", e.Protocols)

	claim, _ := bob.Claim(alice.ID()) // while connected
	key, err := tarikey.PublicKeyFromPeerID(alice.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(key == claim.Key, key.PeerID() == alice.ID(), claim.Features, claim.Addresses)

	s, err := bob.NewStream(ctx, alice.ID(), greet)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	greeting, err := io.ReadAll(s)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", greeting)
	// Output:
	// example/1 serves [/example/greet/1]
	// true true MESSAGE_PROPAGATION | DHT_STORE_FORWARD [/ip4/203.0.113.7/tcp/1]
	// hello
}

func Example_plainLibp2p() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	plain, err := plainlibp2p.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	host, err := startHost(plain)
	if err != nil {
		log.Fatal(err)
	}
	defer host.Close()
	other, err := plainlibp2p.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	peerOfPlainLibp2p, err := startHost(other)
	if err != nil {
		log.Fatal(err)
	}
	defer peerOfPlainLibp2p.Close()

	here := peer.AddrInfo{ID: plain.ID(), Addrs: host.Network().ListenAddresses()} // what plain peers dial
	if err := peerOfPlainLibp2p.Connect(ctx, here); err != nil {
		log.Fatal(err)
	}
	s, err := peerOfPlainLibp2p.NewStream(ctx, here.ID, greet)
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	greeting, _ := io.ReadAll(s)
	fmt.Printf("%s over %s\n", greeting, s.Conn().ConnState().Security)
	// Output: hello over /noise
}
