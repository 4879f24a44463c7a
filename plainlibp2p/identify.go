package plainlibp2p

import (
	"io"

	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/protocol/identify"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
)

// Identify runs go-libp2p's identify, with peers of plain libp2p only, until the result is closed: they learn our key, our addresses and
// the protocols that the host serves, and the host's peerstore and event bus learn theirs. Tari peers see nothing of it: it is
// in no claim, and they are given no such stream. Call it before the host has such peers, and close the result before the host.
func (u *Upgrader) Identify(h host.Host, userAgent string) (io.Closer, error) {
	if err := h.Peerstore().AddPubKey(u.id, u.public); err != nil {
		return nil, err
	}
	view := &plainView{Host: h, id: u.id}
	service, err := identify.NewIDService(view, identify.UserAgent(userAgent), identify.DisableSignedPeerRecord())
	if err != nil {
		return nil, err
	}
	service.Start()
	return closer(func() error {
		h.RemoveStreamHandler(identify.ID)
		h.RemoveStreamHandler(identify.IDPush)
		h.Network().StopNotify(view.told)
		return service.Close()
	}), nil
}

type closer func() error

func (c closer) Close() error { return c() }

// plainView is a host as its peers of plain libp2p see it.
type plainView struct {
	host.Host
	id   peer.ID
	told network.Notifiee // who is told of connections
}

func (v *plainView) ID() peer.ID { return v.id }

func (v *plainView) Network() network.Network { return &plainNetwork{v.Host.Network(), v} }

// SetStreamHandler serves plain peers. What is matched is in no claim.
func (v *plainView) SetStreamHandler(id protocol.ID, handler network.StreamHandler) {
	v.Host.SetStreamHandlerMatch(id, func(asked protocol.ID) bool { return asked == id }, func(s network.Stream) {
		if !isPlain(s.Conn()) {
			_ = s.Reset()
			return
		}
		handler(s)
	})
}

// plainNetwork tells of connections with plain peers only.
type plainNetwork struct {
	network.Network
	view *plainView
}

func (n *plainNetwork) Notify(to network.Notifiee) {
	n.view.told = plainNotifiee{to}
	n.Network.Notify(n.view.told)
}

type plainNotifiee struct{ network.Notifiee }

func (p plainNotifiee) Connected(n network.Network, c network.Conn) {
	if isPlain(c) {
		p.Notifiee.Connected(n, c)
	}
}

func (p plainNotifiee) Disconnected(n network.Network, c network.Conn) {
	if isPlain(c) {
		p.Notifiee.Disconnected(n, c)
	}
}

func isPlain(c network.Conn) bool { return c.ConnState().Security == noise.ID }
