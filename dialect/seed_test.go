package dialect

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// A claim without an address would be refused: the address of the connection stands in, and the claim that others see stays as it is.
func TestSeedClaimHasAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l, err := memnet.Listen(ma.StringCast("/memory/0"))
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		a, err := memnet.Dial(context.Background(), l.Multiaddr())
		if err != nil {
			t.Fatal(err)
		}
		b, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		us, them := someone(t, "/a"), someone(t, "/b")
		us.Rules.AllowTestAddresses, them.Rules.AllowTestAddresses = true, true
		theirs, _ := them.Claim()
		theirs.Addresses = nil
		c, s := meet(Stibbons, a, b, us, them)
		if c.err != nil || s.err != nil {
			t.Fatalf("client: %v; server: %v", c.err, s.err)
		}
		defer part(c, s)
		if got := c.session.Claim.Addresses; len(got) != 1 || !got[0].Equal(l.Multiaddr()) {
			t.Errorf("the listener claims %v, is at %v", got, l.Multiaddr())
		}
		if got := s.session.Claim.Protocols; len(got) != 2 || got[0] != tariproto.IdentitySeed {
			t.Errorf("the dialer claims the protocols %v", got)
		}
		if len(theirs.Addresses) != 0 || len(theirs.Protocols) != 1 {
			t.Errorf("the claim itself became %+v", theirs)
		}
	})
}

// Who opens something else than the identity substream first, or nothing at all, is dropped in time, and its muxer with it.
func TestSeedFirstSubstream(t *testing.T) {
	for name, c := range map[string]struct {
		open protocol.ID // empty: nothing
		took time.Duration
	}{
		"another protocol": {"/test/other", 0},
		"silence":          {"", Budget},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				a, b := memnet.Pipe()
				start := time.Now()
				done := make(chan error, 1)
				go func() {
					b.Read(make([]byte, 1))
					_, err := Of(Stibbons).Upgrade(context.Background(), b, network.DirInbound, someone(t, "/b"))
					b.Close()
					done <- err
				}()
				conn, err := noise.Client(context.Background(), a, noise.Config{
					Params: seedNoise, Static: someone(t, "/a").Key, Preamble: []byte{Stibbons.WireByte},
				})
				if err != nil {
					t.Fatal(err)
				}
				mux, err := yamux.Client(conn, yamux.Config{Window: yamux.Absolute}, nil)
				if err != nil {
					t.Fatal(err)
				}
				defer mux.Close()
				if c.open != "" {
					s, err := mux.OpenStream(context.Background())
					if err != nil {
						t.Fatal(err)
					}
					hello, _ := tariproto.AppendOptimistic(nil, c.open)
					s.Write(hello)
				}
				err = <-done
				var at *StageError
				if !errors.As(err, &at) || at.Stage != StageIdentity {
					t.Errorf("got %v", err)
				}
				if took := time.Since(start); took < c.took || took > c.took+3*time.Second {
					t.Errorf("dropped after %v", took)
				}
			})
		})
	}
}

func TestSeedRefusesAClaimOfAnotherNode(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := memnet.Pipe()
		us, them := someone(t, "/a"), someone(t, "/b")
		ours, _ := us.Claim()
		ours.Key = them.Key.Public() // its node id is in the message
		c, s := meet(Stibbons, a, b, us, them)
		var identity *identityproto.Error
		if !errors.As(s.err, &identity) || identity.Kind != identityproto.KindNodeID {
			t.Errorf("server: %v", s.err)
		}
		part(c)
	})
}
