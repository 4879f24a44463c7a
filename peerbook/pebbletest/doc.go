// Package pebbletest runs the peer book on pebble, in peace and with the same
// sudden deaths as on badger. It is a module of its own, so that pebble is
// nobody's dependency.
package pebbletest

import (
	"errors"
	"path/filepath"

	pebbleds "github.com/ipfs/go-ds-pebble"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Open opens a book on pebble in a folder; closeStore is to be called after the
// book's Close. Pebble's writes do not wait for the disk by themselves: the
// book asks for that by Sync.
func Open(dir string) (b *peerbook.Book, closeStore func() error, err error) {
	store, err := pebbleds.NewDatastore(filepath.Join(dir, "pebble"))
	if err != nil {
		return nil, nil, err
	}
	if b, err = peerbook.OpenOn(store, peerbook.Config{}); err != nil {
		return nil, nil, errors.Join(err, store.Close())
	}
	return b, store.Close, nil
}
