package node

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/p2p/net/swarm"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/linkwatch"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// anchorsEvery is how often the best connections are noted in the book while they last: our choice.
const anchorsEvery = 10 * time.Minute

// onionDialLimit is the time of one dial of a node on Tor: what an onion address may take, with the steps around it.
const onionDialLimit = 150 * time.Second

// keep starts what keeps the node connected: to the configured peers always, and to a pool of others that the book knows.
func (n *Node) keep(ctx context.Context) {
	l := &links{n: n, told: map[peer.ID]string{}}
	n.links = l
	cfg := n.config.Connectivity
	if cfg.Dials.Limit == 0 && n.config.Tor.used() {
		cfg.Dials.Limit = onionDialLimit
	}
	n.Connectivity = connectivity.Start(connectivity.Parts{
		Dialer: l, Candidates: l, Connections: l, Closer: l, Pinger: l, Failures: l, Anchors: l,
	}, cfg)
	for _, p := range n.config.Peers {
		n.Connectivity.Hold(p.Key.PeerID())
	}
	n.Host.Network().Notify(&network.NotifyBundle{
		ConnectedF:    func(_ network.Network, c network.Conn) { l.reached(c.RemotePeer()) },
		DisconnectedF: func(network.Network, network.Conn) { n.Connectivity.Changed() },
	})
	n.Connectivity.Changed() // who came before
	n.tasks.Go(func() {
		for e := range n.Connectivity.Events() {
			l.event(e)
		}
	})
	n.tasks.Go(func() {
		linkwatch.Watch(ctx, func(s linkwatch.State) { n.Connectivity.LinkChanged(s.Up, s.Addrs) })
	})
}

// links is the node as its connectivity sees it.
type links struct {
	n       *Node
	mu      sync.Mutex
	told    map[peer.ID]string // why configured peers cannot be reached, as last told
	anchors []connectivity.Connection
}

func (l *links) reached(id peer.ID) {
	l.mu.Lock()
	delete(l.told, id)
	l.mu.Unlock()
	l.n.Connectivity.Changed()
}

// event passes on what connectivity tells; why a peer cannot be reached only when it is not for the same reason as before.
func (l *links) event(e connectivity.Event) {
	switch e := e.(type) {
	case connectivity.StateChanged:
		nodes := e.Nodes
		l.n.emit(Event{Kind: EventStateChanged, State: e.State.String(), Nodes: &nodes})
	case connectivity.DialFailed:
		text := plain(e.Err)
		l.mu.Lock()
		again := l.told[e.Peer] == text
		l.told[e.Peer] = text
		l.mu.Unlock()
		if !again {
			l.n.emit(Event{Kind: EventDialFailed, Peer: keyText(e.Peer), Error: text})
		}
	}
}

// Dial connects to a peer, without addresses at those that the book knows.
func (l *links) Dial(ctx context.Context, to peer.AddrInfo) (failed []ma.Multiaddr, err error) {
	if err = l.n.Host.Connect(ctx, to); err == nil {
		return nil, nil
	}
	for _, one := range blamed(err) {
		failed = append(failed, one.Address)
	}
	return failed, err
}

// What an address must have been given of a dial that ran out of time, for its silence to count as a failure: our choice.
const (
	fairTry      = 5 * time.Second
	fairOnionTry = 30 * time.Second
)

// blamed are the addresses of a dial that failed, and why: not those that were not tried, nor those that others gave no time.
func blamed(err error) (failed []swarm.TransportError) {
	var dial *swarm.DialError
	if !errors.As(err, &dial) {
		return nil
	}
	for _, one := range dial.DialErrors {
		var unfinished *tari.UnfinishedError
		switch fair := fairTry; {
		case errors.As(one.Cause, new(*tari.NotTriedError)), errors.Is(one.Cause, context.Canceled):
		case errors.As(one.Cause, &unfinished):
			if isOnion(one.Address) {
				fair = fairOnionTry
			}
			if unfinished.Took >= fair {
				failed = append(failed, one)
			}
		default:
			failed = append(failed, one)
		}
	}
	return failed
}

// DialFailed keeps in the book why a peer was not reached.
func (l *links) DialFailed(id peer.ID, _ []ma.Multiaddr, err error) {
	for _, one := range blamed(err) {
		l.n.stages.unreached(one.Cause)
		if err := l.n.Peers.Dialed(id, one.Address, 0, errors.New(plainCause(one.Cause))); err != nil {
			return // the book is closed
		}
	}
}

// dialFailed keeps in the book where a dial that our user asked for failed. As with those that connectivity begins, what fails while we
// have no connection at all says nothing, nor does what was given up.
func (n *Node) dialFailed(ctx context.Context, id peer.ID, err error) {
	if n.links == nil || ctx.Err() != nil {
		return
	}
	if s := n.Connectivity.Status(); !s.NoLink && s.Nodes+s.Clients > 0 {
		n.links.DialFailed(id, nil, err)
	}
}

