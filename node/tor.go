package node

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"path/filepath"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/transport"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/torctl"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// torKeyName is the file of the onion service's key, in the Rust node's format and under its name.
const torKeyName = "base_node_tor_id.json"

// DefaultOnionPort is the port in our onion address, as the Rust node has it.
const DefaultOnionPort = 18141

// Tor says how a node uses Tor or another SOCKS5 proxy. The zero value uses none.
type Tor struct {
	Service  bool   // be reachable by an onion address, which needs Tor's control port
	Control  string // host:port or Unix socket of the control port; "" = 127.0.0.1:9051
	Password string // of the control port; "" = its cookie, or nothing, as Tor wants it
	SOCKS    string // host:port of the proxy; "" = what Tor says, if Service is set
	Direct   bool   // only onion addresses go through the proxy, the others are dialed directly
	Only     bool   // nothing but onion addresses: no other socket, no other claim, no look-up of names
	Port     uint16 // in the onion address; 0 = DefaultOnionPort
}

func (t Tor) used() bool { return t.Service || t.SOCKS != "" }

// Everything is whether all that the node dials goes through the proxy.
func (t Tor) Everything() bool { return t.used() && !t.Direct }

func (t Tor) route() torsocks.Route {
	switch {
	case t.Only:
		return torsocks.NothingElse
	case t.Direct:
		return torsocks.OnionOnly
	}
	return torsocks.Everything
}

// check refuses what contradicts itself.
func (t Tor) check(cfg *Config) error {
	switch {
	case t.Only && t.Direct:
		return errors.New("node: only Tor and direct connections exclude each other")
	case (t.Only || t.Direct) && !t.used():
		return errors.New("node: there is no Tor to go through: set a service or a SOCKS proxy")
	case t.Service && cfg.DataDir == "":
		return errors.New("node: an onion service needs a data folder for its key")
	}
	if t.SOCKS != "" {
		if _, _, err := net.SplitHostPort(t.SOCKS); err != nil {
			return fmt.Errorf("node: the SOCKS proxy %q is not HOST:PORT", t.SOCKS)
		}
	}
	return nil
}

// torService is the onion service of a node.
type torService struct {
	key  torctl.Key
	port uint16
	live atomic.Pointer[torctl.Service] // nil until the node listens
}

// address is where Tor's users find us.
func (s *torService) address() ma.Multiaddr { return s.key.Multiaddr(s.port) }

// prepareTor loads or makes the key of the onion service.
func (n *Node) prepareTor() error {
	t := &n.config.Tor
	if err := t.check(&n.config); err != nil {
		return err
	}
	if t.Only {
		n.config.Listen = nil // whoever is only on Tor is not in the local network either
	}
	if !t.Service {
		return nil
	}
	if t.Port == 0 {
		t.Port = DefaultOnionPort
	}
	key, err := torctl.LoadOrMakeKey(filepath.Join(n.config.DataDir, torKeyName), t.Port)
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	n.tor = &torService{key: key, port: t.Port}
	return nil
}

// transports gives the host its proxy, and TCP beside or behind it.
func (n *Node) transports(u transport.Upgrader, r network.ResourceManager, tcp transport.Transport) ([]transport.Transport, error) {
	t := n.config.Tor
	if !t.used() {
		return []transport.Transport{tcp}, nil
	}
	proxied, err := torsocks.NewTransport(u, r, n.proxy(), t.route(), tcp)
	if err != nil {
		return nil, err
	}
	if t.route() == torsocks.OnionOnly {
		return []transport.Transport{tcp, proxied}, nil
	}
	return []transport.Transport{proxied}, nil
}

// proxy dials through Tor or the other proxy, of which there must be one.
func (n *Node) proxy() *torsocks.Dialer {
	return &torsocks.Dialer{Proxy: n.config.Tor.SOCKS, Find: n.findSOCKS()}
}

// findSOCKS asks the onion service where Tor's SOCKS port is now; nil if our user said where.
func (n *Node) findSOCKS() func() (string, error) {
	if n.config.Tor.SOCKS != "" {
		return nil
	}
	return func() (string, error) {
		if n.tor == nil || n.tor.live.Load() == nil {
			return "", errors.New("the onion service has not started")
		}
		s := n.tor.live.Load().State()
		if !s.Up {
			return "", s.Err
		}
		return s.SOCKS, nil
	}
}

