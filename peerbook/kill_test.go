package peerbook_test

import (
	"context"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	badger4 "github.com/ipfs/go-ds-badger4"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peerbook/booktest"
)

// Whatever the book has acknowledged is there after a sudden death.
func TestKill(t *testing.T) {
	loops, lines, dir := 50, 60, peerbook.InMemory(t)
	if long() {
		loops, lines, dir = 1000, 400, t.TempDir()
	}
	seed := uint64(time.Now().UnixNano())
	began := time.Now()
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "badger", Dir: dir, Loops: loops, Lines: lines, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d deaths in %s, %d acknowledged changes; seed %d", report.Loops, time.Since(began).Round(time.Second), report.Acknowledged, seed)
	for _, text := range append(report.Lost, report.Unreadable...) {
		t.Error(text)
	}
	if report.Corrupt != 0 || report.Loops != loops || report.Acknowledged < loops {
		t.Errorf("%d deaths, %d acknowledged changes, %d corrupt records", report.Loops, report.Acknowledged, report.Corrupt)
	}
	if long() {
		t.Logf("row: kill -9 while the peer book is written, badger | 0 acknowledged changes lost, each start readable | %d kills, %d changes acknowledged, %d lost, %d starts unreadable",
			report.Loops, report.Acknowledged, len(report.Lost), len(report.Unreadable))
	}
}

// The same finds out a store that loses what it says it has written.
func TestKillSeesLoss(t *testing.T) {
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "forgetful", Dir: peerbook.InMemory(t), Loops: 5, Lines: 100, Seed: 1})
	if err != nil {
		t.Fatal(err)
	}
	if len(report.Lost) == 0 {
		t.Errorf("%d acknowledged changes of a store that loses, and none is missed", report.Acknowledged)
	}
}

func TestKillSeesUnreadable(t *testing.T) {
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "none", Dir: t.TempDir(), Loops: 1})
	if err != nil || len(report.Unreadable) == 0 {
		t.Errorf("%+v, %v", report, err)
	}
}

func TestKillEnds(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := booktest.Kill(ctx, booktest.Killing{Engine: "badger", Dir: t.TempDir(), Loops: 1000}); err == nil {
		t.Error("Kill goes on after its context has ended")
	}
}

func TestLockedByAnotherProcess(t *testing.T) {
	dir := t.TempDir()
	b, err := openBadger(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "badger", Dir: dir, Loops: 1})
	if err != nil || len(report.Unreadable) == 0 || !strings.Contains(report.Unreadable[0], "in use by another process") {
		t.Errorf("%+v, %v", report, err)
	}
}

// openForgetful opens a book on badger behind a store that loses.
func openForgetful(dir string) (*peerbook.Book, error) {
	store, err := badger4.NewDatastore(filepath.Join(dir, "badger"), nil)
	if err != nil {
		return nil, err
	}
	return peerbook.OpenOn(&forgetful{Datastore: store}, peerbook.Config{})
}

// forgetful says that a Put is done, and that everything is on disk, while the
// last twenty Puts are in memory only. (Nothing reads them while the book is
// open: it reads its store when it opens.)
type forgetful struct {
	*badger4.Datastore
	mu   sync.Mutex
	late []func() error
}

func (f *forgetful) Put(_ context.Context, key ds.Key, value []byte) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.late = append(f.late, func() error { return f.Datastore.Put(context.Background(), key, value) })
	if len(f.late) <= 20 {
		return nil
	}
	write := f.late[0]
	f.late = f.late[1:]
	return write()
}

func (f *forgetful) Sync(context.Context, ds.Key) error { return nil }

func (f *forgetful) Batch(context.Context) (ds.Batch, error) { return ds.NewBasicBatch(f), nil }
