package tari

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/connmgr"
	"github.com/libp2p/go-libp2p/core/event"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/p2p/host/eventbus"
	"github.com/libp2p/go-libp2p/p2p/host/peerstore/pstoremem"
	basicconnmgr "github.com/libp2p/go-libp2p/p2p/net/connmgr"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Host is a go-libp2p host that speaks Tari. Its methods may be called at the same time.
type Host struct {
	key   tarikey.SecretKey
	id    peer.ID
	rules identityproto.Rules
	hooks Hooks

	swarm *swarm.Swarm
	peers peerstore.Peerstore
	left  *departed
	names *namesExplained
	rcmgr network.ResourceManager
	conns connmgr.ConnManager
	bus   event.Bus
	mux   *handlers
	ours  *ownClaim
	ties  ties

	upgrader *upgrader
	dials    *dialing
	policy   *dialPolicy
	known    func(peer.ID) []KnownAddress // Config.Addresses; may be nil
	listen   listening
	refusals *refusals

	identified event.Emitter // EvtPeerIdentificationCompleted
	protocols  event.Emitter // EvtLocalProtocolsUpdated

	background sync.WaitGroup // goroutines that Close waits for
	closing    context.Context
	close      context.CancelFunc
	closeOnce  sync.Once
	closeErr   error
}

var _ host.Host = (*Host)(nil)

// ErrClosed is returned by a Host after Close.
var ErrClosed = errors.New("tari: host is closed")

// New starts a host: when it returns, the host listens. The error says which setting is wrong or which address cannot be listened on.
func New(cfg Config) (*Host, error) {
	h, err := NewUnstarted(cfg)
	if err != nil {
		return nil, err
	}
	if err := h.Listen(); err != nil {
		h.Close()
		return nil, err
	}
	return h, nil
}

// NewUnstarted is New for who has handlers to set before the first peer comes: the host can dial, and nobody can reach it until
// Listen. Close ends it, started or not.
func NewUnstarted(cfg Config) (*Host, error) {
	cfg, err := cfg.withDefaults()
	if err != nil {
		return nil, err
	}
	answers, err := newByteTable(append([]dialect.Network{cfg.Network}, cfg.Accept...), cfg.Limits)
	if err != nil {
		return nil, err
	}
	h := &Host{
		key:   cfg.Key,
		id:    cfg.Key.Public().PeerID(),
		rules: identityproto.Rules{AllowTestAddresses: cfg.AllowTestAddresses, Verified: new(identityproto.Verified)},
		hooks: cfg.Hooks,
		known: cfg.Addresses,
		dials: newDialing(),
		bus:   eventbus.NewBus(),
		mux:   new(handlers),
	}
	h.refusals = newRefusals(cfg.Hooks.OnRefusals)
	h.closing, h.close = context.WithCancel(context.Background())
	h.ours = newOwnClaim(cfg)
	if err := h.assemble(cfg, answers); err != nil {
		h.Close()
		return nil, err
	}
	if _, err := h.ownClaim(); err != nil { // a user agent or addresses that no peer would accept
		h.Close()
		return nil, err
	}
	return h, nil
}

// assemble builds the parts from the ground up; after an error Close ends those that are there.
func (h *Host) assemble(cfg Config, answers byteTable) (err error) {
	if h.peers, err = pstoremem.NewPeerstore(); err != nil {
		return err
	}
	if err = h.peers.AddPrivKey(h.id, h.key.Libp2p()); err != nil {
		return err
	}
	if err = h.peers.AddPubKey(h.id, h.key.Public().Libp2p()); err != nil {
		return err
	}
	if h.rcmgr, err = newResourceManager(cfg.Limits, len(cfg.Listen)); err != nil {
		return err
	}
	if h.identified, err = h.bus.Emitter(new(event.EvtPeerIdentificationCompleted)); err != nil {
		return err
	}
	if h.protocols, err = h.bus.Emitter(new(event.EvtLocalProtocolsUpdated)); err != nil {
		return err
	}
	h.policy = &dialPolicy{
		gater: cfg.Gater, never: cfg.Limits.NeverDial, allowTest: cfg.AllowTestAddresses, public: h.ours.publicAddresses, dials: h.dials,
	}
	h.names = &namesExplained{resolver: newResolver(cfg.AllowTestAddresses), policy: h.policy, resolved: h.resolved}
	rank := func(addrs []ma.Multiaddr) []network.AddrDelay { return rankAddresses(addrs, h.dials.rankOf) }
	if h.swarm, err = newSwarm(h.id, h.peers, h.bus, h.rcmgr, h.policy, h.names, rank); err != nil {
		return err
	}
	h.left = newDeparted(h.peers)
	h.names.canDial = func(a ma.Multiaddr) bool { return h.swarm.TransportForDialing(a) != nil }

	high := cfg.Limits.Inbound + cfg.Limits.Outbound
	if h.conns, err = basicconnmgr.NewConnManager(high*9/10, high); err != nil {
		return err
	}
	h.swarm.Notify(h.conns.Notifee())
	h.swarm.Notify(&network.NotifyBundle{ConnectedF: h.connected, DisconnectedF: h.disconnected})
	h.swarm.SetStreamHandler(h.serve)

	up := &upgrader{
		key:      h.key,
		dials:    dialect.Of(cfg.Network),
		answers:  answers,
		claim:    h.ownClaim,
		rules:    h.rules,
		gater:    cfg.Gater,
		rcmgr:    h.rcmgr,
		limits:   cfg.Limits,
		hooks:    cfg.Hooks,
		refusals: h.refusals,
		learned:  h.learned,
		ended:    h.ended,
		offence:  h.Offence,
		cameIn:   h.cameIn,
		spare:    h.spare,
	}
	h.upgrader, h.listen.addrs, h.listen.onion = up, cfg.Listen, cfg.ListenOnion
	h.names.transports, err = addTransports(h.swarm, up, h.dials, h.rcmgr, cfg.Transports)
	return err
}

