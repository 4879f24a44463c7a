package memnet

import (
	"context"
	"fmt"
	"net"
	"strconv"
	"sync"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// backlog is how many dialed connections wait for a listener's Accept before Dial blocks.
const backlog = 128

// unnamed is the address of an end that nobody can dial.
var unnamed = ma.StringCast("/memory/0")

// hub holds the listeners of this process by port.
var hub = struct {
	sync.Mutex
	listeners map[uint16]*listener
	next      uint16
}{listeners: make(map[uint16]*listener)}

// Transport dials and listens on /memory/N inside this process, for tests and simulations. N is a 16-bit port; 0 picks a free one.
type Transport struct {
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
}

var _ transport.Transport = (*Transport)(nil)

// NewTransport returns a /memory transport that upgrades its connections with u and accounts them to r (nil: no accounting).
func NewTransport(u transport.Upgrader, r network.ResourceManager) *Transport {
	if r == nil {
		r = &network.NullResourceManager{}
	}
	return &Transport{upgrader: u, rcmgr: r}
}

// CanDial reports whether the address is exactly /memory/N with N in 1…65535.
func (t *Transport) CanDial(a ma.Multiaddr) bool {
	if !isMemory(a) {
		return false // is asked about every address, and needs no error to show
	}
	port, err := portOf(a)
	return err == nil && port != 0
}

// Dial connects to a listener of this process and upgrades the connection. It fails at once if nobody listens there.
func (t *Transport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, false, raddr)
	if err != nil {
		return nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return nil, err
	}
	conn, err := dial(ctx, raddr)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, conn, network.DirOutbound, p, scope)
}

// Listen listens on /memory/N.
func (t *Transport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	l, err := Listen(laddr)
	if err != nil {
		return nil, err
	}
	return t.upgrader.UpgradeGatedMaListener(t, t.upgrader.GateMaListener(l)), nil
}

// Protocols is the memory protocol alone.
func (t *Transport) Protocols() []int { return []int{ma.P_MEMORY} }

// Proxy is false.
func (t *Transport) Proxy() bool { return false }

func (t *Transport) String() string { return "memory" }

// Dial connects to a listener of this process without upgrading, as a raw socket would.
func Dial(ctx context.Context, raddr ma.Multiaddr) (*Conn, error) { return dial(ctx, raddr) }

func dial(ctx context.Context, raddr ma.Multiaddr) (*Conn, error) {
	port, err := portOf(raddr)
	if err != nil {
		return nil, err
	}
	hub.Lock()
	l := hub.listeners[port]
	hub.Unlock()
	if l == nil {
		return nil, fmt.Errorf("memnet: nobody listens on %s", raddr)
	}
	ours, theirs := newPipe(unnamed, l.addr)
	select {
	case l.incoming <- theirs:
		select {
		case <-l.closed: // nobody may be left to take it
			theirs.Close()
		default:
		}
		return ours, nil
	case <-l.closed:
		return nil, fmt.Errorf("memnet: nobody listens on %s", raddr)
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

type listener struct {
	addr     ma.Multiaddr
	port     uint16
	incoming chan *Conn
	closed   chan struct{}
	once     sync.Once
}

// Listen listens on /memory/N in this process; N = 0 picks a free port. The peer's address reads /memory/0, which cannot be dialed.
func Listen(laddr ma.Multiaddr) (manet.Listener, error) {
	port, err := portOf(laddr)
	if err != nil {
		return nil, err
	}
	hub.Lock()
	defer hub.Unlock()
	if port == 0 {
		if port, err = freePort(); err != nil {
			return nil, err
		}
	}
	if hub.listeners[port] != nil {
		return nil, fmt.Errorf("memnet: /memory/%d is taken", port)
	}
	l := &listener{
		addr:     ma.StringCast("/memory/" + strconv.Itoa(int(port))),
		port:     port,
		incoming: make(chan *Conn, backlog),
		closed:   make(chan struct{}),
	}
	hub.listeners[port] = l
	return l, nil
}

// freePort walks on from the last port it gave, so that a port is not reused while somebody may still dial its former owner.
func freePort() (uint16, error) {
	for range 1 << 16 {
		hub.next++
		if port := hub.next | 1<<15; hub.listeners[port] == nil {
			return port, nil
		}
	}
	return 0, fmt.Errorf("memnet: no free port")
}

func (l *listener) Accept() (manet.Conn, error) {
	select {
	case <-l.closed:
		return nil, net.ErrClosed
	default:
	}
	select {
	case c := <-l.incoming:
		return c, nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *listener) Close() error {
	l.once.Do(func() {
		hub.Lock()
		delete(hub.listeners, l.port)
		hub.Unlock()
		close(l.closed)
	})
	for { // who dialed and was never accepted sees the end
		select {
		case c := <-l.incoming:
			c.Close()
		default:
			return nil
		}
	}
}

func (l *listener) Multiaddr() ma.Multiaddr { return l.addr }
func (l *listener) Addr() net.Addr          { return addr{l.addr} }

func isMemory(a ma.Multiaddr) bool { return len(a) == 1 && a[0].Protocol().Code == ma.P_MEMORY }

func portOf(a ma.Multiaddr) (uint16, error) {
	if !isMemory(a) {
		return 0, fmt.Errorf("memnet: %s is not /memory/N", a)
	}
	port, err := strconv.ParseUint(a[0].Value(), 10, 16)
	if err != nil {
		return 0, fmt.Errorf("memnet: port of %s is beyond 65535", a)
	}
	return uint16(port), nil
}
