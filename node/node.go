package node

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/boundedhttp"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Names within a data folder. The identity file has the name that the Rust base node gives it.
const (
	identityName = "base_node_id.json"
	peersName    = "peers"
)

// Config says what node Start makes. The zero value is a mainnet node that listens nowhere and keeps nothing.
type Config struct {
	DataDir            string              // identity, peer book, control socket; "" = throw-away identity, book in memory
	Network            dialect.Network     // that we dial in; zero = mainnet
	Accept             []dialect.Network   // that we accept besides, by their first byte
	Listen             []ma.Multiaddr      // none = only dial
	Public             []ma.Multiaddr      // that we claim, besides those of the identity file
	Peers              []tari.Address      // put into the book and kept connected
	AllowTestAddresses bool                // internal addresses of others are stored, claimed and dialed too
	UserAgent          string              // printable, at most 50 bytes; "" = tari-libp2p/VERSION
	Tor                Tor                 // how to use Tor or another SOCKS proxy; zero = not
	Limits             tari.Limits         // of what strangers can make us hold; Liveness is the node's own
	Connectivity       connectivity.Config // whom to keep connected to, besides Peers; zero = tari_comms' figures
	NoPeerSync         bool                // do not tell peers of others who ask for them
	OnEvent            func(Event)         // called from several goroutines, and waited for; nil = nobody listens
}

// Node is a running node, or (Host, Messages and RPC nil) an open data folder. Close ends it.
type Node struct {
	Host     *tari.Host
	Peers    *peerbook.Book
	Messages *messagingproto.Service
	RPC      *RPC // for services of one's own too; the node itself serves peersync.Service
	Identity *Identity

	Connectivity *connectivity.Manager // its WaitOnline comes after Start; nil before Start, in an open folder and on an Errand

	config   Config
	started  time.Time
	up       atomic.Pointer[tari.Host]                   // Host, for the book, which asks while Start runs
	tor      *torService                                 // nil without an onion service
	reach    *reacher                                    // nil in an open folder
	control  *boundedhttp.Server                         // nil until ServeControl
	log      func(levels string) (now string, err error) // HandleLog's; may be nil
	watchers watchers
	recent   recentEvents
	stages   stageLog
	links    *links
	running  context.Context    // of tasks
	cancel   context.CancelFunc // ends tasks; nil before there are any
	tasks    sync.WaitGroup
	closing  sync.Once
	closed   error // what Close returned
}

// Open opens the data folder of cfg without starting a node: the peer book and the identity, which is made on first
// use. Until Close no other process can open it: it gets a *peerbook.LockedError.
func Open(cfg Config) (*Node, error) {
	if cfg.Network.Name == "" {
		cfg.Network = dialect.Mainnet
	}
	if cfg.UserAgent == "" {
		cfg.UserAgent = defaultUserAgent()
	}
	if cfg.OnEvent == nil {
		cfg.OnEvent = func(Event) {}
	}
	n := &Node{config: cfg, started: time.Now()}
	if err := n.openFolder(); err != nil {
		return nil, errors.Join(err, n.Close())
	}
	return n, nil
}

// openFolder opens the book first: it holds the lock that makes the folder ours.
func (n *Node) openFolder() (err error) {
	dir := n.config.DataDir
	if dir == "" {
		if n.Identity, err = NewIdentity(); err != nil {
			return err
		}
		n.Peers, err = peerbook.OpenOn(dssync.MutexWrap(ds.NewMapDatastore()), peerbook.Config{Connected: n.connected})
		return err
	}
	if n.Peers, err = openBook(dir, peerbook.Config{Connected: n.connected}); err != nil {
		return err
	}
	var setAside string
	n.Identity, setAside, err = LoadOrCreateIdentity(IdentityFile(dir), time.Now())
	if setAside != "" {
		n.emit(Event{Kind: EventIdentityBackup, Path: setAside})
	}
	return err
}

// openBook opens the peer book of a data folder, and makes both if there are none.
func openBook(dir string, cfg peerbook.Config) (*peerbook.Book, error) {
	err := os.MkdirAll(dir, 0o700)
	var book *peerbook.Book
	if err == nil {
		book, err = peerbook.Open(filepath.Join(dir, peersName), cfg)
	}
	switch {
	case errors.Is(err, fs.ErrPermission):
		return nil, fmt.Errorf("node: data folder %s: %w; run as the user that it belongs to, or choose another (--data-dir)", dir, fs.ErrPermission)
	case err != nil:
		return nil, fmt.Errorf("node: data folder: %w", err)
	}
	return book, nil
}

// ServeControl serves the control API on DataDir/control.sock until Close.
func (n *Node) ServeControl() (err error) {
	if n.config.DataDir == "" {
		return errors.New("node: a control socket needs a data folder")
	}
	n.control, err = serveControl(n.config.DataDir, controlHandler(n))
	return err
}

// Close ends the node, in the reverse order of Start: no more commands, no more dials; calls end, and handlers of RPC are waited for;
// queued messages get up to 2 s to leave; connections are closed, the book is written. An error says what was lost. A second call gives the same answer.
func (n *Node) Close() error {
	n.closing.Do(func() { n.closed = n.close() })
	return n.closed
}

func (n *Node) close() error {
	var errs []error
	n.watchers.close()
	if n.control != nil {
		if err := n.control.Close(); err != nil {
			errs = append(errs, fmt.Errorf("node: control socket: %w", err))
		}
	}
	if n.cancel != nil {
		n.cancel()
	}
	if n.Connectivity != nil {
		n.Connectivity.Close()
		n.links.noteAnchors()
	}
	n.tasks.Wait()
	if n.tor != nil {
		if s := n.tor.live.Load(); s != nil {
			s.Close()
		}
	}
	if n.RPC != nil {
		errs = append(errs, n.RPC.close())
	}
	if n.Messages != nil {
		errs = append(errs, n.Messages.Close())
	}
	if n.Host != nil {
		errs = append(errs, n.Host.Close())
	}
	if n.Peers != nil {
		errs = append(errs, n.Peers.Close())
	}
	return errors.Join(errs...)
}

// Version is the version of this module in the running program, "(devel)" when it was built from a checkout.
func Version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	const path = "github.com/tari-libp2p/tari-libp2p"
	if info.Main.Path == path && info.Main.Version != "" {
		return info.Main.Version
	}
	for _, m := range info.Deps {
		if m.Path == path {
			return m.Version
		}
	}
	return "(devel)"
}

// maxUserAgent is tari_comms' limit, in bytes.
const maxUserAgent = 50

func defaultUserAgent() string {
	agent := "tari-libp2p/" + Version()
	return agent[:min(len(agent), maxUserAgent)]
}
