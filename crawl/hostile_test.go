package crawl

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync/atomic"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// getPeers is the method without any of its rules.
var getPeers = rpc.Streaming[*dhtproto.GetPeersRequest, *dhtproto.GetPeersResponse]{Number: 10}

// lie makes a server say just this.
func (s *server) lie(t testing.TB, items ...*dhtproto.GetPeersResponse) {
	t.Helper()
	err := s.rpc.Register(peersync.Service, getPeers.Serve(func(context.Context, peer.ID, *dhtproto.GetPeersRequest) iter.Seq2[*dhtproto.GetPeersResponse, error] {
		return func(yield func(*dhtproto.GetPeersResponse, error) bool) {
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	}))
	if err != nil {
		t.Fatal(err)
	}
}

func itemOf(c *identityproto.Claim) *dhtproto.GetPeersResponse {
	r := c.Relay()
	return &dhtproto.GetPeersResponse{Peer: &dhtproto.PeerInfo{PublicKey: c.Key.Bytes(), Claims: []*dhtproto.PeerIdentityClaim{{
		Addresses: r.Addresses, PeerFeatures: r.Features,
		IdentitySignature: &dhtproto.IdentitySignature{
			Version: r.Signature.Version, Signature: r.Signature.S, PublicNonce: r.Signature.Nonce, UpdatedAt: r.Signature.UpdatedAt,
		},
	}}}}
}

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

// poison are addresses that nobody may make us dial; i tells them apart.
func poison(i int) []string {
	return []string{
		fmt.Sprintf("/ip4/127.0.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/10.1.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/192.168.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/172.16.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/100.64.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/169.254.%d.%d/tcp/80", i>>8, i&255),
		fmt.Sprintf("/ip4/0.0.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/224.0.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip4/5.6.%d.%d/tcp/22", i>>8, i&255),
		fmt.Sprintf("/ip4/5.6.%d.%d/tcp/25", i>>8, i&255),
		fmt.Sprintf("/ip6/::1/tcp/%d", 1000+i),
		fmt.Sprintf("/ip6/fe80::%x/tcp/18189", 1+i),
		fmt.Sprintf("/ip6/fd00::%x/tcp/18189", 1+i),
		fmt.Sprintf("/ip6/ff02::%x/tcp/18189", 1+i),
		fmt.Sprintf("/ip6/::ffff:10.0.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/ip6/64:ff9b::a00:%x/tcp/18189", 1+i),
		fmt.Sprintf("/dns4/localhost/tcp/%d", 1000+i),
		fmt.Sprintf("/dns4/host%d.internal/tcp/18189", i),
		fmt.Sprintf("/dns6/host%d.local/tcp/18189", i),
		fmt.Sprintf("/dnsaddr/host%d.home.arpa/tcp/18189", i),
		fmt.Sprintf("/dns4/10.2.%d.%d/tcp/18189", i>>8, i&255),
		fmt.Sprintf("/memory/%d", 1+i),
	}
}

// TestPoison: 10,000 addresses that lead into networks of others, all signed as
// they should be, and not one of them is dialed.
func TestPoison(t *testing.T) {
	var all []string
	for i := 0; len(all) < 10_000; i++ {
		all = append(all, poison(i)...)
	}
	all = all[:10_000]
	var start []tari.Address
	var good []ma.Multiaddr
	s := new(crowd)
	for range 4 {
		liar := s.serve(t, "127.0.5.1", rpc.ServerConfig{})
		var items []*dhtproto.GetPeersResponse
		for range 500 { // as many as an answer may have, of five addresses each
			items = append(items, itemOf(signed(t, all[:5]...)))
			all = all[5:]
		}
		liar.lie(t, items...)
		start, good = append(start, liar.at()), append(good, liar.claim.Addresses...)
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
	if len(all) != 0 || sum.Classes[Answered] != 4 || sum.Classes[NotTried] == 0 || sum.Classes[Answered]+sum.Classes[NotTried] != sum.Peers ||
		sum.Invalid[peersync.FaultInternal]/2+sum.Classes[NotTried] != 2000 { // full answers are asked for once more
		t.Errorf("%+v", sum)
	}
}

// TestLiars: answers that no honest peer gives are told apart, and what was good in them is taken.
func TestLiars(t *testing.T) {
	s := new(crowd)
	good := s.serve(t, "", rpc.ServerConfig{})
	forged := func() *dhtproto.GetPeersResponse {
		item := itemOf(signed(t, "/ip4/127.0.6.1/tcp/1"))
		item.Peer.Claims[0].PeerFeatures = 1
		return item
	}
	liar, fool := s.serve(t, "", rpc.ServerConfig{}), s.serve(t, "", rpc.ServerConfig{})
	liar.lie(t, itemOf(good.claim), forged(), forged(), forged(), forged(), forged(), forged(), itemOf(signed(t, "/ip4/127.0.6.2/tcp/1")))
	fool.lie(t, forged(), itemOf(good.claim), forged())
	deaf, wallet := s.serve(t, "", rpc.ServerConfig{}), s.serve(t, "", rpc.ServerConfig{})
	if err := deaf.rpc.Register(peersync.Service); err != nil { // no method at all
		t.Fatal(err)
	}
	wallet.rpc.Close()
	good.tell(deaf.claim, wallet.claim)
	result, err := Run(patient(t), guest(t, tari.Config{AllowTestAddresses: true}), Config{
		Start: []tari.Address{liar.at(), fool.at()}, AllowTestAddresses: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	found := of(result)
	for who, want := range map[*server]Class{liar: Hostile, fool: Answered, good: Answered, deaf: NoService, wallet: NoService} {
		if p, ok := found[who.claim.Key]; !ok || p.Visit.Class != want {
			t.Errorf("%+v is not %s", p.Visit, want)
		}
	}
	if sum := result.Summary(); sum.Peers != 5 || sum.Invalid[peersync.FaultSignature] != 8 || sum.Reached != 5 {
		t.Errorf("%+v", sum)
	}
}
