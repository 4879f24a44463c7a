package peersync

import (
	"context"
	"fmt"
	"iter"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
	"github.com/tari-libp2p/tari-libp2p/rpc"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// signed is the claim of a new node at these addresses.
func signed(t testing.TB, features identityproto.Features, addrs ...string) *identityproto.Claim {
	t.Helper()
	return signedAt(t, newKey(t), time.Now(), features, addrs...)
}

func newKey(t testing.TB) tarikey.SecretKey {
	t.Helper()
	key, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func signedAt(t testing.TB, key tarikey.SecretKey, at time.Time, features identityproto.Features, addrs ...string) *identityproto.Claim {
	t.Helper()
	c := &identityproto.Claim{Features: features}
	for _, a := range addrs {
		c.Addresses = append(c.Addresses, ma.StringCast(a))
	}
	if err := c.Sign(key, at); err != nil {
		t.Fatal(err)
	}
	return c
}

// numbered is a public address, another for each number.
func numbered(i int) string { return fmt.Sprintf("/ip4/5.6.%d.%d/tcp/18189", i>>8, i&255) }

// host is one that is reached over memory.
func host(t testing.TB, cfg tari.Config) *tari.Host {
	t.Helper()
	cfg.Network, cfg.AllowTestAddresses = dialect.Localnet, true
	cfg.Listen = []ma.Multiaddr{ma.StringCast("/memory/0")}
	h, err := tari.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

// served is a session of client with a new host that serves the methods.
func served(t testing.TB, client *tari.Host, methods ...rpc.Method) *rpc.Client {
	t.Helper()
	h := host(t, tari.Config{})
	server := rpc.NewServer(h, rpc.ServerConfig{})
	t.Cleanup(func() { server.Close() })
	if err := server.Register(Service, methods...); err != nil {
		t.Fatal(err)
	}
	if err := client.Connect(t.Context(), peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()}); err != nil {
		t.Fatal(err)
	}
	session, err := Connect(t.Context(), client, h.ID())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { session.Close() })
	return session
}

// from is the honest server of these claims; it picks no random ones.
func from(claims ...*identityproto.Claim) ServerConfig {
	return ServerConfig{Claims: func(most int, keep func(*identityproto.Claim) bool) (out []*identityproto.Claim) {
		for _, c := range claims {
			if len(out) < most && keep(c) {
				out = append(out, c)
			}
		}
		return out
	}}
}

// lies is a server that says just this.
func lies(items ...*dhtproto.GetPeersResponse) rpc.Method {
	return getPeers.Serve(func(context.Context, peer.ID, *dhtproto.GetPeersRequest) iter.Seq2[*dhtproto.GetPeersResponse, error] {
		return func(yield func(*dhtproto.GetPeersResponse, error) bool) {
			for _, item := range items {
				if !yield(item, nil) {
					return
				}
			}
		}
	})
}

// forged is an item whose signature does not hold: an address was changed.
func forged(t testing.TB) *dhtproto.GetPeersResponse {
	t.Helper()
	item := itemOf(signed(t, identityproto.FeatureNode, numbered(1)))
	item.Peer.Claims[0].Addresses[0] = ma.StringCast(numbered(2)).Bytes()
	return item
}
