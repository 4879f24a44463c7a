// Libp2p has a Tari peer and a peer of plain libp2p talk to one host, on one
// port, at the same time. The latter is what libp2p.New makes: it knows nothing
// of Tari. The host dials it too, on the address it listens at.
//
//	go run ./libp2p
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
)

// greet is a protocol of ours: whoever opens a stream is told who is there, and how the connection is secured.
const greet protocol.ID = "/example/greet/1"

func main() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := run(ctx, os.Stdout); err != nil {
		log.Fatal(err)
	}
}

// run starts the three and has each greet the others that it can speak with.
func run(ctx context.Context, out io.Writer) (err error) {
	plain, err := plainlibp2p.New(nil)
	if err != nil {
		return err
	}
	both, err := start(tari.Limits{Libp2p: plain})
	if err != nil {
		return err
	}
	defer both.Close()
	identify, err := plain.Identify(both, "example/1") // with plain peers only; Tari peers have had the host's claim
	if err != nil {
		return err
	}
	defer identify.Close()
	tariPeer, err := start(tari.Limits{})
	if err != nil {
		return err
	}
	defer tariPeer.Close()
	stock, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return err
	}
	defer stock.Close()
	serve(stock)

	// The host has one port and two names: one for each kind of peer.
	here := both.Addrs()
	if err := tariPeer.Connect(ctx, peer.AddrInfo{ID: both.ID(), Addrs: here}); err != nil {
		return err
	}
	if err := stock.Connect(ctx, peer.AddrInfo{ID: plain.ID(), Addrs: here}); err != nil {
		return err
	}
	known, err := stock.Peerstore().SupportsProtocols(plain.ID(), greet)
	if err != nil {
		return err
	}
	fmt.Fprintf(out, "stock peer knows by identify: %v\n", known)
	return errors.Join(
		hear(ctx, out, "Tari peer → host", tariPeer, both.ID()),
		hear(ctx, out, "stock peer → host", stock, plain.ID()),
		hear(ctx, out, "host → Tari peer", both, tariPeer.ID()),
		hear(ctx, out, "host → stock peer", both, stock.ID()),
		dial(ctx, out, both),
	)
}

// dial has the host open a connection to a peer of plain libp2p. That it speaks plain libp2p follows from the peer's id.
func dial(ctx context.Context, out io.Writer, from host.Host) error {
	other, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"))
	if err != nil {
		return err
	}
	defer other.Close()
	serve(other)
	if err := from.Connect(ctx, peer.AddrInfo{ID: other.ID(), Addrs: other.Addrs()}); err != nil {
		return err
	}
	return hear(ctx, out, "host → stock peer that it dialed", from, other.ID())
}

// hear opens a stream and prints the greeting.
func hear(ctx context.Context, out io.Writer, way string, from host.Host, to peer.ID) error {
	s, err := from.NewStream(ctx, to, greet)
	if err != nil {
		return fmt.Errorf("%s: %w", way, err)
	}
	defer s.Close()
	if deadline, ok := ctx.Deadline(); ok {
		_ = s.SetDeadline(deadline)
	}
	greeting, err := io.ReadAll(s)
	if err != nil {
		return fmt.Errorf("%s: %w", way, err)
	}
	fmt.Fprintf(out, "%s: %s\n", way, greeting)
	return nil
}

func serve(h host.Host) {
	h.SetStreamHandler(greet, func(s network.Stream) {
		fmt.Fprintf(s, "hello over %s", s.Conn().ConnState().Security)
		s.Close()
	})
}

func start(limits tari.Limits) (*tari.Host, error) {
	h, err := tari.New(tari.Config{
		Network:            dialect.Localnet,
		Listen:             []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")},
		AllowTestAddresses: true, // this is no public network
		Limits:             limits,
	})
	if err == nil {
		serve(h)
	}
	return h, err
}
