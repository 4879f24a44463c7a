package peerbook

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
)

// counting is a datastore that counts, and fails or waits when told to.
type counting struct {
	ds.Datastore
	mu      sync.Mutex
	syncs   int
	fail    error
	entered chan struct{} // if not nil, Sync sends here and then waits for
	release chan struct{} // this
}

func (c *counting) Sync(context.Context, ds.Key) error {
	if c.entered != nil {
		c.entered <- struct{}{}
		<-c.release
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.syncs++
	return c.fail
}

func (c *counting) Put(ctx context.Context, k ds.Key, value []byte) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.fail != nil {
		return c.fail
	}
	return c.Datastore.Put(ctx, k, value)
}

// Nobody returns before a sync that began after its change, and one sync
// serves all who have come meanwhile.
func TestOneSyncForMany(t *testing.T) {
	store := &counting{Datastore: newStore(), entered: make(chan struct{}), release: make(chan struct{})}
	b, err := OpenOn(store, Config{})
	must(t, err)
	claimed := make(chan error, 6)
	start := func(n int) { go func() { claimed <- b.Claimed(unsigned(n, n), Meeting{}) }() }
	stillWaiting := func(when string) {
		t.Helper()
		select {
		case err := <-claimed:
			t.Fatalf("%s: returned %v", when, err)
		default:
		}
	}

	start(0)
	<-store.entered
	for n := 1; n < 6; n++ {
		start(n)
	}
	for deadline := time.Now().Add(time.Minute); len(b.List(nil)) < 6; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("changes wait for the disk before they hold")
		}
	}
	stillWaiting("during the first sync")
	store.release <- struct{}{}
	must(t, <-claimed)
	<-store.entered
	stillWaiting("during the second sync")
	store.release <- struct{}{}
	for range 5 {
		must(t, <-claimed)
	}
	if store.syncs != 2 {
		t.Errorf("%d syncs", store.syncs)
	}
	must(t, b.Close()) // has nothing to write: a third sync would wait for ever
}

func TestFailingStore(t *testing.T) {
	store := &counting{Datastore: newStore()}
	b := openOn(t, store, Config{})
	broken := errors.New("disk full")
	store.fail = broken
	if err := b.Ban(id(1), time.Hour, "spam"); !errors.Is(err, broken) {
		t.Errorf("Ban: %v", err)
	}
	if _, banned := b.Banned(id(1)); !banned {
		t.Error("a ban that could not be written does not hold")
	}
	if err := b.Ban(id(1), 2*time.Hour, "more spam"); !errors.Is(err, broken) {
		t.Errorf("Ban: %v", err)
	}
	store.fail = nil
	must(t, b.Put(Record{Key: key(2)})) // takes what is overdue along
	again := openOn(t, store, Config{})
	if ban, banned := again.Banned(id(1)); !banned || ban.Reason != "more spam" {
		t.Errorf("the ban on disk: %+v", ban)
	}
	store.fail = broken
	must(t, b.Dialed(id(2), addr(1), 0, nil))
	if err := b.Remove(id(2)); !errors.Is(err, broken) {
		t.Errorf("Remove: %v", err)
	}
	if err := b.Close(); !errors.Is(err, broken) {
		t.Errorf("Close: %v", err)
	}
}

// More than a batch holds.
func TestLargeFlush(t *testing.T) {
	store := &counting{Datastore: newStore()}
	b := openOn(t, store, Config{})
	store.fail = errors.New("disk full")
	const peers = 40
	for n := range peers {
		r := Record{Key: key(n), UserAgent: strings.Repeat("x", maxRecord/2)}
		if err := b.Put(r); err == nil {
			t.Fatal("wrote to a full disk")
		}
	}
	store.fail = nil
	before := store.syncs
	must(t, b.Close())
	if n := store.syncs - before; n < 2 || n > peers/2 {
		t.Errorf("%d syncs", n)
	}
	if got := openOn(t, store, Config{}).Stats().Peers; got != peers {
		t.Errorf("%d peers on disk", got)
	}
}

func TestConcurrentUse(t *testing.T) {
	const peers, rounds = 8, 30
	store := &counting{Datastore: newStore()}
	b := openOn(t, store, Config{})
	var wg sync.WaitGroup
	for n := range peers {
		wg.Go(func() {
			for i := range rounds {
				c := unsigned(n, i)
				if err := errors.Join(b.Claimed(c, Meeting{}), b.Dialed(id(n), addr(i), 0, nil), b.Ban(id(n), time.Duration(i+1)*time.Hour, fmt.Sprint(i))); err != nil {
					t.Error(err)
				}
				b.List(nil)
				b.Stats()
				b.InterceptPeerDial(id(n))
			}
		})
	}
	wg.Wait()
	if store.syncs == 0 || store.syncs > 2*peers*rounds {
		t.Errorf("%d syncs for %d writes", store.syncs, 2*peers*rounds)
	}
	want := b.List(nil)
	must(t, b.Close())
	if got := openOn(t, store, Config{}).List(nil); len(got) != peers || !reflect.DeepEqual(got, want) {
		t.Error("memory and store differ")
	}
}

var errStopped = errors.New("stopped")

// stopping is a datastore that fails after so many writes.
type stopping struct {
	ds.Datastore
	left int
}

func (s *stopping) Put(ctx context.Context, k ds.Key, value []byte) error {
	if s.left--; s.left < 0 {
		return errStopped
	}
	return s.Datastore.Put(ctx, k, value)
}

func (s *stopping) Sync(ctx context.Context, k ds.Key) error {
	if s.left--; s.left < 0 {
		return errStopped
	}
	return s.Datastore.Sync(ctx, k)
}
