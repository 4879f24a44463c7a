package tari_test

import (
	"context"
	"fmt"
	"io"
	"log"
	"os"
	"path/filepath"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
)

// unixTransport is a go-libp2p transport on Unix sockets. It knows nothing of Tari: the host's upgrader makes Tari connections of its sockets.
type unixTransport struct {
	up    transport.Upgrader
	rcmgr network.ResourceManager
}

func (t *unixTransport) CanDial(a ma.Multiaddr) bool {
	return len(a) == 1 && a[0].Protocol().Code == ma.P_UNIX
}

func (t *unixTransport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	var d manet.Dialer
	c, err := d.DialContext(ctx, raddr)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return t.up.Upgrade(ctx, t, c, network.DirOutbound, p, scope) // closes c and ends the scope if it fails
}

func (t *unixTransport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	l, err := manet.Listen(laddr)
	if err != nil {
		return nil, err
	}
	return t.up.UpgradeGatedMaListener(t, t.up.GateMaListener(l)), nil
}

func (t *unixTransport) Protocols() []int { return []int{ma.P_UNIX} }
func (t *unixTransport) Proxy() bool      { return false }

// A transport of one's own, beside TCP. Config.Transports gets the upgrader that speaks Tari.
func ExampleConfig_transports() {
	dir, err := os.MkdirTemp("", "tari")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	socket := ma.StringCast("/unix" + filepath.Join(dir, "alice"))
	overUnix := func(u transport.Upgrader, r network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
		return []transport.Transport{tcp, &unixTransport{u, r}}, nil
	}

	alice, err := tari.New(tari.Config{Listen: []ma.Multiaddr{socket}, Transports: overUnix})
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()
	alice.SetStreamHandler("/greet/1", func(s network.Stream) { fmt.Fprint(s, "hello"); s.Close() })

	bob, err := tari.New(tari.Config{Transports: overUnix})
	if err != nil {
		log.Fatal(err)
	}
	defer bob.Close()
	if err := bob.Connect(context.Background(), peer.AddrInfo{ID: alice.ID(), Addrs: []ma.Multiaddr{socket}}); err != nil {
		log.Fatal(err)
	}
	s, err := bob.NewStream(context.Background(), alice.ID(), "/greet/1")
	if err != nil {
		log.Fatal(err)
	}
	greeting, _ := io.ReadAll(s)
	fmt.Printf("%s over %s\n", greeting, s.Conn().RemoteMultiaddr().Protocols()[0].Name)
	// Output: hello over unix
}
