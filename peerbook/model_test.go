package peerbook

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"testing"
	"testing/synctest"
	"time"

	ds "github.com/ipfs/go-datastore"
)

// model is the little that a peer book promises of a peer, in its simplest form.
type model struct {
	exists     bool // the book has a record, if only of a ban or a removal
	known      bool
	removed    time.Time // hearsay brings no peer back for a day after it was removed
	until      time.Time
	operator   bool // who banned
	generation uint64
	allowed    bool
	protected  bool
}

// make is what every change does that makes a peer known.
func (m *model) make() { m.exists, m.known, m.removed = true, true, time.Time{} }

func (m *model) unban() {
	m.until, m.operator = time.Time{}, false
	m.generation++
}

func (m *model) ban(d time.Duration, operator bool) {
	if until := time.Now().Add(d).Truncate(time.Millisecond); until.After(m.until) {
		m.until, m.operator = until, operator
	}
	if !m.exists { // a stranger's ban has a record
		m.make()
	}
}

// life is a book beside its model.
type life struct {
	b      *Book
	models []model
	keep   time.Duration // how long a removed record is kept
	open   func() *Book
	wait   func(*rand.Rand) // nil: time is real
}

// step does one random thing to both, and says what.
func (l *life) step(t *testing.T, random *rand.Rand) string {
	t.Helper()
	n := random.IntN(len(l.models))
	m, b, peer := &l.models[n], l.b, id(n)
	hours := time.Duration(1+random.IntN(30)) * time.Hour
	if left := time.Until(m.until) - hours; l.wait == nil && left.Abs() < time.Minute {
		hours += 2 * time.Minute // the book's clock and ours are apart by microseconds
	}
	refused := func(err, want error) {
		t.Helper()
		if !errors.Is(err, want) {
			t.Fatalf("a ban of peer %d: %v, want %v; %+v", n, err, want, *m)
		}
	}
	switch random.IntN(24) {
	case 0, 1, 2:
		must(t, b.Claimed(unsigned(n, n), Meeting{}))
		m.make()
		return "Claimed"
	case 3, 4, 5:
		must(t, b.Put(Record{Key: key(n), Addresses: given(Relayed, n)}))
		if m.removed.IsZero() {
			m.make()
		}
		return "Put of hearsay"
	case 6, 7, 8:
		must(t, b.Remove(peer))
		if m.known {
			*m = model{exists: true, removed: time.Now(), until: m.until, operator: m.operator, generation: m.generation}
		}
		return "Remove"
	case 9, 10, 11:
		err := b.Ban(peer, hours, "spam")
		if m.allowed {
			refused(err, ErrAllowed)
		} else {
			must(t, err)
			m.ban(hours, false)
		}
		return fmt.Sprint("Ban for ", hours)
	case 12:
		must(t, b.BanByOperator(peer, hours, "I say so"))
		m.ban(hours, true)
		return fmt.Sprint("BanByOperator for ", hours)
	case 13:
		refused(b.BanSince(peer, hours, "late", m.generation+1), ErrUnbanned)
		return "a late BanSince"
	case 14, 15:
		must(t, b.Unban(peer))
		m.unban()
		if !m.exists {
			m.exists, m.removed = true, time.Now()
		}
		return "Unban"
	case 16:
		allowed := random.IntN(3) == 0
		must(t, b.Allow(peer, allowed))
		if m.allowed = allowed; allowed && !m.until.IsZero() && !m.operator {
			m.unban()
		}
		m.make()
		return fmt.Sprint("Allow ", allowed)
	case 17:
		m.protected = random.IntN(2) == 0
		must(t, b.Protect(peer, m.protected))
		m.make()
		return fmt.Sprint("Protect ", m.protected)
	case 18, 19:
		_, err := b.Collect()
		must(t, err)
		l.forget()
		return "Collect"
	case 20, 21, 22:
		if l.wait != nil {
			l.wait(random)
		}
		return "a few hours"
	}
	if l.wait == nil && random.IntN(4) > 0 {
		return "nothing"
	}
	must(t, b.Close())
	l.b = l.open()
	l.forget()
	return restarted
}

const restarted = "a restart"

// forget what was removed long ago.
func (l *life) forget() {
	for i := range l.models {
		if m := &l.models[i]; !m.removed.IsZero() && time.Since(m.removed) > l.keep && !time.Now().Before(m.until) {
			*m = model{}
		}
	}
}

// check holds the book against the model.
func (l *life) check(t *testing.T, done string) {
	t.Helper()
	for n, m := range l.models {
		r, known := l.b.Get(id(n))
		ban, banned := l.b.Banned(id(n))
		if known != m.known || banned != time.Now().Before(m.until) || ban.Generation != m.generation ||
			banned && (ban.Source == ByOperator) != m.operator || r.Allowed != m.allowed || r.Protected != m.protected {
			t.Fatalf("after %s: peer %d known %v, banned %v %+v, allowed %v, protected %v; want %+v",
				done, n, known, banned, ban, r.Allowed, r.Protected, m)
		}
	}
}

// Random lives of a few peers, with restarts: no removed peer and no lifted
// ban ever comes back, and nothing else is lost.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				store := newStore()
				l := &life{models: make([]model, 4), keep: keepRemoved, open: func() *Book { return openOn(t, store, Config{}) }}
				l.wait = func(random *rand.Rand) { time.Sleep(time.Duration(random.IntN(8)) * time.Hour) }
				l.b = l.open()
				random := rand.New(rand.NewPCG(seed, 0))
				for range 500 {
					l.check(t, l.step(t, random))
				}
			})
		})
	}
}

// The same on badger, where deleted keys have been known to come back: removed
// records are deleted at the next collection, and badger collects its garbage
// all the time. Bans do not end here.
func TestResurrection(t *testing.T) {
	steps, most, pause := 300, time.Hour, 100*time.Millisecond
	long := os.Getenv("TARI_LIBP2P_LONG") == "1"
	if long {
		steps, most, pause = 1_000_000, 20*time.Minute, time.Second
	}
	dir, seed := inMemory(t), uint64(time.Now().UnixNano())
	opened := 0
	l := &life{models: make([]model, 40), keep: -1}
	l.open = func() *Book {
		opened++
		b, err := Open(dir, Config{keepRemoved: -1})
		must(t, err)
		return b
	}
	l.b = l.open()
	defer func() { must(t, l.b.Close()) }()
	random := rand.New(rand.NewPCG(seed, 0))
	t.Logf("seed %d", seed)
	began, done, collections := time.Now(), 0, 0
	for collected := began; done < steps && time.Since(began) < most; done++ {
		if did := l.step(t, random); did == restarted || done%20 == 0 {
			l.check(t, did)
		}
		if time.Since(collected) > pause {
			collected = time.Now()
			collections++
			must(t, l.b.store.(ds.GCDatastore).CollectGarbage(t.Context()))
		}
	}
	if long {
		t.Logf("row: removed peers and lifted bans that come back, on badger | none in a million steps, or in 20 minutes, with a collection every second | %d steps in %s, %d restarts, %d collections, none",
			done, time.Since(began).Round(time.Second), opened-1, collections)
	}
}
