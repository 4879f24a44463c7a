package peerbook

import (
	"encoding/binary"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	dssync "github.com/ipfs/go-datastore/sync"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// secretKey is the nth of the peers that these tests meet.
func secretKey(n int) tarikey.SecretKey {
	data := make([]byte, tarikey.KeySize)
	binary.LittleEndian.PutUint32(data, uint32(n)+1)
	k, err := tarikey.ParseSecretKey(data)
	if err != nil {
		panic(err)
	}
	return k
}

func key(n int) tarikey.PublicKey {
	if k, known := keys.Load(n); known {
		return k.(tarikey.PublicKey)
	}
	k := secretKey(n).Public()
	keys.Store(n, k)
	return k
}

var keys sync.Map // what key has made

func id(n int) peer.ID { return key(n).PeerID() }

// addr is the nth address, a public one.
func addr(n int) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/ip4/80.1.%d.%d/tcp/18189", n/250, n%250+1))
}

func mustAddr(text string) ma.Multiaddr { return ma.StringCast(text) }

func addrs(ns ...int) (all []ma.Multiaddr) {
	for _, n := range ns {
		all = append(all, addr(n))
	}
	return all
}

// claim is signed by peer n at that second, with these addresses.
func claim(t testing.TB, n int, at int64, addresses ...int) *identityproto.Claim {
	t.Helper()
	c := unsigned(n, addresses...)
	if err := c.Sign(secretKey(n), time.Unix(at, 0)); err != nil {
		t.Fatal(err)
	}
	return c
}

func unsigned(n int, addresses ...int) *identityproto.Claim {
	return &identityproto.Claim{
		Key: key(n), Addresses: addrs(addresses...), Features: identityproto.FeatureNode,
		Protocols: []protocol.ID{"t/msg/0.1"}, UserAgent: fmt.Sprintf("test/%d", n),
	}
}

func newStore() ds.Datastore { return dssync.MutexWrap(ds.NewMapDatastore()) }

func openOn(t testing.TB, store ds.Datastore, cfg Config) *Book {
	t.Helper()
	b, err := OpenOn(store, cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = b.Close() })
	return b
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func get(t testing.TB, b *Book, n int) Record {
	t.Helper()
	r, ok := b.Get(id(n))
	if !ok {
		t.Fatalf("peer %d is not in the book", n)
	}
	return r
}

// sameAddrs checks a record's addresses and their order.
func sameAddrs(t testing.TB, r Record, want ...int) {
	t.Helper()
	got := r.Addrs()
	same := len(got) == len(want)
	for i := 0; same && i < len(got); i++ {
		same = got[i].Equal(addr(want[i]))
	}
	if !same {
		t.Errorf("addresses %v, want %v", got, addrs(want...))
	}
}

// inMemory is a folder that no disk slows down, where the system has one with
// enough room (containers tend to have 64 MiB). What a process has written
// outlives it there too.
func inMemory(t testing.TB) string {
	t.Helper()
	const shm = "/dev/shm"
	if free, err := freeSpace(shm); err != nil || free < 1<<30 {
		return t.TempDir()
	}
	dir, err := os.MkdirTemp(shm, "peerbook")
	if err != nil {
		return t.TempDir()
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// InMemory is for the tests outside of the package.
var InMemory = inMemory