// Close ends all connections after what was written to them has been sent, but waits no longer than two seconds for peers that
// do not read; then it stops everything else.
func (h *Host) Close() error {
	h.closeOnce.Do(func() {
		h.close()
		if h.conns != nil {
			h.closeErr = errors.Join(h.closeErr, h.conns.Close())
		}
		if h.swarm != nil {
			h.closeErr = errors.Join(h.closeErr, h.swarm.Close())
		}
		h.background.Wait()
		h.refusals.close()
		for _, e := range []event.Emitter{h.identified, h.protocols} {
			if e != nil {
				h.closeErr = errors.Join(h.closeErr, e.Close())
			}
		}
		if h.rcmgr != nil {
			h.closeErr = errors.Join(h.closeErr, h.rcmgr.Close())
		}
		if h.peers != nil {
			h.closeErr = errors.Join(h.closeErr, h.peers.Close())
		}
	})
	return h.closeErr
}

// ID returns our peer id.
func (h *Host) ID() peer.ID { return h.id }

// PublicKey returns the key by which peers know us.
func (h *Host) PublicKey() tarikey.PublicKey { return h.key.Public() }

// Peerstore returns what the host knows of peers, filled from their claims: of those connected, and of the 512 that left last. Their
// addresses are kept for a quarter of an hour. What else is put there is its owner's to remove.
func (h *Host) Peerstore() peerstore.Peerstore { return h.peers }

// Network returns the swarm.
func (h *Host) Network() network.Network { return h.swarm }

// ConnManager returns the connection manager; tags and protections set there are honoured.
func (h *Host) ConnManager() connmgr.ConnManager { return h.conns }

// EventBus returns the bus that the swarm and the host emit on.
func (h *Host) EventBus() event.Bus { return h.bus }

// Mux returns the table of stream handlers, which negotiates the Tari way.
func (h *Host) Mux() protocol.Switch { return h.mux }

// OnionListener is the address for Tor to deliver to, Config.ListenOnion with its port; nil if there is none, or not yet.
func (h *Host) OnionListener() ma.Multiaddr { return h.listen.tor() }

// Refusals counts the inbound connections refused since the start, by reason.
func (h *Host) Refusals() Refusals { return h.refusals.sum() }

// Addrs returns our public addresses, then those we listen on.
func (h *Host) Addrs() []ma.Multiaddr {
	listening, _ := h.swarm.InterfaceListenAddresses()
	return ma.Unique(append(h.ours.publicAddresses(), listening...))
}

// Connect makes sure that there is a connection to the peer, trying the given addresses, the best first, and those known from before: a
// quarter of a second after each other, onion addresses last, at most four in one network. Callers that want the same peer share one
// dial, which ends when the last of them leaves. Internal addresses are dialed only if they are configured (SetConfigured, Config.Addresses).
//
// The *swarm.DialError has the cause for each address, also when ctx ended before: what failed at which stage is a *dialect.StageError,
// within it a *dialect.KeyMismatchError if the peer proved another key than the one asked for; else it is a *NotTriedError, an
// *UnfinishedError, or what the transport says. Our own key is ErrSelf.
func (h *Host) Connect(ctx context.Context, pi peer.AddrInfo) error {
	if h.swarm.Connectedness(pi.ID) == network.Connected && h.closing.Err() == nil {
		h.peers.AddAddrs(pi.ID, pi.Addrs, peerstore.TempAddrTTL)
		return nil
	}
	return h.dial(ctx, pi.ID, pi.Addrs, nil)
}

