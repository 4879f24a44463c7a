package peerbook

import (
	"fmt"
	"math/rand"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// idle does with a book for a minute what a node does that nobody talks to.
func idle(t *testing.T, b *Book) {
	t.Helper()
	for n := range 60 {
		time.Sleep(time.Second)
		b.Candidates(Wanted{Max: 30})
		b.InterceptPeerDial(id(n))
		must(t, b.Dialed(id(n), addr(n), time.Second, nil))
	}
	_, err := b.Collect()
	must(t, err)
}

// A book that has nothing new to keep writes nothing.
func TestIdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := &counting{Datastore: newStore()}
		b := openOn(t, store, Config{})
		for n := range 60 {
			must(t, b.Claimed(unsigned(n, n), Meeting{}))
		}
		before := store.syncs
		for range 10 {
			idle(t, b)
		}
		if n := store.syncs - before; n != 0 {
			t.Errorf("%d writes in ten minutes of dials that succeed", n)
		}
	})
}

// The same of the engine's own work, on a full book on a disk.
func TestIdleWrites(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") != "1" {
		t.Skip("takes minutes: TARI_LIBP2P_LONG=1")
	}
	dir := bigBook(t)
	if !counted(t, dir) {
		t.Skip("the system does not count what is written to this disk")
	}
	b, err := Open(dir, Config{})
	must(t, err)
	const minutes, most = 5, 1 << 20
	before := written(t)
	for range minutes {
		idle(t, b)
	}
	rate := (written(t) - before) / minutes
	must(t, b.Close())
	t.Logf("row: what an idle book of 50,000 peers writes to the disk | ≤ 1 MiB a minute | %s a minute, over %d minutes", verdict(fmt.Sprint(rate>>10, " KiB"), rate <= most), minutes)
	if rate > most {
		t.Errorf("%d bytes a minute", rate)
	}
}

// counted: what is written into the folder is in the system's count.
func counted(t *testing.T, dir string) bool {
	t.Helper()
	const size = 4 << 20
	data := make([]byte, size)
	rand.New(rand.NewSource(1)).Read(data)
	before := written(t)
	name := filepath.Join(dir, "counted")
	must(t, os.WriteFile(name, data, 0o600))
	must(t, syncFile(name))
	must(t, os.Remove(name))
	return written(t)-before >= size
}

func syncFile(name string) error {
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Sync()
}

// written is what this process has had written to disks, in bytes; 0 where it
// cannot be told.
func written(t *testing.T) int64 {
	t.Helper()
	data, err := os.ReadFile("/proc/self/io")
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(data)) {
		if text, is := strings.CutPrefix(line, "write_bytes: "); is {
			n, err := strconv.ParseInt(strings.TrimSpace(text), 10, 64)
			must(t, err)
			return n
		}
	}
	return 0
}
