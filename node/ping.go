package node

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// Stages of a ping beside those of package dialect.
const (
	StageConnect   = "connect"
	StageRoundTrip = "round trip"
)

// Limits of a ping. tari_comms gives a TCP dial 60 s; one who waits at a terminal would not.
const (
	connectLimit   = 15 * time.Second
	roundTripLimit = 10 * time.Second
)

// Stage is one step of a connection, as it went.
type Stage struct {
	Name   string `json:"stage"`
	TookUS int64  `json:"took_us"`
	Detail string `json:"detail,omitempty"`
	Error  string `json:"error,omitempty"`
}

// Pong is what a ping found out.
type Pong struct {
	Peer       string   `json:"peer"`
	Address    string   `json:"address"` // the one that was tried last
	Network    string   `json:"network"`
	Dialect    string   `json:"dialect"`
	OK         bool     `json:"ok"`
	FailedAt   string   `json:"failed_at,omitempty"` // name of the stage
	Stages     []Stage  `json:"stages"`
	UserAgent  string   `json:"user_agent,omitempty"`
	Features   string   `json:"features,omitempty"`
	Addresses  []string `json:"addresses,omitzero"` // that the peer claims
	Protocols  []string `json:"protocols,omitzero"`
	RoundTrips []int64  `json:"round_trips_us,omitempty"`
}

// Ping connects to peer with a throw-away identity in the given network, tells stage of each step when it ends, measures
// count round trips and says goodbye. It tries the addresses in order until one connects. Pong is filled in as far as
// Ping got, also when there is an error. socks is the host:port of a proxy to go through; "" = none.
func Ping(ctx context.Context, in dialect.Network, socks string, peer tari.Address, count int, stage func(Stage)) (Pong, error) {
	id, err := NewIdentity()
	if err != nil {
		return Pong{}, err
	}
	p := &pinger{
		stage: stage,
		pong:  Pong{Peer: peer.Key.String(), Network: in.Name, Dialect: dialect.Of(in).String(), Stages: []Stage{}},
	}
	conn, err := p.connect(ctx, socks, peer.Addrs)
	if err != nil {
		return p.pong, err
	}
	defer conn.Close()
	session, err := p.upgrade(ctx, conn, in, id, peer)
	if err != nil {
		return p.pong, err
	}
	for range count {
		if err := p.roundTrip(ctx, session); err != nil {
			return p.pong, errors.Join(err, session.Close())
		}
	}
	p.pong.OK = true
	return p.pong, session.Close()
}

// pinger keeps what one Ping has found so far.
type pinger struct {
	pong  Pong
	stage func(Stage)
}

// end notes a stage; err is returned.
func (p *pinger) end(name, detail string, took time.Duration, err error) error {
	s := Stage{Name: name, TookUS: took.Microseconds(), Detail: detail}
	if err != nil {
		s.Error, s.Detail = plain(err), ""
		p.pong.FailedAt = name
	}
	p.pong.Stages = append(p.pong.Stages, s)
	p.stage(s)
	return err
}

func (p *pinger) connect(ctx context.Context, socks string, addrs []ma.Multiaddr) (net.Conn, error) {
	var failed []error
	for _, addr := range addrs {
		p.pong.Address = addr.String()
		began := time.Now()
		conn, err := DialAddress(ctx, socks, addr)
		if p.end(StageConnect, p.pong.Address, time.Since(began), err) == nil {
			p.pong.FailedAt = ""
			return conn, nil
		}
		failed = append(failed, pingError{addr, err})
	}
	if len(failed) == 0 {
		return nil, fail(FailUsage, errors.New("node: ping: no address to connect to"))
	}
	return nil, fmt.Errorf("node: ping: connect: %w", errors.Join(failed...))
}

// pingError is an address that could not be connected to.
type pingError struct {
	addr ma.Multiaddr
	err  error
}

func (e pingError) Error() string { return e.addr.String() + ": " + plain(e.err) }
func (e pingError) Unwrap() error { return e.err }

