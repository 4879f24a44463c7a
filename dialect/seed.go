package dialect

import (
	"context"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/noise"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// seed is what tari_comms 0.2 and 0.8 spoke in 2020 and 2021.
//
//	I                                            R
//	|  1  wire byte                              |
//	|------------------------------------------->|
//	|  2  Noise IX   -> e, s                     |
//	|------------------------------------------->|
//	|                <- e, ee, se, s, es         |
//	|<-------------------------------------------|
//	|  3  yamux; windows of new streams are absolute
//	|<==========================================>|
//	|  4  stream 1, opened by I, optimistic:     |
//	|     identity message each way, then closed |
//	|<------------------------------------------>|
type seed struct{ network Network }

var seedNoise = noise.Params{Pattern: noise.IX}

var seedMuxer = &yamux.Muxer{Config: yamux.Config{Window: yamux.Absolute, CloseTimeout: closeLimit}}

// seedStaleAfter is from tari_comms 0.8: two connections of the same age are a tie, an old and a new one are a reconnect.
const seedStaleAfter = 60 * time.Second

func newSeed(n Network) Dialect { return seed{n} }

func (d seed) String() string { return "seed" }

func (d seed) WireByte() byte { return d.network.WireByte }

func (d seed) Upgrade(ctx context.Context, conn net.Conn, dir network.Direction, us Local) (*Session, error) {
	s := begin(ctx, d, conn, dir, us)
	s.session.Era, s.session.StaleAfter = tariproto.EraSeed, seedStaleAfter
	s.noise(seedNoise) //                                                1, 2
	s.admit()
	s.muxer(seedMuxer)                                      //           3
	s.step(StageIdentity, func(ctx context.Context) error { //           4
		ctx, cancel := context.WithTimeout(ctx, seedIdentityLimit)
		defer cancel()
		claim, err := seedClaim(us, conn)
		if err != nil {
			return err
		}
		stream, err := identityStream(ctx, s.session.MuxedConn, s.inbound)
		if err != nil {
			return err
		}
		s.session.Claim, err = identityproto.ExchangeSubstream(ctx, stream, claim, s.session.Remote, us.Rules)
		if err != nil {
			_ = stream.Reset()
			return err
		}
		return stream.Close()
	})
	return s.finish()
}

// identityStream opens or accepts the first substream, and sees to it that the identity protocol runs there.
func identityStream(ctx context.Context, mux network.MuxedConn, inbound bool) (network.MuxedStream, error) {
	if !inbound {
		stream, err := mux.OpenStream(ctx)
		if err != nil {
			return nil, err
		}
		hello, err := tariproto.AppendOptimistic(nil, tariproto.IdentitySeed)
		if err == nil {
			_, err = stream.Write(hello)
		}
		return stream, err
	}
	// A muxer's AcceptStream knows no context: who says nothing within it loses the connection under it.
	stop := context.AfterFunc(ctx, func() { _ = mux.Close() })
	stream, err := mux.AcceptStream()
	if !stop() && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if err != nil {
		return nil, err
	}
	if session := (*yamux.Session)(nil); mux.As(&session) {
		session.StartReading() // AcceptStream is not called again before the swarm does
	}
	if deadline, ok := ctx.Deadline(); ok {
		_ = stream.SetDeadline(deadline)
	}
	_, _, err = tariproto.Accept(stream, func(id protocol.ID) bool { return id == tariproto.IdentitySeed })
	return stream, err
}

// seedClaim is our claim as a peer of that time expects it: the identity protocol first, and at least one address, for it refuses a
// claim without. The local address of this connection stands in where we know no public one.
func seedClaim(us Local, conn net.Conn) (*identityproto.Claim, error) {
	claim, err := us.Claim()
	if err != nil {
		return nil, err
	}
	then := *claim // unsigned in this dialect, so it may differ from what we sign elsewhere
	then.Protocols = append([]protocol.ID{tariproto.IdentitySeed}, claim.Protocols...)
	if len(then.Addresses) == 0 {
		local, err := localMultiaddr(conn)
		if err != nil {
			return nil, err
		}
		then.Addresses = []ma.Multiaddr{local}
	}
	return &then, nil
}

func localMultiaddr(conn net.Conn) (ma.Multiaddr, error) {
	if c, ok := conn.(manet.Conn); ok {
		return c.LocalMultiaddr(), nil
	}
	return manet.FromNetAddr(conn.LocalAddr())
}
