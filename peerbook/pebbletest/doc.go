// Package pebbletest runs the peer book on pebble, with the same sudden deaths
// as on badger. It is a module of its own, so that pebble is nobody's
// dependency.
package pebbletest

import (
	"path/filepath"

	pebbleds "github.com/ipfs/go-ds-pebble"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Open opens a book on pebble in a folder. Pebble's own writes do not wait for
// the disk; the book asks for that by Sync.
func Open(dir string) (*peerbook.Book, error) {
	store, err := pebbleds.NewDatastore(filepath.Join(dir, "pebble"))
	if err != nil {
		return nil, err
	}
	return peerbook.OpenOn(store, peerbook.Config{})
}
