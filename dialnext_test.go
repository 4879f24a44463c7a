package tari

import (
	"context"
	"errors"
	"sync"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/wiremode"
)

// A failure behind Noise is that of an address: another key answers, the peer refuses us there, or says nonsense of itself.
func TestTheNextAddressIsTriedAfterAFailureBehindNoise(t *testing.T) {
	inEachDialect(t, func(t *testing.T, n dialect.Network) {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		other := startHost(t, Config{Network: n})
		refuses := startHost(t, Config{Network: n, Key: key, Gater: new(refusesAll)})
		nonsense := startLiar(t, n, key)
		right := startHost(t, Config{Network: n, Key: key})
		bad := []ma.Multiaddr{other.Addrs()[0], refuses.Addrs()[0], nonsense}

		a := startHost(t, Config{Network: n})
		failed := a.Connect(testContext(t), peer.AddrInfo{ID: right.ID(), Addrs: bad})
		var mismatch *dialect.KeyMismatchError
		if !errors.As(causeAt(failed, bad[0]), &mismatch) || mismatch.Got != other.PublicKey() {
			t.Errorf("another key: %v", failed)
		}
		for _, at := range bad[1:] {
			var stage *dialect.StageError
			if cause := causeAt(failed, at); !errors.As(cause, &stage) || isNotTried(cause) {
				t.Errorf("%s: %v", at, failed)
			}
		}
		if err := a.Connect(testContext(t), peer.AddrInfo{ID: right.ID(), Addrs: append(bad, right.Addrs()...)}); err != nil {
			t.Fatal(err)
		}
		say(t, a, right.ID(), "at the last address")
	})
}

// refusesAll refuses whoever has proven a key.
type refusesAll struct{ dialPolicy }

func (*refusesAll) InterceptSecured(network.Direction, peer.ID, network.ConnMultiaddrs) bool {
	return false
}

// startLiar listens in memory as a peer with that key whose claim is not signed.
func startLiar(t *testing.T, n dialect.Network, key tarikey.SecretKey) ma.Multiaddr {
	t.Helper()
	l, err := memnet.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		t.Fatal(err)
	}
	us := stranger(t)
	us.Key = key
	us.Claim = func() (*identityproto.Claim, error) {
		return &identityproto.Claim{Key: key.Public(), Addresses: addrs("/udp/1"), Features: identityproto.FeatureNode, UserAgent: "liar/1"}, nil
	}
	var served sync.WaitGroup
	served.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			served.Go(func() {
				defer c.Close()
				if _, err := wiremode.Read(c); err != nil {
					return
				}
				if s, err := dialect.Of(n).Upgrade(context.Background(), c, network.DirInbound, us); err == nil {
					_ = s.Close()
				}
			})
		}
	})
	t.Cleanup(func() { l.Close(); served.Wait() })
	return l.Multiaddr()
}
