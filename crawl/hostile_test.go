package crawl

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/internal/crawltest"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// counting is a transport that dials some addresses, counts them, and counts the others without dialing them.
type counting struct {
	transport.Transport
	good      []ma.Multiaddr
	dials     *atomic.Int64
	elsewhere *atomic.Int64
}

func (c counting) Dial(ctx context.Context, a ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	if !ma.Contains(c.good, a) {
		c.elsewhere.Add(1)
		return nil, errors.New("dialed " + a.String())
	}
	c.dials.Add(1)
	return c.Transport.Dial(ctx, a, p)
}

// TestPoison: 10,000 addresses that lead into networks of others, all signed as
// they should be, and not one of them is dialed.
func TestPoison(t *testing.T) {
	var start []tari.Address
	var good []ma.Multiaddr
	s := new(crawltest.Crowd)
	const each = 500 // peers of an answer, as many as it may have
	for i := range 4 {
		liar := s.Serve(t, "127.0.5.1", rpc.ServerConfig{})
		liar.Lie(t, crawltest.Poisoned(t, i*5*each, each)...)
		start, good = append(start, liar.At()), append(good, liar.Claim.Addresses...)
	}
	var dials, elsewhere atomic.Int64
	h := guest(t, tari.Config{Transports: func(_ transport.Upgrader, _ network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
		return []transport.Transport{counting{tcp, good, &dials, &elsewhere}}, nil
	}})
	result, err := Run(patient(t), h, Config{Start: start})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d dials of the peers to begin with, %d of the addresses they told of", dials.Load(), elsewhere.Load())
	if dials.Load() != 4 || elsewhere.Load() != 0 {
		t.Error("dialed where it must not")
	}
	sum := result.Summary()
	if sum.Classes[Answered] != 4 || sum.Classes[NotTried] == 0 || sum.Classes[Answered]+sum.Classes[NotTried] != sum.Peers ||
		sum.Invalid[peersync.FaultInternal]/2+sum.Classes[NotTried] != 2000 { // full answers are asked for once more
		t.Errorf("%+v", sum)
	}
}

// TestLiars: answers that no honest peer gives are told apart, and what was good in them is taken.
func TestLiars(t *testing.T) {
	s := new(crawltest.Crowd)
	good := s.Serve(t, "", rpc.ServerConfig{})
	forged := func() *dhtproto.GetPeersResponse { return crawltest.Forged(t, "/ip4/127.0.6.1/tcp/1") }
	liar, fool := s.Serve(t, "", rpc.ServerConfig{}), s.Serve(t, "", rpc.ServerConfig{})
	liar.Lie(t, crawltest.Item(good.Claim), forged(), forged(), forged(), forged(), forged(), forged(), crawltest.Item(crawltest.Signed(t, "/ip4/127.0.6.2/tcp/1")))
	fool.Lie(t, forged(), crawltest.Item(good.Claim), forged())
	deaf, wallet := s.Serve(t, "", rpc.ServerConfig{}), s.Serve(t, "", rpc.ServerConfig{})
	if err := deaf.RPC.Register(peersync.Service); err != nil { // no method at all
		t.Fatal(err)
	}
	wallet.RPC.Close()
	good.Tell(deaf.Claim, wallet.Claim)
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{liar.At(), fool.At()}, AllowTestAddresses: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	found := of(result)
	for who, want := range map[*crawltest.Node]Class{liar: Hostile, fool: Answered, good: Answered, deaf: NoService, wallet: NoService} {
		if p, ok := found[who.Claim.Key]; !ok || p.Visit.Class != want {
			t.Errorf("%+v is not %s", p.Visit, want)
		}
	}
	if sum := result.Summary(); sum.Peers != 5 || sum.Invalid[peersync.FaultSignature] != 8 || sum.Reached != 5 {
		t.Errorf("%+v", sum)
	}
}
