package tari

import (
	"errors"
	"math"
	"net/netip"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/transport"
	rcmgr "github.com/libp2p/go-libp2p/p2p/host/resource-manager"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"
	"github.com/libp2p/go-libp2p/x/rate"

	"github.com/tari-libp2p/tari-libp2p/memnet"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// How long a dial of one address may take, from connect to ready. tari_comms gives the connect alone 60 s; an onion service may
// need twice that.
const (
	connectTimeout = 30 * time.Second
	dialTimeout    = 120 * time.Second
	peerTimeout    = dialTimeout + 30*time.Second // all addresses of a peer, of which some are begun later than others
)

// newSwarm returns go-libp2p's swarm without its guesses about the local network: black-hole detection and short time-outs for
// private addresses.
func newSwarm(id peer.ID, peers peerstore.Peerstore, bus event.Bus, r network.ResourceManager, gater connmgr.ConnectionGater, names network.MultiaddrDNSResolver, rank network.DialRanker) (*swarm.Swarm, error) {
	certified, ok := peerstore.GetCertifiedAddrBook(peers)
	if !ok {
		return nil, errors.New("tari: a peerstore without signed records")
	}
	return swarm.NewSwarm(id, swarmPeers{peers, certified}, bus,
		swarm.WithResourceManager(r),
		swarm.WithConnectionGater(gater),
		swarm.WithDialTimeout(dialTimeout),
		swarm.WithDialTimeoutLocal(dialTimeout),
		swarm.WithDialRanker(rank),
		swarm.WithMultiaddrResolver(names),
		swarm.WithUDPBlackHoleSuccessCounter(nil),
		swarm.WithIPv6BlackHoleSuccessCounter(nil),
	)
}

// swarmPeers is the peerstore without the keys that the swarm puts there: who asks for that of a Tari peer gets it from the peer's id.
type swarmPeers struct {
	peerstore.Peerstore
	peerstore.CertifiedAddrBook
}

// AddPubKey keeps keys of other kinds only. To find out whether an id is that of a key, which it is here, costs as much as half a Diffie-Hellman.
func (s swarmPeers) AddPubKey(p peer.ID, key crypto.PubKey) error {
	if raw, err := key.Raw(); err == nil && key.Type() == tarikey.KeyType && strings.HasSuffix(string(p), string(raw)) {
		return nil
	}
	return s.Peerstore.AddPubKey(p, key)
}

// addTransports gives the swarm its transports, all over the same upgrader and within the bounds of dials, and returns them.
func addTransports(s *swarm.Swarm, up *upgrader, dials *dialing, r network.ResourceManager, replace func(transport.Upgrader, network.ResourceManager, transport.Transport) ([]transport.Transport, error)) ([]transport.Transport, error) {
	// Without reuseport: with it, and with connections that are closed and not reset, the same pair of addresses comes back while the
	// kernel still waits for stragglers of its former connection.
	overTCP, err := tcp.NewTCPTransport(up, r, nil, tcp.DisableReuseport(), tcp.WithConnectionTimeout(connectTimeout))
	if err != nil {
		return nil, err
	}
	transports := []transport.Transport{overTCP}
	if replace != nil {
		if transports, err = replace(up, r, overTCP); err != nil {
			return nil, err
		}
	}
	transports = append(transports, memnet.NewTransport(up, r))
	for _, t := range transports {
		if err := s.AddTransport(&boundTransport{t, dials}); err != nil {
			return nil, err
		}
	}
	return transports, nil
}

// maxStreams is how many streams a connection may have at a time, as tari_comms has it.
const maxStreams = 128

// newResourceManager bounds connections by our limits and memory and descriptors by go-libp2p's, which grow with the machine. Streams are
// bounded for each connection, and for each peer of a protocol, not all together: four peers with as many as they may have before a protocol is
// agreed on would otherwise be enough that nobody else gets one.
// Its bounds leave room for all listeners, of which each has its own counts below, so that a flood at one does not close another.
// Counting by source is left to the listener, which knows an exempt one from another.
func newResourceManager(l Limits, listeners int) (network.ResourceManager, error) {
	n := max(listeners, 2)
	inbound, shaking := n*(l.Inbound+l.Handshakes)+l.InboundOnion, n*l.Handshakes+l.HandshakesOnion
	streams := rcmgr.LimitVal(maxStreams * (inbound + l.Outbound))
	of := func(inbound int) rcmgr.ResourceLimits {
		return rcmgr.ResourceLimits{
			ConnsInbound:  rcmgr.LimitVal(inbound),
			ConnsOutbound: rcmgr.LimitVal(l.Outbound),
			Conns:         rcmgr.LimitVal(inbound + l.Outbound),
			Streams:       streams, StreamsInbound: streams, StreamsOutbound: streams,
		}
	}
	limits := rcmgr.PartialLimitConfig{
		System: of(inbound), Transient: of(shaking),
		ProtocolDefault: rcmgr.ResourceLimits{Streams: streams, StreamsInbound: streams, StreamsOutbound: streams},
	}.Build(rcmgr.DefaultLimits.AutoScale())
	anySource := func(bits int) []rcmgr.ConnLimitPerSubnet {
		return []rcmgr.ConnLimitPerSubnet{{PrefixLength: bits, ConnCount: math.MaxInt}}
	}
	return rcmgr.NewResourceManager(
		rcmgr.NewFixedLimiter(limits),
		rcmgr.WithLimitPerSubnet(anySource(32), anySource(64)),
		rcmgr.WithNetworkPrefixLimit([]rcmgr.NetworkPrefixLimit{}, []rcmgr.NetworkPrefixLimit{}),
		rcmgr.WithConnRateLimiters(&rate.Limiter{NetworkPrefixLimits: []rate.PrefixLimit{
			{Prefix: netip.MustParsePrefix("0.0.0.0/0")}, {Prefix: netip.MustParsePrefix("::/0")},
		}}),
		rcmgr.WithMetricsDisabled(),
	)
}
