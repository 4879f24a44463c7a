package messagingproto_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"strings"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
)

// The program of the README: it sends a message to a peer on Esmeralda, and prints those that come.
func Example() {
	ctx, address := context.Background(), "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175::/ip4/203.0.113.7/tcp/18189"

	host, err := tari.New(tari.Config{Network: dialect.Esmeralda})
	if err != nil {
		log.Fatal(err)
	}
	messages, err := messagingproto.New(host, messagingproto.Config{})
	if err != nil {
		log.Fatal(err)
	}
	messages.Handle(func(_ context.Context, from peer.ID, text []byte) { fmt.Printf("%s: %q\n", from, text) })
	bob, err := tari.ParseAddress(address)
	host.Peerstore().AddAddrs(bob.Key.PeerID(), bob.Addrs, peerstore.PermanentAddrTTL)
	err = errors.Join(err, messages.Send(ctx, bob.Key.PeerID(), []byte("hello")), messages.Close(), host.Close())
	if err != nil {
		log.Fatal(err)
	}
}

// TestReadmeExample holds the README's program against the one above.
func TestReadmeExample(t *testing.T) {
	readme, err := os.ReadFile("../README.md")
	if err != nil {
		t.Fatal(err)
	}
	source, err := os.ReadFile("example_test.go")
	if err != nil {
		t.Fatal(err)
	}
	_, block, found := strings.Cut(string(readme), "```go\n")
	block, _, ends := strings.Cut(block, "```")
	if !found || !ends || strings.Count(block, "\n") != 12 {
		t.Fatalf("the README has no program of twelve lines: %q", block)
	}
	var indented strings.Builder
	for line := range strings.Lines(block) {
		indented.WriteString("\t" + line)
	}
	if !strings.Contains(string(source), indented.String()) {
		t.Errorf("the README's program is not the Example:\n%s", block)
	}
}
