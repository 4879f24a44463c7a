package crawltest

import (
	"context"
	"fmt"
	"iter"
	"testing"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/rpc"
)

// getPeers is the method without any of its rules.
var getPeers = rpc.Streaming[*dhtproto.GetPeersRequest, *dhtproto.GetPeersResponse]{Number: 10}

// Lie makes the node say just this, whatever it is asked.
func (n *Node) Lie(t testing.TB, items ...*dhtproto.GetPeersResponse) {
	t.Helper()
	err := n.RPC.Register(peersync.Service, getPeers.Serve(func(context.Context, peer.ID, *dhtproto.GetPeersRequest) iter.Seq2[*dhtproto.GetPeersResponse, error] {
		return func(yield func(*dhtproto.GetPeersResponse, error) bool) {
			defer n.answered()
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

// Item is an answer that tells of a peer.
func Item(c *identityproto.Claim) *dhtproto.GetPeersResponse {
	r := c.Relay()
	return &dhtproto.GetPeersResponse{Peer: &dhtproto.PeerInfo{PublicKey: c.Key.Bytes(), Claims: []*dhtproto.PeerIdentityClaim{{
		Addresses: r.Addresses, PeerFeatures: r.Features,
		IdentitySignature: &dhtproto.IdentitySignature{
			Version: r.Signature.Version, Signature: r.Signature.S, PublicNonce: r.Signature.Nonce, UpdatedAt: r.Signature.UpdatedAt,
		},
	}}}}
}

// Forged is an answer whose signature does not hold.
func Forged(t testing.TB, addr string) *dhtproto.GetPeersResponse {
	t.Helper()
	item := Item(Signed(t, addr))
	item.Peer.Claims[0].PeerFeatures = 1
	return item
}

// Poisoned are n answers, each of a peer with five addresses that nobody may make
// others dial; all is signed as it should be. The addresses are those behind the
// first skip.
func Poisoned(t testing.TB, skip, n int) (items []*dhtproto.GetPeersResponse) {
	t.Helper()
	var all []string
	for i := 0; len(all) < skip+5*n; i++ {
		all = append(all, poison(i)...)
	}
	for i := range n {
		items = append(items, Item(Signed(t, all[skip+5*i:][:5]...)))
	}
	return items
}

// poison are addresses that lead into networks of others, to this machine, or to
// what is no node; i tells them apart.
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
