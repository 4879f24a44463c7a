package tari

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// tari_comms 0.8 takes a connection beside one that is a minute old for a reconnect, whoever dialed.
func TestAnOldSeedConnectionYields(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := startHost(t, Config{Network: dialect.Stibbons}), startHost(t, Config{Network: dialect.Stibbons})
		if b.PublicKey().NodeID().Compare(a.PublicKey().NodeID()) > 0 {
			a, b = b, a // b is the lower: what it dials wins a tie
		}
		connect(t, b, a)
		time.Sleep(time.Minute)
		addr := b.Addrs()[0]
		again, err := a.swarm.TransportForDialing(addr).Dial(context.Background(), addr, b.ID())
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		time.Sleep(tieLinger)
		synctest.Wait()
		conns := b.Network().ConnsToPeer(a.ID())
		if len(conns) != 1 || conns[0].Stat().Direction != network.DirInbound {
			t.Errorf("left: %v", conns)
		}
		again.Close()
	})
}