// startTor starts the onion service once the host listens.
func (n *Node) startTor() error {
	if n.tor == nil {
		return nil
	}
	target, err := manet.ToNetAddr(n.Host.OnionListener())
	if err != nil {
		return fmt.Errorf("node: %w", err)
	}
	live, err := torctl.Start(torctl.Config{
		Control: n.config.Tor.Control,
		Auth:    torctl.Auth{Password: n.config.Tor.Password},
		Key:     n.tor.key,
		Port:    n.tor.port,
		Target:  target.String(),
		OnState: n.onTor,
	})
	if err != nil {
		return err
	}
	n.tor.live.Store(live)
	return nil
}

// onionListener is where Tor delivers: on loopback, at any free port. nil without an onion service.
func (n *Node) onionListener() ma.Multiaddr {
	if n.tor == nil {
		return nil
	}
	return ma.StringCast("/ip4/127.0.0.1/tcp/0")
}

// OnionService tells whether the node has an onion service, and whether Tor serves it now.
func (n *Node) OnionService() (has, up bool) {
	if n.tor == nil {
		return false, false
	}
	live := n.tor.live.Load()
	return true, live != nil && live.State().Up
}

// onTor tells how the onion service stands, each time that changes.
func (n *Node) onTor(s torctl.State) {
	e := Event{Kind: EventTor, Address: n.tor.address().String()}
	if !s.Up {
		e.Error = s.Err.Error()
	} else {
		n.reach.soon()
	}
	n.emit(e)
}

// ErrNoTor is a Tor that lacks something a node needs; CheckTor tells what.
var ErrNoTor = fail(FailUnreachable, errors.New("node: Tor cannot be used"))

// TorStep is one thing that has to work for a node to use Tor.
type TorStep struct {
	Name   string `json:"step"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail"`
}

// TorStatus is how far each step towards Tor goes, in order; the first that fails says what cures it.
type TorStatus struct {
	OK    bool      `json:"ok"`
	Steps []TorStep `json:"steps"`
}

// CheckTor goes through what a node needs of Tor: its control port, being let in, a finished bootstrap, a SOCKS port that
// speaks SOCKS5, and a readable key file, if there is one already.
func CheckTor(ctx context.Context, t Tor, dataDir string) TorStatus {
	var s TorStatus
	step := func(name, detail string, err error) bool {
		if err != nil {
			detail = err.Error()
		}
		s.Steps = append(s.Steps, TorStep{Name: name, OK: err == nil, Detail: detail})
		return err == nil
	}
	s.OK = checkTor(ctx, t, dataDir, step)
	return s
}

func checkTor(ctx context.Context, t Tor, dataDir string, step func(name, detail string, err error) bool) bool {
	if t.Control == "" {
		t.Control = "127.0.0.1:9051"
	}
	c, err := torctl.DialControl(ctx, t.Control, torctl.Auth{Password: t.Password})
	var offline *torctl.OfflineError
	if errors.As(err, &offline) {
		return step("control port", "", err)
	}
	step("control port", t.Control, nil)
	if !step("authentication", "accepted", err) {
		return false
	}
	defer c.Close()
	version, err := c.Version()
	if !step("version", version, err) {
		return false
	}
	percent, doing, err := c.Bootstrap()
	if err == nil && percent < 100 {
		err = fmt.Errorf("%d %%: %s; Tor is not connected to its network yet", percent, doing)
	}
	if !step("bootstrap", "100 %", err) {
		return false
	}
	socks := t.SOCKS
	if socks == "" {
		socks, err = c.SOCKS()
	}
	if err == nil {
		err = speaksSOCKS(ctx, socks)
	}
	if !step("SOCKS port", socks, err) {
		return false
	}
	key, err := torctl.LoadKey(filepath.Join(dataDir, torKeyName))
	switch {
	case err == nil:
		return step("onion key", key.ServiceID()+".onion", nil)
	case errors.Is(err, fs.ErrNotExist):
		return step("onion key", "none yet: the first run makes it", nil)
	}
	return step("onion key", "", err)
}

// socksGreeting is a SOCKS5 client's first words, offering no authentication, and socksAccepted the answer to it.
const (
	socksGreeting = "\x05\x01\x00"
	socksAccepted = "\x05\x00"
)

func speaksSOCKS(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, connectLimit)
	defer cancel()
	c, err := new(net.Dialer).DialContext(ctx, "tcp", address)
	if err != nil {
		return err
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(connectLimit))
	if _, err := c.Write([]byte(socksGreeting)); err != nil {
		return err
	}
	answer := make([]byte, len(socksAccepted))
	if _, err := io.ReadFull(c, answer); err != nil {
		return err
	}
	if string(answer) != socksAccepted {
		return fmt.Errorf("what answers at %s is no SOCKS5 proxy that lets us in", address)
	}
	return nil
}
