// Package plainlibp2p lets a tari.Host have peers that speak plain libp2p, such
// as those made by libp2p.New, beside its Tari peers and on the same ports. Call
// New, and put what it returns into tari.Limits.Libp2p.
//
// To such peers the host is somebody else: it has another key, and so another
// peer id, which ID returns. What it speaks with them is go-libp2p's own:
// multistream-select, Noise and yamux, over whatever the host dials and listens
// with. Inbound, the first byte of a connection tells them from Tari peers.
// Outbound, the peer id does: a Tari key's or another's.
//
// The stream handlers of the host serve both kinds. A handler that must know
// asks Conn().ConnState().Security, which is tari.SecurityID for Tari peers.
//
// A libp2p.New host opens streams to such a host, and the other way round, by
// the names of protocols. Protocols that wait for go-libp2p's identify notice
// these peers once Upgrader.Identify runs. What they sign with the key of the
// host, as gossipsub does, no plain peer can verify. Neither hole punching nor
// relays work. A peer book knows Tari keys only: to ban a plain peer for good is
// up to a ConnectionGater of one's own.
package plainlibp2p

import (
	"context"
	"crypto/rand"
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/sec"
	"github.com/libp2p/go-libp2p/core/transport"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Upgrader makes connections with peers of plain libp2p. It may serve several hosts, and is safe for concurrent use.
type Upgrader struct {
	id     peer.ID
	public crypto.PubKey
	stock  transport.Upgrader
}

// New makes an Upgrader for a key of Ed25519, RSA, Secp256k1 or ECDSA; nil is a fresh Ed25519 key. Whoever wants to be the same peer
// after a restart keeps the key, by crypto.MarshalPrivateKey.
func New(key crypto.PrivKey) (*Upgrader, error) {
	if key == nil {
		var err error
		if key, _, err = crypto.GenerateEd25519Key(rand.Reader); err != nil {
			return nil, err
		}
	}
	if key.Type() > crypto.ECDSA {
		return nil, fmt.Errorf("plainlibp2p: a key of type %d is none of libp2p's", key.Type())
	}
	id, err := peer.IDFromPrivateKey(key)
	if err != nil {
		return nil, err
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := noise.New(noise.ID, key, muxers)
	if err != nil {
		return nil, err
	}
	// Limits and gater are the host's, which asks them itself.
	stock, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	return &Upgrader{id: id, public: key.GetPublic(), stock: stock}, nil
}

// ID is who the host is to these peers. They dial it at the addresses of the host, followed by /p2p/ and this.
func (u *Upgrader) ID() peer.ID { return u.id }

// Upgrade is go-libp2p's: the host calls it.
func (u *Upgrader) Upgrade(ctx context.Context, t transport.Transport, raw manet.Conn, dir network.Direction, expect peer.ID, scope network.ConnManagementScope) (transport.CapableConn, error) {
	if expect == u.id {
		return nil, swarm.ErrDialToSelf
	}
	return u.stock.Upgrade(ctx, t, raw, dir, expect, scope)
}
