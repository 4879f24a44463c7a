package peerbook

import (
	"os"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// bigBook is the folder of a closed book of as many peers as it takes: with a
// signed claim of five addresses each, and five protocols.
func bigBook(tb testing.TB) string {
	tb.Helper()
	dir := tb.TempDir()
	b, err := Open(dir, Config{})
	must(tb, err)
	for n := range defaultMaxPeers {
		sk := stranger(n)
		c := &identityproto.Claim{Key: sk.Public(), Features: identityproto.FeatureNode, UserAgent: "tari/basenode/1.2.3"}
		for i := range 5 {
			c.Addresses = append(c.Addresses, in(n%200+i, n)[0].Addr)
			c.Protocols = append(c.Protocols, unsigned(1, 1).Protocols[0])
		}
		must(tb, c.Sign(sk, time.Unix(1_700_000_000, 0)))
		r := &Record{Key: c.Key, Features: c.Features, Protocols: c.Protocols, UserAgent: c.UserAgent, Claim: c, AddedAt: at(int64(n))}
		for _, a := range c.Addresses {
			r.Addresses = append(r.Addresses, Address{Addr: a, Source: Claimed})
		}
		must(tb, b.replace(nil, r))
	}
	must(tb, b.Close())
	return dir
}

// opens is how long it took to open a book, time after time: by the clock, and
// of processors, which a busy machine does not change.
type opens struct{ clock, processors []time.Duration }

func (o *opens) open(tb testing.TB, dir string) *Book {
	tb.Helper()
	before, began := processorTime(tb), time.Now()
	b, err := Open(dir, Config{})
	o.clock = append(o.clock, time.Since(began))
	o.processors = append(o.processors, processorTime(tb)-before)
	must(tb, err)
	if len(b.peers) != defaultMaxPeers {
		tb.Fatalf("%d peers", len(b.peers))
	}
	return b
}

func processorTime(tb testing.TB) time.Duration {
	tb.Helper()
	var usage syscall.Rusage
	must(tb, syscall.Getrusage(syscall.RUSAGE_SELF, &usage))
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

// row tells the medians.
func (o *opens) row(tb testing.TB) {
	tb.Helper()
	slices.Sort(o.clock)
	slices.Sort(o.processors)
	took, processors := o.clock[len(o.clock)/2], o.processors[len(o.processors)/2]
	load := "unknown"
	if data, err := os.ReadFile("/proc/loadavg"); err == nil {
		load = strings.Fields(string(data))[0]
	}
	const unit = 10 * time.Millisecond
	tb.Logf("row: opening a book of 50,000 peers | ≤ 2 s | %s at a load of %s; %s of processor time",
		verdict(took.Round(unit).String(), took <= 2*time.Second), load, processors.Round(unit))
}

func BenchmarkOpen50000(b *testing.B) {
	dir := bigBook(b)
	var all opens
	for b.Loop() {
		book := all.open(b, dir)
		b.StopTimer()
		must(b, book.Close())
		b.StartTimer()
	}
	all.row(b)
}

func BenchmarkSaved50000(b *testing.B) {
	dir := bigBook(b)
	for b.Loop() {
		if found, err := Saved(b.Context(), dir, "abcd", 100); err != nil || len(found) > 20 {
			b.Fatal(len(found), err)
		}
	}
}

// The time is told only: a machine may be busy.
func TestOpen50000(t *testing.T) {
	if os.Getenv("TARI_LIBP2P_LONG") != "1" {
		t.Skip("takes half a minute: TARI_LIBP2P_LONG=1")
	}
	dir := bigBook(t)
	var all opens
	for range 5 {
		must(t, all.open(t, dir).Close())
	}
	all.row(t)
}