// Candidates are the nodes of our network in the book, and those of whom we know nothing yet.
func (l *links) Candidates() (out []connectivity.Candidate) {
	us := l.n.Host.ID()
	found := l.n.Peers.Candidates(peerbook.Wanted{
		PerNetgroup: -1, // connectivity sees to that
		Dialable:    l.dialable,
		Keep: func(r peerbook.Record) bool {
			return r.PeerID() != us && (r.Network == "" || r.Network == l.n.config.Network.Name) &&
				(r.Features == identityproto.FeatureNode || r.Claim == nil && r.LastSeen.IsZero())
		},
	})
	for _, f := range found {
		c := connectivity.Candidate{ID: f.PeerID(), Seed: f.Seed}
		for _, a := range f.Dial {
			c.Addrs = append(c.Addrs, a.Addr)
			if a.LastSeen.IsZero() && a.Source != peerbook.Configured {
				c.Unproven = append(c.Unproven, a.Addr)
			}
		}
		for _, a := range f.Addresses {
			if a.LastSeen.After(c.Reached) {
				c.Reached = a.LastSeen
			}
		}
		out = append(out, c)
	}
	return out
}

// dialable leaves out what there is no way to.
func (l *links) dialable(a ma.Multiaddr) bool {
	if isOnion(a) {
		return l.n.config.Tor.used()
	}
	return !l.n.config.Tor.Only
}

// Connections lists the host's connections, without those that lost a tie.
func (l *links) Connections() (out []connectivity.Connection) {
	for _, c := range l.n.Host.Network().Conns() {
		s, tari := sessionOf(c)
		if c.IsClosed() || !tari { // peers of plain libp2p are not Tari's network
			continue
		}
		stat := c.Stat()
		info := connectivity.Connection{
			ID:        c.ID(),
			Peer:      c.RemotePeer(),
			Local:     c.LocalMultiaddr(),
			Remote:    c.RemoteMultiaddr(),
			Inbound:   stat.Direction == network.DirInbound,
			Opened:    stat.Opened,
			Streams:   len(c.GetStreams()),
			Protected: l.n.Host.ConnManager().IsProtected(c.RemotePeer(), ""),
			Client:    s.Claim.Features == identityproto.FeatureClient,
		}
		for _, s := range c.GetStreams() {
			if s.Stat().Direction == network.DirOutbound {
				info.Ours++
			}
		}
		if r, ok := l.n.Peers.Get(info.Peer); ok {
			info.Seed, info.Protected = r.Seed, info.Protected || r.Protected
		}
		out = append(out, info)
	}
	return out
}

// find is the host's connection of which connectivity speaks; nil if it has ended.
func (l *links) find(c connectivity.Connection) network.Conn {
	for _, conn := range l.n.Host.Network().ConnsToPeer(c.Peer) {
		if conn.ID() == c.ID {
			return conn
		}
	}
	return nil
}

// CloseConnection closes a connection after what was written to it has been sent, or could not be.
func (l *links) CloseConnection(c connectivity.Connection) {
	if conn := l.find(c); conn != nil {
		_ = conn.Close() // that something could not be sent is known where it was written
	}
}

// Ping asks the peer for a protocol that nobody serves.
func (l *links) Ping(ctx context.Context, c connectivity.Connection) error {
	conn := l.find(c)
	if conn == nil {
		return errEnded
	}
	stream, err := conn.NewStream(ctx)
	if err != nil {
		return err
	}
	return askFor(ctx, stream)
}

var errEnded = errors.New("node: the connection has ended")

// KeepAnchors notes in the book, from time to time, that these connections still stand.
func (l *links) KeepAnchors(conns []connectivity.Connection) {
	l.mu.Lock()
	l.anchors = conns
	l.mu.Unlock()
	l.note(conns, anchorsEvery)
}

// noteAnchors notes the best connections when the node ends: they are dialed first when it starts again.
func (l *links) noteAnchors() {
	l.mu.Lock()
	anchors := l.anchors
	l.mu.Unlock()
	l.note(anchors, 0)
}

func (l *links) note(conns []connectivity.Connection, older time.Duration) {
	for _, c := range conns {
		r, ok := l.n.Peers.Get(c.Peer)
		if !ok {
			continue
		}
		for _, a := range r.Addresses {
			if a.Addr.Equal(c.Remote) && time.Since(a.LastSeen) >= older {
				_ = l.n.Peers.Dialed(c.Peer, c.Remote, a.Took, nil) // statistics
			}
		}
	}
}
