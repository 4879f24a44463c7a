package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

type commsNode struct {
	host     *tari.Host
	book     *peerbook.Book
	messages *messagingproto.Service
	inbound  chan []byte
}

// spawn does what CommsBuilder::new()…build() and spawn_with_transport do.
func spawn(dir string, listen ma.Multiaddr) (*commsNode, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	// load_node_identity
	identity, _, err := node.LoadOrCreateIdentity(filepath.Join(dir, "base_node_id.json"), time.Now())
	if err != nil {
		return nil, err
	}
	// setup_peer_storage
	book, err := peerbook.Open(filepath.Join(dir, "peers"), peerbook.Config{})
	if err != nil {
		return nil, err
	}
	host, err := tari.New(tari.Config{
		Key:                identity.Key,           // with_node_identity
		Network:            dialect.Localnet,       // with_network_byte
		Listen:             []ma.Multiaddr{listen}, // with_listener_address; TCP is the transport
		AllowTestAddresses: true,                   // allow_test_addresses
		Gater:              book,                   // banned peers stay out
	})
	if err != nil {
		return nil, errors.Join(err, book.Close())
	}
	// with_outbound_pipeline, with_inbound_pipeline
	messages, err := messagingproto.New(host, messagingproto.Config{OnViolation: host.Offence})
	if err != nil {
		return nil, errors.Join(err, host.Close(), book.Close())
	}
	n := &commsNode{host, book, messages, make(chan []byte, 10)}
	messages.Handle(func(ctx context.Context, from peer.ID, message []byte) {
		select {
		case n.inbound <- slices.Clone(message): // inbound_tx
		case <-ctx.Done():
		}
	})
	return n, nil
}

// Close does what shutdown.trigger() and wait_until_shutdown() do.
func (n *commsNode) Close() error {
	return errors.Join(n.messages.Close(), n.host.Close(), n.book.Close())
}

func Example_fromRust() {
	dir, err := os.MkdirTemp("", "tari")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	alice, err := spawn(filepath.Join(dir, "alice"), ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := spawn(filepath.Join(dir, "bob"), ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()

	// connectivity.dial_peer(bob), then outbound_tx.send(OutboundMessage)
	if err := alice.host.Connect(ctx, peer.AddrInfo{ID: bob.host.ID(), Addrs: bob.host.Addrs()}); err != nil {
		log.Fatal(err)
	}
	if err := alice.messages.Send(ctx, bob.host.ID(), []byte("hello")); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", <-bob.inbound) // inbound_rx.recv()
	// Output: hello
}