// whileOpen returns a context that ends with Close as well, which dials of the swarm would outlive.
func (h *Host) whileOpen(ctx context.Context) (_ context.Context, done func()) {
	ctx, cancel := context.WithCancel(ctx)
	stop := context.AfterFunc(h.closing, cancel)
	return ctx, func() { stop(); cancel() }
}

// Claim returns what a connected peer says of itself.
func (h *Host) Claim(p peer.ID) (*identityproto.Claim, bool) {
	session, ok := h.Session(p)
	if !ok {
		return nil, false
	}
	return session.Claim, true
}

// Session returns what the handshake with a connected peer found; its substreams belong to the host.
func (h *Host) Session(p peer.ID) (*dialect.Session, bool) {
	var session *dialect.Session
	for _, c := range h.swarm.ConnsToPeer(p) {
		if !c.IsClosed() && c.As(&session) {
			return session, true
		}
	}
	return nil, false
}

// SetPublic replaces the addresses that we claim, at most five. Connections made from now on see them.
func (h *Host) SetPublic(addrs []ma.Multiaddr) { h.ours.setPublic(addrs) }

// SetFeatures changes what we claim to be, identityproto.FeatureNode at first.
func (h *Host) SetFeatures(f identityproto.Features) { h.ours.setFeatures(f) }

// OwnClaim returns what we say of ourselves to whom we connect now.
func (h *Host) OwnClaim() (*identityproto.Claim, error) { return h.ownClaim() }

func (h *Host) ownClaim() (*identityproto.Claim, error) {
	listening, err := h.swarm.InterfaceListenAddresses()
	if err != nil {
		return nil, err
	}
	return h.ours.current(listening, h.mux.exact(), time.Now())
}

// Offence is the one place where a peer's breach of protocol is acted on: if err says for how long tari_comms bans for it, by a
// method BanFor() time.Duration, Hooks.OnOffence is told and the peer's connections are closed. Other errors do nothing.
func (h *Host) Offence(p peer.ID, err error) {
	var offence interface {
		error
		BanFor() time.Duration
	}
	if !errors.As(err, &offence) || offence.BanFor() <= 0 {
		return
	}
	conns := h.swarm.ConnsToPeer(p) // not one that comes later, which the gater has let in
	if h.hooks.OnOffence != nil {
		h.hooks.OnOffence(p, offence.BanFor(), err)
	}
	for _, c := range conns {
		_ = c.Close()
	}
}

// learned fills the peerstore from a claim, before the swarm announces the connection to anybody.
func (h *Host) learned(p peer.ID, s *dialect.Session) {
	h.left.cameBack(p)
	h.peers.AddAddrs(p, s.Claim.Filtered(h.rules), peerstore.RecentlyConnectedAddrTTL)
	_ = h.peers.SetProtocols(p, s.Claim.Protocols...)
	_ = h.peers.Put(p, "AgentVersion", s.Claim.UserAgent)
}

// connected is called by the swarm for each new connection before it takes streams.
func (h *Host) connected(_ network.Network, c network.Conn) {
	var session *dialect.Session
	if !c.As(&session) {
		return
	}
	p := c.RemotePeer()
	addrs := session.Claim.Filtered(h.rules)
	h.peers.AddAddrs(p, addrs, peerstore.ConnectedAddrTTL)
	if h.hooks.OnClaim != nil {
		h.hooks.OnClaim(p, session.Claim, c.Stat().Direction, c.RemoteMultiaddr())
	}
	h.background.Go(func() { // a slow subscriber must not hold up the swarm
		_ = h.identified.Emit(event.EvtPeerIdentificationCompleted{
			Peer:         p,
			Conn:         c,
			ListenAddrs:  addrs,
			Protocols:    session.Claim.Protocols,
			AgentVersion: session.Claim.UserAgent,
		})
	})
	h.breakTie(c)
	var ours *conn
	if c.As(&ours) && ours.known != nil {
		ours.known()
	}
}

// disconnected is called by the swarm after connected.
func (h *Host) disconnected(_ network.Network, c network.Conn) { h.ended(c.RemotePeer()) }

// ended is told of the end of every connection, those too that the swarm never had.
func (h *Host) ended(p peer.ID) {
	if h.swarm.Connectedness(p) != network.Connected {
		h.left.left(p)
	}
}
