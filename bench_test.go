package tari

import (
	"context"
	"io"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peerstore"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// BenchmarkConnect is both ends of a connection over TCP on the loopback interface: a dial, a byte there and back on a stream that goes with
// it, and the end.
func BenchmarkConnect(b *testing.B) {
	start := func(listen []ma.Multiaddr) *Host {
		h, err := New(Config{Network: dialect.Localnet, AllowTestAddresses: true, Listen: listen})
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { h.Close() })
		return h
	}
	server, client := start(loopback), start(nil)
	server.SetStreamHandler(echo, func(s network.Stream) {
		defer s.Close()
		var one [1]byte
		for n := 1; n > 0; _, _ = s.Write(one[:n]) {
			n, _ = s.Read(one[:])
		}
	})
	client.Peerstore().AddAddrs(server.ID(), server.Addrs(), peerstore.PermanentAddrTTL)
	b.ReportAllocs()
	for b.Loop() {
		s, err := client.NewStreamWith(context.Background(), server.ID(), echo, []byte{7})
		if err == nil {
			_, err = io.ReadFull(s, make([]byte, 1))
		}
		if err != nil {
			b.Fatal(err)
		}
		s.Close()
		_ = client.Network().ClosePeer(server.ID())
	}
}
