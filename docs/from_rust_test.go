package docs_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/pipeline"
)

type commsNode struct {
	*node.Node
	in      *pipeline.Inbound
	out     *pipeline.Outbound    // outbound_tx
	inbound chan pipeline.Message // inbound_rx
}

// spawn does what CommsBuilder::new()…build() and spawn_with_transport do.
func spawn(ctx context.Context, dir string, listen ma.Multiaddr) (*commsNode, error) {
	n, err := node.New(node.Config{
		DataDir:            dir,                    // load_node_identity, with_peer_storage: both are here
		Network:            dialect.Localnet,       // with_network_byte
		Listen:             []ma.Multiaddr{listen}, // with_listener_address; TCP is the transport
		AllowTestAddresses: true,                   // allow_test_addresses
	})
	if err != nil {
		return nil, err
	}

	// Built, and not running: what is to be there before the first peer comes is set up here.
	c := &commsNode{Node: n, inbound: make(chan pipeline.Message, 10)}
	c.out = pipeline.NewOutbound(n.Messages, pipeline.OutboundConfig{})                // with_outbound_pipeline
	c.in = pipeline.NewInbound(pipeline.Into(c.inbound), pipeline.InboundConfig{})     // with_inbound_pipeline
	n.Messages.Handle(c.in.Handle)                                                     // add_protocol_extension(messaging)
	n.Host.SetStreamHandler("/greet/1", func(s network.Stream) { _ = s.CloseWrite() }) // add_protocol

	if err := n.Start(ctx); err != nil { // spawn_with_transport
		return nil, errors.Join(err, c.Close())
	}
	return c, nil
}

// Close does what shutdown.trigger() and wait_until_shutdown() do.
func (c *commsNode) Close() error {
	return errors.Join(c.out.Close(), c.Node.Close(), c.in.Close())
}

func Example_fromRust() {
	dir, err := os.MkdirTemp("", "tari")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	alice, err := spawn(ctx, filepath.Join(dir, "alice"), ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	bob, err := spawn(ctx, filepath.Join(dir, "bob"), ma.StringCast("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()

	// connectivity.dial_peer(bob), then outbound_tx.send(OutboundMessage)
	if err := alice.Host.Connect(ctx, peer.AddrInfo{ID: bob.Host.ID(), Addrs: bob.Host.Addrs()}); err != nil {
		log.Fatal(err)
	}
	if err := alice.out.Send(ctx, pipeline.Message{Peer: bob.Host.ID(), Body: []byte("hello")}); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("%s\n", (<-bob.inbound).Body) // inbound_rx.recv()
	// Output: hello
}
