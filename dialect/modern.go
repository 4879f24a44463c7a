package dialect

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// modern is what tari_comms 6 speaks.
//
//	I                                            R
//	|  1  wire byte                              |
//	|------------------------------------------->|
//	|  2  Noise XX   -> e                        |
//	|------------------------------------------->|
//	|                <- e, ee, s, es             |
//	|<-------------------------------------------|
//	|                -> s, se                    |
//	|------------------------------------------->|
//	|  3  identity frame, both at once; I's goes with the last of Noise,
//	|     and the beginning of a stream, if there is one, behind it
//	|<------------------------------------------>|
//	|  4  yamux; windows of new streams are added|
//	|<==========================================>|
type modern struct{ network Network }

var modernNoise = noise.Params{Pattern: noise.XX, Prologue: []byte("com.tari.comms.noise.prologue"), HashDH: true}

var modernMuxer = &yamux.Muxer{Config: yamux.Config{Window: yamux.Additive, CloseTimeout: closeLimit}}

// modernStaleAfter is our choice: peers of ours do not dial beside a connection that stands, so that one that does has lost it. tari_comms
// 6, which judges by the node ids alone, ends one of the two at once, and the other stays here too.
const modernStaleAfter = 5 * time.Second

func newModern(n Network) Dialect { return modern{n} }

func (d modern) String() string { return "modern" }

func (d modern) WireByte() byte { return d.network.WireByte }

func (d modern) Upgrade(ctx context.Context, conn net.Conn, dir network.Direction, us Local) (*Session, error) {
	s := begin(ctx, d, conn, dir, us)
	s.session.Era, s.session.StaleAfter = tariproto.EraModern, modernStaleAfter
	s.noise(modernNoise) //                                              1, 2
	s.admit()
	s.step(StageIdentity, func(ctx context.Context) error { //           3
		claim, err := us.Claim()
		if err != nil {
			return err
		}
		s.session.Claim, err = identityproto.ExchangeWith(ctx, s.conn, claim, s.first(), s.session.Remote, us.Rules)
		return err
	})
	s.muxer(modernMuxer) //                                              4
	return s.finish()
}
