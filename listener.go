package tari

import (
	"context"
	"errors"
	"net"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// GateMaListener is part of transport.Upgrader: it asks the gater and the resource manager about each accepted connection.
func (u *upgrader) GateMaListener(l manet.Listener) transport.GatedMaListener {
	return &gatedListener{Listener: l, u: u}
}

// UpgradeListener is part of transport.Upgrader, which deprecates it.
func (u *upgrader) UpgradeListener(t transport.Transport, l manet.Listener) transport.Listener {
	return u.UpgradeGatedMaListener(t, u.GateMaListener(l))
}

// UpgradeGatedMaListener is part of transport.Upgrader: its Accept returns connections that are ready for substreams.
func (u *upgrader) UpgradeGatedMaListener(t transport.Transport, l transport.GatedMaListener) transport.Listener {
	ctx, cancel := context.WithCancel(context.Background())
	up := &listener{
		GatedMaListener: l,
		u:               u,
		transport:       t,
		admission:       newAdmission(u.limits, u.onion.Load()),
		ready:           make(chan transport.CapableConn),
		ctx:             ctx,
		cancel:          cancel,
	}
	go up.run() // ends with Close, which waits for ready to be closed
	return up
}

type gatedListener struct {
	manet.Listener
	u *upgrader
}

// Accept skips what the gater or the resource manager refuses.
func (l *gatedListener) Accept() (manet.Conn, network.ConnManagementScope, error) {
	for {
		raw, err := l.Listener.Accept()
		if err != nil {
			return nil, nil, err
		}
		if g := l.u.gater; g != nil && !g.InterceptAccept(raw) {
			raw.Close()
			l.u.refuse(raw.RemoteMultiaddr(), RefusedByGater)
			continue
		}
		scope, err := l.u.rcmgr.OpenConnection(network.DirInbound, true, raw.RemoteMultiaddr())
		if err != nil {
			raw.Close()
			l.u.refuse(raw.RemoteMultiaddr(), RefusedResources)
			continue
		}
		return raw, scope, nil
	}
}

// listener accepts, admits, and upgrades each connection on a goroutine of its own.
type listener struct {
	transport.GatedMaListener
	u         *upgrader
	transport transport.Transport
	admission *admission
	ready     chan transport.CapableConn // upgraded; closed when run and all handshakes ended
	ctx       context.Context
	cancel    context.CancelFunc
}

// run is the accept loop. An error that is not the end, such as too many open files, makes it pause and go on.
func (l *listener) run() {
	var handshakes sync.WaitGroup
	defer func() {
		handshakes.Wait()
		close(l.ready)
	}()
	pause := time.Duration(0)
	for {
		raw, scope, err := l.GatedMaListener.Accept()
		switch {
		case err == nil:
			pause = 0
		case l.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return
		default:
			l.u.refusals.count(RefusedDescriptors)
			pause = min(max(2*pause, 5*time.Millisecond), time.Second)
			select {
			case <-time.After(pause):
			case <-l.ctx.Done():
			}
			continue
		}
		ctx, cancel := context.WithCancel(l.ctx)
		place, refusal := l.admission.enter(raw.RemoteMultiaddr(), func() {
			cancel()
			l.u.refuse(raw.RemoteMultiaddr(), RefusedDisplaced)
		})
		if place == nil {
			cancel()
			raw.Close()
			scope.Done()
			l.u.refuse(raw.RemoteMultiaddr(), refusal)
			continue
		}
		handshakes.Go(func() {
			defer cancel()
			l.handshake(ctx, raw, scope, place)
		})
	}
}

// refuse counts an inbound connection that is closed, and tells who wants to know.
func (u *upgrader) refuse(remote ma.Multiaddr, reason Refusal) {
	u.refusals.count(reason)
	if u.hooks.OnRefused != nil {
		u.hooks.OnRefused(remote, reason)
	}
}

// upgraded is what our upgrader makes: a *conn or a *plainConn.
type upgraded interface {
	transport.CapableConn
	atEnd(func())
}

// handshake upgrades one connection and hands it to Accept.
func (l *listener) handshake(ctx context.Context, raw manet.Conn, scope network.ConnManagementScope, place *ticket) {
	arrived := l.u.arrivals.enter(raw.RemoteMultiaddr())
	up, err := l.u.Upgrade(ctx, l.transport, raw, network.DirInbound, "", scope)
	if err != nil {
		arrived()
		place.leave()
		return
	}
	c := up.(upgraded)
	if ours, ok := c.(*conn); ok {
		ours.known = arrived
	} else {
		arrived() // no tie to be broken with this one
	}
	c.atEnd(func() { arrived(); place.leave() })
	makeRoom, refused := place.established(func() bool { return l.u.spare(c.RemotePeer()) }, func() {
		l.u.refuse(raw.RemoteMultiaddr(), RefusedIdle)
		c.Close()
	})
	if refused != "" {
		if refused != RefusedDisplaced { // which was told when it happened
			l.u.refuse(raw.RemoteMultiaddr(), refused)
		}
		c.Close()
		return
	}
	select {
	case l.ready <- c:
	case <-l.ctx.Done():
		c.Close()
	}
	makeRoom() // after that: it may take two seconds
}

// Accept returns the next connection, or transport.ErrListenerClosed.
func (l *listener) Accept() (transport.CapableConn, error) {
	c, ok := <-l.ready
	if !ok {
		return nil, transport.ErrListenerClosed
	}
	return c, nil
}

// Close stops listening, ends the handshakes under way and waits for them.
func (l *listener) Close() error {
	l.cancel()
	err := l.GatedMaListener.Close()
	for c := range l.ready {
		c.Close()
	}
	return err
}
