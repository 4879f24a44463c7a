package peerbook

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestSaved(t *testing.T) {
	dir := t.TempDir()
	b, err := Open(dir, Config{})
	must(t, err)
	for n := range 20 {
		must(t, b.Claimed(claim(t, n, 1_700_000_000, n), Meeting{Network: "igor"}))
	}
	must(t, b.Remove(id(3)))
	must(t, b.Close())
	before := listing(t, dir)

	saved := func(prefix string, limit int) []Record {
		t.Helper()
		found, err := Saved(t.Context(), dir, prefix, limit)
		must(t, err)
		sortByKey(found)
		return found
	}
	if got := saved("", 100); len(got) != 19 {
		t.Errorf("%d records", len(got))
	}
	if got := saved("", 7); len(got) != 7 {
		t.Errorf("%d records, where 7 are enough", len(got))
	}
	if got := saved(key(3).String(), 100); len(got) != 0 {
		t.Error("a removed peer is there")
	}
	for _, prefix := range []string{key(5).String()[:12], key(5).NodeID().String()} {
		if got := saved(prefix, 100); len(got) != 1 || got[0].Key != key(5) || len(got[0].Addresses) != 1 {
			t.Errorf("%s: %+v", prefix, got)
		}
	}
	if after := listing(t, dir); !slices.Equal(after, before) {
		t.Errorf("the folder was %q and is %q", before, after)
	}

	b, err = Open(dir, Config{}) // now it is locked
	must(t, err)
	defer b.Close()
	if got := saved("", 100); len(got) != 19 {
		t.Errorf("%d records of a book that is open", len(got))
	}
}

func TestSavedErrors(t *testing.T) {
	none := filepath.Join(t.TempDir(), "none")
	if got, err := Saved(t.Context(), none, "", 1); err != nil || len(got) != 0 {
		t.Errorf("no book: %v, %v", got, err)
	}
	if _, err := os.Stat(none); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the folder was made: %v", err)
	}
	dir := t.TempDir()
	b, err := Open(dir, Config{})
	must(t, err)
	must(t, b.Put(Record{Key: key(1)}))
	must(t, b.Close())
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Saved(ended, dir, "", 1); !errors.Is(err, context.Canceled) {
		t.Errorf("with no time left: %v", err)
	}
	must(t, os.Truncate(filepath.Join(dir, backupName), 100))
	if _, err := Saved(t.Context(), dir, "", 1); err == nil {
		t.Error("half a backup passed")
	}
}

// listing is the names, times and sizes of the files in a folder.
func listing(t *testing.T, dir string) (files []string) {
	t.Helper()
	must(t, filepath.Walk(dir, func(path string, info os.FileInfo, err error) error {
		if err == nil {
			files = append(files, info.ModTime().String()+" "+path)
		}
		return err
	}))
	return files
}
