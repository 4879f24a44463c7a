package identityproto_test

import (
	"context"
	"fmt"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Two peers tell each other who they are, as they do on a Noise connection.
func ExampleExchange() {
	claim := func(userAgent string) *identityproto.Claim {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			panic(err)
		}
		c := &identityproto.Claim{
			Addresses: []ma.Multiaddr{ma.StringCast("/ip4/1.2.3.4/tcp/18189"), ma.StringCast("/ip4/192.168.1.2/tcp/18189")},
			Features:  identityproto.FeatureNode,
			UserAgent: userAgent,
		}
		if err := c.Sign(key, time.Now()); err != nil {
			panic(err)
		}
		return c
	}
	us, remote := claim("us/1.0"), claim("remote/1.0")
	a, b := memnet.Pipe()
	defer a.Close()
	defer b.Close()

	done := make(chan error, 1)
	go func() {
		_, err := identityproto.Exchange(context.Background(), b, remote, us.Key, identityproto.Rules{})
		done <- err
	}()
	got, err := identityproto.Exchange(context.Background(), a, us, remote.Key, identityproto.Rules{})
	if err != nil || <-done != nil {
		panic("no claim")
	}
	fmt.Println(got.UserAgent, got.Features)
	fmt.Println(got.Filtered(identityproto.Rules{}))
	// Output:
	// remote/1.0 MESSAGE_PROPAGATION | DHT_STORE_FORWARD
	// [/ip4/1.2.3.4/tcp/18189]
}
