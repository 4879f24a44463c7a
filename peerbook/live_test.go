package peerbook_test

import (
	"context"
	"testing"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peerbook/booktest"
)

// One suite on each engine; pebble has it in its own module.
func TestLive(t *testing.T) {
	memory := dssync.MutexWrap(ds.NewMapDatastore())
	dir := peerbook.InMemory(t)
	nothing := func() error { return nil }
	for name, open := range map[string]func() (*peerbook.Book, func() error, error){
		"memory": func() (*peerbook.Book, func() error, error) {
			b, err := peerbook.OpenOn(memory, peerbook.Config{})
			return b, nothing, err
		},
		"badger": func() (*peerbook.Book, func() error, error) {
			b, err := openBadger(dir)
			return b, nothing, err
		},
	} {
		t.Run(name, func(t *testing.T) {
			if err := booktest.Live(open, 600, 1); err != nil {
				t.Error(err)
			}
		})
	}
}

// The same finds out a store that loses.
func TestLiveSeesLoss(t *testing.T) {
	memory := &deaf{Datastore: ds.NewMapDatastore()}
	err := booktest.Live(func() (*peerbook.Book, func() error, error) {
		b, err := peerbook.OpenOn(memory, peerbook.Config{})
		return b, func() error { return nil }, err
	}, 600, 1)
	if err == nil {
		t.Error("nothing is missed in a store that writes every third record")
	}
}

// deaf does what it is told one time in three.
type deaf struct {
	ds.Datastore
	told int
}

func (d *deaf) Put(ctx context.Context, key ds.Key, value []byte) error {
	if d.told++; d.told%3 != 1 {
		return nil
	}
	return d.Datastore.Put(ctx, key, value)
}
