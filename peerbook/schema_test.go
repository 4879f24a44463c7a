package peerbook

import (
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"strconv"
	"strings"
	"testing"
	"time"

	ds "github.com/ipfs/go-datastore"
	badger4 "github.com/ipfs/go-ds-badger4"
)

func TestSchemaOfTheFuture(t *testing.T) {
	store := newStore()
	must(t, store.Put(t.Context(), schemaKey, []byte("3")))
	_, err := OpenOn(store, Config{})
	var schema *SchemaError
	if !errors.As(err, &schema) || schema.Got != "3" {
		t.Errorf("OpenOn: %v", err)
	}
}

// layout1 fills a store with what the program before layout 2 wrote.
func layout1(t *testing.T, store ds.Datastore) {
	t.Helper()
	data, err := os.ReadFile("testdata/layout1.txt")
	must(t, err)
	for line := range strings.Lines(string(data)) {
		name, quoted, _ := strings.Cut(strings.TrimSpace(line), " ")
		value, err := strconv.Unquote(quoted)
		must(t, err)
		must(t, store.Put(t.Context(), ds.RawKey(name), []byte(value)))
	}
}

// checkLayout1 looks for everything that was in it.
func checkLayout1(t *testing.T, b *Book) {
	t.Helper()
	if got := b.Stats(); got != (Stats{Peers: 4, Welcome: 2, Banned: 2, Reached: 1, Seeds: 1}) {
		t.Fatalf("%+v", got)
	}
	r := get(t, b, 1)
	sameAddrs(t, r, 2, 1)
	if r.Addresses[0].Took != 250*time.Millisecond || r.Network != "esmeralda" || r.Claim.VerifySignature(time.Now()) != nil {
		t.Errorf("a peer with a claim: %+v", r)
	}
	if r.Ban.Reason != "spam" || r.Ban.Source != ByProgram {
		t.Errorf("a ban for a time: %+v", r.Ban)
	}
	if r := get(t, b, 2); !r.Seed || r.Addresses[0].Source != Configured {
		t.Errorf("a seed: %+v", r)
	}
	if ban, holds := b.Banned(id(3)); !holds || ban.Source != ByOperator {
		t.Errorf("a ban for ever: %+v", ban)
	}
	if r := get(t, b, 4); r.Ban.Generation != 1 {
		t.Errorf("an unbanned peer: %+v", r)
	}
}

func TestMigration(t *testing.T) {
	store := newStore()
	layout1(t, store)
	for range 2 {
		b := openOn(t, store, Config{})
		checkLayout1(t, b)
		must(t, b.Close())
		got, err := store.Get(t.Context(), schemaKey)
		if string(got) != schemaVersion {
			t.Errorf("the layout is %q, %v", got, err)
		}
		for n := 1; n <= 4; n++ {
			if data, err := store.Get(t.Context(), peerKey(key(n))); err != nil || data[0] != recordVersion {
				t.Errorf("peer %d is stored as version %d, %v", n, data[0], err)
			}
		}
	}
}

// A migration that stops at any write loses nothing, and the next start ends it.
func TestMigrationInterrupted(t *testing.T) {
	for stop := range 8 {
		store := &stopping{Datastore: newStore(), left: 1000}
		layout1(t, store)
		store.left = stop
		b, err := OpenOn(store, Config{})
		if err == nil {
			checkLayout1(t, b)
		} else if !errors.Is(err, errStopped) {
			t.Fatal(err)
		}
		store.left = 1000
		b = openOn(t, store, Config{})
		checkLayout1(t, b)
		if data, err := store.Get(t.Context(), peerKey(key(4))); err != nil || data[0] != recordVersion {
			t.Errorf("stopped after %d: version %d, %v", stop, data[0], err)
		}
	}
}

// The records of the old layout are kept beside the book, byte for byte.
func TestMigrationInFolder(t *testing.T) {
	dir := t.TempDir()
	store, err := badger4.NewDatastore(filepath.Join(dir, engineName), nil)
	must(t, err)
	layout1(t, store)
	must(t, store.Sync(t.Context(), peerPrefix))
	must(t, store.Close())
	b, err := Open(dir, Config{})
	must(t, err)
	checkLayout1(t, b)
	want := b.List(nil)
	must(t, b.Close())
	old, err := os.ReadFile(filepath.Join(dir, oldBackupName))
	must(t, err)
	for n := 1; n <= 4; n++ {
		if !strings.Contains(string(old), string(key(n).Bytes())) {
			t.Errorf("peer %d is not in the backup", n)
		}
	}
	must(t, os.Rename(filepath.Join(dir, oldBackupName), filepath.Join(dir, backupName)))
	records, err := readBackup(dir)
	must(t, err)
	if len(records) != 4 {
		t.Errorf("%d records in the backup", len(records))
	}
	b, err = Open(dir, Config{})
	must(t, err)
	if got := b.List(nil); !reflect.DeepEqual(got, want) {
		t.Error("the book differs after the next start")
	}
	must(t, b.Close())
	if _, err := os.Stat(filepath.Join(dir, oldBackupName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the next start made a backup of the old layout again: %v", err)
	}
}
