package tari_test

import (
	"context"
	"fmt"
	"io"
	"log"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// Two hosts; one greets whoever opens a stream. On a real network Listen is an /ip4/…/tcp/18189 and the zero Config is mainnet.
func Example() {
	listen := []ma.Multiaddr{ma.StringCast("/memory/0")}
	alice, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	alice.SetStreamHandler("/greet/1", func(s network.Stream) { fmt.Fprint(s, "hello"); s.Close() })

	bob, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()
	if err := bob.Connect(context.Background(), peer.AddrInfo{ID: alice.ID(), Addrs: alice.Addrs()}); err != nil {
		log.Fatal(err)
	}
	s, err := bob.NewStream(context.Background(), alice.ID(), "/greet/1")
	if err != nil {
		log.Fatal(err)
	}
	greeting, _ := io.ReadAll(s)
	fmt.Printf("%s\n", greeting)
	// Output: hello
}
