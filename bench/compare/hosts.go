package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"strings"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	blankhost "github.com/libp2p/go-libp2p/p2p/host/blank"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	"github.com/libp2p/go-libp2p/p2p/muxer/yamux"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/net/upgrader"
	"github.com/libp2p/go-libp2p/p2p/security/noise"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// benchNetwork is where our hosts and the Rust nodes are.
var benchNetwork = dialect.Localnet

// oursStack is this library.
var oursStack = oursOn("ours", benchNetwork)

func oursOn(name string, n dialect.Network) stack {
	return stack{
		name: name,
		listen: func(l *listener) (string, error) {
			h, err := newOurs(n, true)
			if err != nil {
				return "", err
			}
			if err := serveOn(h, l); err != nil {
				return "", err
			}
			return h.PublicKey().String() + "::" + h.Network().ListenAddresses()[0].String(), nil
		},
		dialer: func() (dialer, error) {
			h, err := newOurs(n, false)
			if err != nil {
				return dialer{}, err
			}
			messages, err := newMessages(h)
			if err != nil {
				return dialer{}, err
			}
			return dialer{
				dial: func(ctx context.Context, at string) (link, error) {
					to, err := tari.ParseAddress(at)
					if err != nil {
						return link{}, err
					}
					return connect(ctx, h, messages, peer.AddrInfo{ID: to.Key.PeerID(), Addrs: to.Addrs})
				},
				first: func(ctx context.Context, at, p string, data []byte) (link, stream, error) {
					to, err := tari.ParseAddress(at)
					if err != nil {
						return link{}, nil, err
					}
					id := to.Key.PeerID()
					h.Peerstore().AddAddrs(id, to.Addrs, peerstore.PermanentAddrTTL)
					s, err := h.NewStreamWith(ctx, id, protocol.ID(p), data)
					return linkTo(ctx, h, messages, id), s, err
				},
				close: func() { _ = messages.Close(); _ = h.Close() },
			}, nil
		},
	}
}

func newOurs(n dialect.Network, listens bool) (*tari.Host, error) {
	key, err := tarikey.GenerateKey(rand.Reader)
	if err != nil {
		return nil, err
	}
	cfg := tari.Config{Key: key, Network: n, AllowTestAddresses: true}
	if listens {
		cfg.Listen = loopback
	} else {
		cfg.Public = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/1")} // Rust wants an address
	}
	return tari.New(cfg)
}

var loopback = []ma.Multiaddr{ma.StringCast("/ip4/127.0.0.1/tcp/0")}

// serveOn serves the workloads on any libp2p host, messages and RPC with our packages for them.
func serveOn(h host.Host, l *listener) error {
	for _, p := range []string{sinkProtocol, echoProtocol} {
		h.SetStreamHandler(protocol.ID(p), func(s network.Stream) { l.serve(p, s) })
	}
	messages, err := newMessages(h)
	if err != nil {
		return err
	}
	messages.Handle(func(context.Context, peer.ID, []byte) { l.received.Add(1) })
	return serveRPC(h)
}

// newMessages makes queues that take as much as those of batch.go.
func newMessages(h host.Host) (*messagingproto.Service, error) {
	return messagingproto.New(h, messagingproto.Config{Limits: messagingproto.Limits{PeerMessages: maxPending}})
}

// connect links any libp2p host with another.
func connect(ctx context.Context, h host.Host, messages *messagingproto.Service, to peer.AddrInfo) (link, error) {
	if err := h.Connect(ctx, to); err != nil {
		return link{}, err
	}
	return linkTo(ctx, h, messages, to.ID), nil
}

func linkTo(ctx context.Context, h host.Host, messages *messagingproto.Service, to peer.ID) link {
	w := newWindow()
	l := link{
		open: func(p string) (stream, error) { return h.NewStream(ctx, to, protocol.ID(p)) },
		send: func(m []byte) error {
			w.enter(len(m))
			err := messages.SendAsync(to, m, w.leave)
			if err != nil {
				w.leave(messagingproto.Result{})
			}
			return err
		},
		flush: w.wait,
		close: func() { _ = h.Network().ClosePeer(to) },
	}
	callOver(&l, h, to)
	return l
}

// stockStack is go-libp2p's own TCP transport, Noise and yamux on a host without identify; stockHostStack is all of libp2p.New.
var (
	stockStack     = libp2pStack("stock", newBlank)
	stockHostStack = libp2pStack("stock host", newWhole)
)

func libp2pStack(name string, newHost func(listens bool) (host.Host, error)) stack {
	return stack{
		name: name,
		listen: func(l *listener) (string, error) {
			h, err := newHost(true)
			if err != nil {
				return "", err
			}
			if err := serveOn(h, l); err != nil {
				return "", err
			}
			return fmt.Sprintf("%s::%s", h.ID(), h.Network().ListenAddresses()[0]), nil
		},
		dialer: func() (dialer, error) {
			h, err := newHost(false)
			if err != nil {
				return dialer{}, err
			}
			messages, err := newMessages(h)
			if err != nil {
				return dialer{}, err
			}
			return dialer{
				dial: func(ctx context.Context, at string) (link, error) {
					name, addr, _ := strings.Cut(at, "::")
					id, err := peer.Decode(name)
					if err != nil {
						return link{}, err
					}
					a, err := ma.NewMultiaddr(addr)
					if err != nil {
						return link{}, err
					}
					return connect(ctx, h, messages, peer.AddrInfo{ID: id, Addrs: []ma.Multiaddr{a}})
				},
				close: func() { _ = messages.Close(); _ = h.Close() },
			}, nil
		},
	}
}

func newWhole(listens bool) (host.Host, error) {
	options := []libp2p.Option{libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(noise.ID, noise.New), libp2p.DisableRelay(), libp2p.ResourceManager(&network.NullResourceManager{})}
	if listens {
		options = append(options, libp2p.ListenAddrs(loopback...))
	} else {
		options = append(options, libp2p.NoListenAddrs)
	}
	return libp2p.New(options...)
}

func newBlank(listens bool) (host.Host, error) {
	sk, pk, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return nil, err
	}
	id, err := peer.IDFromPublicKey(pk)
	if err != nil {
		return nil, err
	}
	store, err := pstoremem.NewPeerstore()
	if err != nil {
		return nil, err
	}
	if err := store.AddPrivKey(id, sk); err != nil {
		return nil, err
	}
	if err := store.AddPubKey(id, pk); err != nil {
		return nil, err
	}
	bus := eventbus.NewBus()
	s, err := swarm.NewSwarm(id, store, bus)
	if err != nil {
		return nil, err
	}
	muxers := []upgrader.StreamMuxer{{ID: yamux.ID, Muxer: yamux.DefaultTransport}}
	security, err := noise.New(noise.ID, sk, muxers)
	if err != nil {
		return nil, err
	}
	up, err := upgrader.New([]sec.SecureTransport{security}, muxers, nil, nil, nil)
	if err != nil {
		return nil, err
	}
	t, err := tcp.NewTCPTransport(up, nil, nil)
	if err != nil {
		return nil, err
	}
	if err := s.AddTransport(t); err != nil {
		return nil, err
	}
	if listens {
		if err := s.Listen(loopback...); err != nil {
			return nil, err
		}
	}
	return blankhost.NewBlankHost(s, blankhost.WithEventBus(bus)), nil
}
