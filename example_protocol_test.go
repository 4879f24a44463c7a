package tari_test

import (
	"context"
	"fmt"
	"log"
	"strings"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// A protocol of one's own is one call. Whoever connects from then on finds it in our claim. This one has Tari's frames, each behind its
// length; a raw one reads and writes the stream as it likes. The peer and its key are those of the stream's connection.
func ExampleHost_SetStreamHandler() {
	listen := []ma.Multiaddr{ma.StringCast("/memory/0")}
	alice, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	alice.SetStreamHandler("/shout/1", func(s network.Stream) {
		defer s.Close()
		question, err := tariproto.ReadFrame(s, nil, 1<<10) // of at most 1 KiB
		if err != nil {
			_ = s.Reset()
			return
		}
		_ = tariproto.WriteFrame(s, []byte(strings.ToUpper(string(question))))
	})

	bob, err := tari.New(tari.Config{Listen: listen, AllowTestAddresses: true})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()
	if err := bob.Connect(context.Background(), peer.AddrInfo{ID: alice.ID(), Addrs: alice.Addrs()}); err != nil {
		log.Fatal(err)
	}
	claim, _ := bob.Claim(alice.ID())
	fmt.Println("alice claims", claim.Protocols)

	s, err := bob.NewStream(context.Background(), alice.ID(), "/shout/1")
	if err != nil {
		log.Fatal(err)
	}
	defer s.Close()
	if err := tariproto.WriteFrame(s, []byte("hello")); err != nil {
		log.Fatal(err)
	}
	answer, err := tariproto.ReadFrame(s, nil, 0)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", answer)
	// Output:
	// alice claims [/shout/1]
	// HELLO
}
