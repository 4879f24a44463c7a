package main

import (
	crand "crypto/rand"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// book is a peer book with the node ids of all that are in it. It reads from memory alone, so its store has no part in what is
// measured, and is a map.
type book struct {
	*peerbook.Book
	nodes []tarikey.NodeID
}

// fillBook makes a book of so many peers, of an address each. See rust/src/book.rs.
func fillBook(peers int) (*book, error) {
	inner, err := peerbook.OpenOn(dssync.MutexWrap(ds.NewMapDatastore()), peerbook.Config{MaxPeers: 2 * peers})
	if err != nil {
		return nil, err
	}
	b := &book{Book: inner}
	for n := range peers {
		secret, err := tarikey.GenerateKey(crand.Reader)
		if err != nil {
			return nil, err
		}
		addr, err := ma.NewMultiaddr(fmt.Sprintf("/ip4/90.%d.%d.%d/tcp/1", n>>16, n>>8&255, n&255))
		if err != nil {
			return nil, err
		}
		key := secret.Public()
		if err := b.Put(peerbook.Record{Key: key, Addresses: []peerbook.Address{{Addr: addr, Source: peerbook.Relayed}}}); err != nil {
			return nil, err
		}
		b.nodes = append(b.nodes, key.NodeID())
	}
	return b, nil
}

// ask asks the book of the worker about peers in it by chance. Filling it comes first, and is not timed.
func (w *worker) ask(c command, about func(b *book, node tarikey.NodeID) bool) (answer, error) {
	if w.book == nil || len(w.book.nodes) != c.Size {
		b, err := fillBook(c.Size)
		if err != nil {
			return answer{}, err
		}
		if w.book != nil {
			_ = w.book.Close()
		}
		w.book = b
	}
	began := time.Now()
	for range c.N {
		if !about(w.book, w.book.nodes[rand.IntN(c.Size)]) {
			return answer{}, errors.New("the book does not know a peer that is in it")
		}
	}
	return answer{Seconds: time.Since(began).Seconds()}, nil
}

func getNode(b *book, node tarikey.NodeID) bool {
	_, ok := b.GetNode(node)
	return ok
}

func closest(b *book, node tarikey.NodeID) bool { return len(b.Closest(node, 20, nil)) == 20 }

// bookTask asks the books of the clients of some pairs.
func bookTask(name, cmd string, peers int, pairs []string, goals []goal) task {
	var not []string
	for _, p := range pairNames {
		if name := pairName(p[0], p[1]); !slices.Contains(pairs, name) {
			not = append(not, name)
		}
	}
	return task{
		name: name, unit: cmd, not: not, goals: goals,
		run: func(p *pair, o options) (figure, error) {
			size := peers
			if o.quick {
				size = 1000
			}
			return loop(name, func(_ *pair, n int) command { return command{Cmd: cmd, N: n, Size: size} }, 2000, 1)(p, o)
		},
		text: func(f figure) string { return fmt.Sprintf("%.2f µs, %.2f cpu-µs", micros(f), f.CPU*1e6) },
	}
}

// micros is how long an operation takes.
func micros(f figure) float64 { return 1e6 / f.Rate }
