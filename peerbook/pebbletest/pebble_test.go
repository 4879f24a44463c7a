package pebbletest

import (
	"os"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peerbook/booktest"
)

func TestMain(m *testing.M) {
	open := func(dir string) (*peerbook.Book, error) {
		b, _, err := Open(dir) // until the process is killed
		return b, err
	}
	if booktest.Child(booktest.Engines{"pebble": open}) {
		return
	}
	goleak.VerifyTestMain(m)
}

func TestKill(t *testing.T) {
	loops, lines := 50, 100
	long := os.Getenv("TARI_LIBP2P_LONG") == "1"
	if long {
		loops, lines = 1000, 400
	}
	seed := uint64(time.Now().UnixNano())
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "pebble", Dir: t.TempDir(), Loops: loops, Lines: lines, Seed: seed})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d deaths, %d acknowledged changes; seed %d", report.Loops, report.Acknowledged, seed)
	for _, text := range append(report.Lost, report.Unreadable...) {
		t.Error(text)
	}
	if report.Corrupt != 0 || report.Loops != loops || report.Acknowledged < loops {
		t.Errorf("%d deaths, %d acknowledged changes, %d corrupt records", report.Loops, report.Acknowledged, report.Corrupt)
	}
	if long {
		t.Logf("row: kill -9 while the peer book is written, pebble with sync | 0 acknowledged changes lost, each start readable | %d kills, %d changes acknowledged, %d lost, %d starts unreadable",
			report.Loops, report.Acknowledged, len(report.Lost), len(report.Unreadable))
	}
}

func TestLive(t *testing.T) {
	dir := t.TempDir()
	if err := booktest.Live(func() (*peerbook.Book, func() error, error) { return Open(dir) }, 2000, 1); err != nil {
		t.Error(err)
	}
}
