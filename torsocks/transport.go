package torsocks

import (
	"context"
	"encoding/base32"
	"errors"
	"fmt"
	"net"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// Route says which addresses go through the proxy.
type Route int

const (
	// Everything sends onion, IP and DNS addresses through the proxy. The default.
	Everything Route = iota
	// OnionOnly sends onion addresses through the proxy and leaves the others to the transports beside it.
	OnionOnly
	// NothingElse dials onion addresses through the proxy and nothing else at all.
	NothingElse
)

// Transport is go-libp2p's transport for what a Dialer reaches.
type Transport struct {
	dialer   *Dialer
	route    Route
	upgrader transport.Upgrader
	rcmgr    network.ResourceManager
	tcp      transport.Transport
}

var (
	_ transport.Transport    = (*Transport)(nil)
	_ transport.SkipResolver = (*Transport)(nil)
)

// NewTransport returns a transport that dials through d and upgrades with u. rcmgr nil
// means no resource limits. tcp listens where the route takes TCP addresses from
// the transport beside this one (Everything and NothingElse); with OnionOnly it is not used and may be nil.
func NewTransport(u transport.Upgrader, rcmgr network.ResourceManager, d *Dialer, route Route, tcp transport.Transport) (*Transport, error) {
	if u == nil || d == nil || d.Proxy == "" && d.Find == nil {
		return nil, errors.New("torsocks: a transport needs an upgrader and a dialer with a proxy")
	}
	if d.User != "" && (len(d.User) > 255 || len(d.Password) == 0 || len(d.Password) > 255) {
		return nil, errors.New("torsocks: user name and password have 1 to 255 bytes each")
	}
	if route != OnionOnly && tcp == nil {
		return nil, errors.New("torsocks: this route needs a TCP transport to listen with")
	}
	if rcmgr == nil {
		rcmgr = &network.NullResourceManager{}
	}
	return &Transport{dialer: d, route: route, upgrader: u, rcmgr: rcmgr, tcp: tcp}, nil
}

// Dial connects to raddr through the proxy and upgrades the connection. The peer
// id is what keeps the circuits of two peers apart.
func (t *Transport) Dial(ctx context.Context, raddr ma.Multiaddr, p peer.ID) (transport.CapableConn, error) {
	if !t.CanDial(raddr) {
		return nil, fmt.Errorf("torsocks: %s does not go through this proxy", raddr)
	}
	host, port, err := Target(raddr)
	if err != nil {
		return nil, err
	}
	scope, err := t.rcmgr.OpenConnection(network.DirOutbound, true, raddr)
	if err != nil {
		return nil, err
	}
	if err := scope.SetPeer(p); err != nil {
		scope.Done()
		return nil, err
	}
	c, err := t.ask(ctx, host, port, p)
	if err != nil {
		scope.Done()
		return nil, err
	}
	return t.upgrader.Upgrade(ctx, t, &conn{Conn: c, remote: raddr}, network.DirOutbound, p, scope)
}

// An onion service that stays silent is asked again, through other circuits: a
// lost introduction is never answered, and Tor itself would wait for two minutes.
const (
	firstPatience = 15 * time.Second // then half as much more each time
	mostAsked     = 4
)

// ask dials through the proxy, an onion service more than once if need be.
func (t *Transport) ask(ctx context.Context, host string, port uint16, p peer.ID) (net.Conn, error) {
	d := *t.dialer
	if !strings.HasSuffix(host, ".onion") || d.RequestTimeout != 0 {
		return d.Dial(ctx, host, port, p.String())
	}
	for try := 1; ; try++ {
		d.RequestTimeout = firstPatience * time.Duration(try+1) / 2
		c, err := d.Dial(ctx, host, port, fmt.Sprintf("%s/%d", p, try))
		var silence net.Error
		if err == nil || try == mostAsked || ctx.Err() != nil || !errors.As(err, &silence) || !silence.Timeout() {
			return c, err
		}
	}
}

// CanDial reports whether the route sends addr through the proxy.
func (t *Transport) CanDial(addr ma.Multiaddr) bool {
	protocols := addr.Protocols()
	if len(protocols) == 0 {
		return false
	}
	switch protocols[0].Code {
	case ma.P_ONION3:
		return len(protocols) == 1
	case ma.P_IP4, ma.P_IP6, ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return t.route == Everything && len(protocols) == 2 && protocols[1].Code == ma.P_TCP
	}
	return false
}

// Listen listens on a TCP address with the transport given to NewTransport: a
// proxy only dials. Tor forwards its onion service to that listener.
func (t *Transport) Listen(laddr ma.Multiaddr) (transport.Listener, error) {
	if t.tcp == nil || !t.tcp.CanDial(laddr) {
		return nil, fmt.Errorf("torsocks: cannot listen on %s", laddr)
	}
	return t.tcp.Listen(laddr)
}

// Protocols are the codes this transport takes in a swarm: onion3, and TCP
// unless the route leaves TCP to another transport.
func (t *Transport) Protocols() []int {
	if t.route == OnionOnly {
		return []int{ma.P_ONION3}
	}
	return []int{ma.P_ONION3, ma.P_TCP}
}

// Proxy reports that connections go through somebody else.
func (t *Transport) Proxy() bool { return t.route != OnionOnly }

// SkipResolve keeps the swarm from looking up names that the proxy resolves.
func (t *Transport) SkipResolve(context.Context, ma.Multiaddr) bool { return true }

// onionEncoding is how onion names spell the 35 bytes of an address.
var onionEncoding = base32.StdEncoding.WithPadding(base32.NoPadding)

// Target is what to ask a proxy for to reach an address: an onion name, host name or IP address, and a port.
func Target(a ma.Multiaddr) (string, uint16, error) {
	first, rest := ma.SplitFirst(a)
	if first == nil {
		return "", 0, errors.New("torsocks: empty address")
	}
	if first.Protocol().Code == ma.P_ONION3 {
		raw := first.RawValue()
		if len(raw) != 37 {
			return "", 0, fmt.Errorf("torsocks: %s is no onion address", a)
		}
		name := strings.ToLower(onionEncoding.EncodeToString(raw[:35])) + ".onion"
		return name, uint16(raw[35])<<8 | uint16(raw[36]), nil
	}
	text, err := rest.ValueForProtocol(ma.P_TCP)
	if err != nil {
		return "", 0, fmt.Errorf("torsocks: %s: %w", a, err)
	}
	port, err := strconv.ParseUint(text, 10, 16)
	if err != nil {
		return "", 0, fmt.Errorf("torsocks: %s: %w", a, err)
	}
	return first.Value(), uint16(port), nil
}

// conn is a connection through the proxy in multiaddr clothes: its remote end
// is the peer's address, not the proxy's.
type conn struct {
	net.Conn
	remote ma.Multiaddr
}

var _ manet.Conn = (*conn)(nil)

func (c *conn) RemoteMultiaddr() ma.Multiaddr { return c.remote }

func (c *conn) LocalMultiaddr() ma.Multiaddr {
	a, err := manet.FromNetAddr(c.LocalAddr())
	if err != nil {
		return ma.StringCast("/ip4/127.0.0.1/tcp/0")
	}
	return a
}
