package peerbook

import (
	"errors"
	"os"
	"reflect"
	"testing"
	"time"
)

func TestOpenAndReopen(t *testing.T) {
	dir := t.TempDir() + "/new/folder"
	b, err := Open(dir, Config{})
	must(t, err)
	for n := range 50 {
		must(t, b.Claimed(claim(t, n, 1_700_000_000, n), Meeting{Network: "igor", Dialed: addr(n)}))
	}
	must(t, b.Ban(id(7), time.Hour, "spam"))
	for n := range 50 { // these are written by Close, in one batch
		must(t, b.Dialed(id(n), addr(n), time.Second, nil))
	}
	want := b.List(nil)
	must(t, b.Close())

	b, err = Open(dir, Config{})
	must(t, err)
	if got := b.List(nil); !reflect.DeepEqual(got, want) {
		t.Error("the book differs after a restart")
	}
	must(t, b.Close())
}

func TestLocked(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir, Config{})
	must(t, err)
	var locked *LockedError
	if _, err := Open(dir, Config{}); !errors.As(err, &locked) || locked.Dir != dir {
		t.Errorf("a second Open: %v", err)
	}
	must(t, b.Close())
	b, err = Open(dir, Config{})
	must(t, err)
	must(t, b.Close())
}

func TestOpenErrors(t *testing.T) {
	file := t.TempDir() + "/file"
	must(t, os.WriteFile(file, nil, 0o600))
	if _, err := Open(file, Config{}); err == nil {
		t.Error("opened a file")
	}
}
