package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/spf13/cobra"

	"github.com/tari-libp2p/tari-libp2p/internal/private"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/plainlibp2p"
)

// plainKeyName is the file in the data folder with our key towards peers of plain libp2p: what crypto.MarshalPrivateKey gives.
const plainKeyName = "libp2p_key"

// maxPlainKey bounds what is read of it, in bytes.
const maxPlainKey = 1 << 16

// plainPeers is the option --libp2p of run: peers of plain libp2p come in on the node's ports.
type plainPeers struct {
	on       bool
	upgrader *plainlibp2p.Upgrader
	identify io.Closer
}

func (p *plainPeers) flags(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&p.on, "libp2p", false, "let peers of plain libp2p in too, on the same ports; to them the node has a key of its own")
}

// prepare makes the node one that such peers find, who know it by the key in its data folder. On the first start that is made.
func (p *plainPeers) prepare(cfg *node.Config) error {
	if !p.on {
		return nil
	}
	key, err := plainKey(filepath.Join(cfg.DataDir, plainKeyName))
	if err == nil {
		p.upgrader, err = plainlibp2p.New(key)
	}
	if err != nil {
		return fmt.Errorf("key for plain libp2p: %w", err)
	}
	cfg.Limits.Libp2p = p.upgrader
	return nil
}

func plainKey(path string) (crypto.PrivKey, error) {
	f, err := private.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return newPlainKey(path)
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPlainKey))
	if err != nil {
		return nil, err
	}
	key, err := crypto.UnmarshalPrivateKey(text)
	if err != nil {
		return nil, fmt.Errorf("%s holds no key of libp2p; move it away, and a new one is made", path)
	}
	return key, nil
}

func newPlainKey(path string) (crypto.PrivKey, error) {
	key, _, err := crypto.GenerateEd25519Key(nil)
	if err != nil {
		return nil, err
	}
	text, err := crypto.MarshalPrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	return key, private.Create(path, text)
}

// begin tells such peers what the node speaks, before it has any.
func (p *plainPeers) begin(n *node.Node) (err error) {
	if p.on {
		p.identify, err = p.upgrader.Identify(n.Host, "tari-libp2p/"+node.Version())
	}
	return err
}

// plainReady is what run prints about it.
type plainReady struct {
	Time      time.Time `json:"time"`
	Event     string    `json:"event"`
	Peer      string    `json:"peer"`
	Addresses []string  `json:"addresses"`
}

// tell prints how such peers reach the node.
func (p *plainPeers) tell(a *app, n *node.Node) error {
	if !p.on {
		return nil
	}
	ready := plainReady{Time: time.Now().UTC(), Event: "libp2p", Peer: p.upgrader.ID().String(), Addresses: []string{}}
	for _, addr := range n.Host.Addrs() {
		ready.Addresses = append(ready.Addresses, addr.String()+"/p2p/"+ready.Peer)
	}
	return a.show(ready, func() {
		for _, addr := range ready.Addresses {
			a.out.printf("libp2p peers dial %s\n", addr)
		}
	})
}

// end is called before the node is closed.
func (p *plainPeers) end() {
	if p.identify != nil {
		_ = p.identify.Close() // says nothing that anybody could act on
	}
}
