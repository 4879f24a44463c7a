package peerbook

import (
	"fmt"
	"math/rand"
	"testing"
	"testing/synctest"
	"time"
)

// model is the little that a peer book promises, in its simplest form.
type model struct {
	known   bool
	removed time.Time // hearsay brings no peer back for a day after it was removed
	until   time.Time
}

// Random lives of a few peers, with restarts: no removed peer and no lifted
// ban ever comes back, and nothing else is lost.
func TestAgainstModel(t *testing.T) {
	for seed := range int64(4) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { liveRandomly(t, rand.New(rand.NewSource(seed))) })
		})
	}
}

func liveRandomly(t *testing.T, random *rand.Rand) {
	const peers, steps = 4, 400
	store := newStore()
	b := openOn(t, store, Config{})
	var models [peers]model
	var done string
	for range steps {
		n := random.Intn(peers)
		m := &models[n]
		switch random.Intn(12) {
		case 0, 1:
			done = "Claimed"
			must(t, b.Claimed(unsigned(n, n), Meeting{}))
			*m = model{known: true, until: m.until}
		case 2, 3, 4:
			done = "Put of hearsay"
			must(t, b.Put(Record{Key: key(n), Addresses: given(Relayed, n)}))
			if m.removed.IsZero() {
				m.known = true
			}
		case 5, 6:
			done = "Remove"
			must(t, b.Remove(id(n)))
			if m.known {
				m.known, m.removed = false, time.Now()
			}
		case 7, 8:
			d := time.Duration(1+random.Intn(30)) * time.Hour
			done = fmt.Sprint("Ban for ", d)
			must(t, b.Ban(id(n), d, "spam"))
			if until := time.Now().Add(d); until.After(m.until) {
				m.until = until
			}
			if !m.known && m.removed.IsZero() {
				m.known = true // a stranger's ban has a record
			}
		case 9:
			done = "Unban"
			must(t, b.Unban(id(n)))
			m.until = time.Time{}
			if !m.known && m.removed.IsZero() {
				m.removed = time.Now()
			}
		case 10:
			done = "a few hours"
			time.Sleep(time.Duration(random.Intn(8)) * time.Hour)
		default:
			done = "a restart"
			must(t, b.Close())
			b = openOn(t, store, Config{})
			for i := range models { // removed records are dropped after a day
				if r := &models[i]; !r.removed.IsZero() && time.Since(r.removed) > keepRemoved && !time.Now().Before(r.until) {
					*r = model{}
				}
			}
		}
		for n, m := range models {
			_, known := b.Get(id(n))
			ban, banned := b.Banned(id(n))
			if known != m.known || banned != time.Now().Before(m.until) {
				t.Fatalf("after %s: peer %d known %v, banned %v (%v); want %+v", done, n, known, banned, ban, m)
			}
		}
	}
}