// DialAddress makes a connection to an IP, DNS or onion address, for tools that speak for themselves: through the SOCKS5 proxy at
// host:port socks if it is not empty, which may take as long as ctx lets it, else directly, within 15 s. Errors are sorted by FailureOf.
func DialAddress(ctx context.Context, socks string, addr ma.Multiaddr) (net.Conn, error) {
	if socks == "" {
		return dialTCP(ctx, addr)
	}
	host, port, err := torsocks.Target(addr)
	if err != nil {
		return nil, fail(FailUsage, err)
	}
	return (&torsocks.Dialer{Proxy: socks}).Dial(ctx, host, port, rand.Text())
}

// dialTCP dials an IP or DNS address.
func dialTCP(ctx context.Context, addr ma.Multiaddr) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	proto, hostPort, err := manet.DialArgs(addr)
	if err != nil || len(proto) < 3 || proto[:3] != "tcp" {
		return nil, fail(FailUsage, errors.New("only TCP addresses can be dialed directly: an onion address needs a SOCKS proxy"))
	}
	return new(net.Dialer).DialContext(ctx, proto, hostPort)
}

func (p *pinger) upgrade(ctx context.Context, conn net.Conn, in dialect.Network, id *Identity, peer tari.Address) (*dialect.Session, error) {
	ctx, cancel := context.WithTimeout(ctx, dialect.Budget)
	defer cancel()
	d := dialect.Of(in)
	_ = p.end(dialect.StageWire, fmt.Sprintf("0x%02x, %s, goes with Noise's first message", d.WireByte(), in.Name), 0, nil)
	session, err := d.Upgrade(ctx, conn, network.DirOutbound, dialect.Local{
		Key:    id.Key,
		Expect: peer.Key,
		Rules:  identityproto.Rules{AllowTestAddresses: true}, // shown, never stored
		Claim: func() (*identityproto.Claim, error) {
			claim := id.claim()
			claim.Features, claim.UserAgent = identityproto.FeatureClient, defaultUserAgent()
			claim.Protocols = []protocol.ID{tariproto.Messaging}
			return claim, claim.Sign(id.Key, time.Now())
		},
		Trace: func(t dialect.StageTime) { _ = p.end(t.Stage, "", t.Took, t.Err) },
	})
	if err != nil {
		return nil, fmt.Errorf("node: ping: %w", err)
	}
	claim := session.Claim
	p.pong.UserAgent, p.pong.Features = claim.UserAgent, claim.Features.String()
	p.pong.Addresses, p.pong.Protocols = texts(claim.Addresses), texts(claim.Protocols)
	return session, nil
}

// nobodyServes is a protocol id that no peer serves: asking for it costs the peer an answer and nothing else.
const nobodyServes = protocol.ID("tari-libp2p/round-trip")

// roundTrip opens a substream, asks for a protocol that nobody serves, and measures the time to the answer.
func (p *pinger) roundTrip(ctx context.Context, session *dialect.Session) error {
	ctx, cancel := context.WithTimeout(ctx, roundTripLimit)
	defer cancel()
	began := time.Now()
	err := askNobody(ctx, session)
	took := time.Since(began)
	if err == nil {
		p.pong.RoundTrips = append(p.pong.RoundTrips, took.Microseconds())
	}
	if p.end(StageRoundTrip, "a substream opened, and an answer on it", took, err) != nil {
		return fmt.Errorf("node: ping: round trip: %w", err)
	}
	return nil
}

func askNobody(ctx context.Context, session *dialect.Session) error {
	stream, err := session.OpenStream(ctx)
	if err != nil {
		return err
	}
	return askFor(ctx, stream)
}

// asked is a substream of either kind.
type asked interface {
	io.ReadWriter
	Reset() error
	SetDeadline(time.Time) error
}

// askFor asks on a new substream for a protocol that nobody serves, and waits for the answer.
func askFor(ctx context.Context, stream asked) (err error) {
	defer func() { _ = stream.Reset() }()
	stop := context.AfterFunc(ctx, func() { _ = stream.SetDeadline(time.Unix(1, 0)) })
	defer stop()
	_, err = tariproto.Select(stream, nobodyServes)
	if errors.Is(err, tariproto.ErrNotSupported) {
		return nil
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}
