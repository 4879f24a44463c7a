package peerbook

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
)

// connTo is a connection of which only the peer is known.
type connTo struct {
	network.Conn
	id peer.ID
}

func (c connTo) RemotePeer() peer.ID { return c.id }

func TestBan(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{})
		check := func(n int, want bool) {
			t.Helper()
			if _, banned := b.Banned(id(n)); banned != want {
				t.Errorf("peer %d banned: %v, want %v", n, banned, want)
			}
			upgraded, _ := b.InterceptUpgraded(connTo{id: id(n)})
			lets := []bool{b.InterceptPeerDial(id(n)), b.InterceptAddrDial(id(n), addr(1)), b.InterceptSecured(network.DirInbound, id(n), nil), upgraded}
			for i, let := range lets {
				if let == want {
					t.Errorf("peer %d, gate %d lets it through: %v", n, i, let)
				}
			}
		}
		must(t, b.Ban(id(1), 2*time.Hour, "first")) // a stranger
		must(t, b.Claimed(unsigned(2, 1), Meeting{}))
		must(t, b.Ban(id(2), 2*time.Hour, "first"))
		for n := range 3 {
			check(n, n > 0)
		}
		must(t, b.Ban(id(1), time.Hour, "shorter"))
		if ban, _ := b.Banned(id(1)); ban.Reason != "first" || !ban.Until.Equal(time.Now().Add(2*time.Hour)) {
			t.Errorf("a shorter ban changed it: %+v", ban)
		}
		must(t, b.Ban(id(1), 3*time.Hour, "longer"))
		must(t, b.Claimed(unsigned(2, 2), Meeting{})) // what a peer says does not touch its ban
		must(t, b.Put(Record{Key: key(2), Ban: Ban{}, Seed: true}))
		check(2, true)

		time.Sleep(2*time.Hour - time.Millisecond)
		check(2, true)
		time.Sleep(time.Millisecond)
		check(2, false)
		check(1, true)
		must(t, b.Close())
		b = openOn(t, store, Config{})
		check(1, true)
		check(2, false)
		if bans := b.Bans(); len(bans) != 1 || bans[0].Key != key(1) {
			t.Errorf("bans %+v", bans)
		}
		time.Sleep(time.Hour)
		check(1, false)

		must(t, b.Ban(id(3), Forever, "for good"))
		time.Sleep(200 * 365 * 24 * time.Hour)
		check(3, true)
		must(t, b.Unban(id(3)))
		check(3, false)
		must(t, b.Close())
		b = openOn(t, store, Config{})
		check(3, false)
		if b.Ban(id(1), 0, "") == nil || b.Ban(id(1), -time.Second, "") == nil {
			t.Error("a ban without a time")
		}
		must(t, b.Ban(id(4), time.Microsecond, "gone at once"))
		check(4, false)
		if ok := b.InterceptAccept(nil); !ok {
			t.Error("InterceptAccept cannot know whom it refuses")
		}
	})
}

func TestUnbanWins(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	must(t, b.Ban(id(1), time.Hour, "spam"))
	decided, _ := b.Banned(id(1))
	must(t, b.BanSince(id(1), 2*time.Hour, "more spam", decided.Generation))
	must(t, b.Unban(id(1)))
	if err := b.BanSince(id(1), 3*time.Hour, "late", decided.Generation); !errors.Is(err, ErrUnbanned) {
		t.Errorf("BanSince: %v", err)
	}
	if _, banned := b.Banned(id(1)); banned {
		t.Error("a late ban won")
	}
	must(t, b.Unban(id(2))) // a stranger: a late ban of it is late too
	if err := b.BanSince(id(2), time.Hour, "late", 0); !errors.Is(err, ErrUnbanned) {
		t.Errorf("BanSince: %v", err)
	}
	if _, ok := b.Get(id(2)); ok {
		t.Error("Unban made a peer known")
	}
	now, _ := b.Banned(id(1))
	must(t, b.BanSince(id(1), time.Hour, "new", now.Generation))
	if _, banned := b.Banned(id(1)); !banned {
		t.Error("a new ban does not hold")
	}
}

func TestRoomForBans(t *testing.T) {
	store := newStore()
	b := openOn(t, store, Config{MaxBans: 5})
	must(t, b.Ban(id(0), time.Minute, "short"))
	for n := 1; n <= 5; n++ {
		must(t, b.Ban(id(n), time.Duration(10-n)*time.Hour, "spam"))
	}
	must(t, b.Ban(id(6), time.Second, "the newest stays, short as it is"))
	for n, want := range []bool{false, true, true, true, true, false, true} {
		if _, banned := b.Banned(id(n)); banned != want {
			t.Errorf("peer %d banned: %v, want %v", n, banned, want)
		}
	}
	must(t, b.Close())
	if b := openOn(t, store, Config{MaxBans: 5}); b.bans != 5 {
		t.Errorf("%d bans on disk", b.bans)
	}
}

func TestBanReason(t *testing.T) {
	b := openOn(t, newStore(), Config{})
	for n, c := range []struct{ in, want string }{
		{"plain", "plain"},
		{"two\nlines\tand \x1b[31mred", "two lines and  [31mred"},
		{"bad \xff bytes", "bad ? bytes"},
		{strings.Repeat("x", 300), strings.Repeat("x", 256)},
		{strings.Repeat("x", 255) + "é", strings.Repeat("x", 255)},
		{strings.Repeat("é", 200), strings.Repeat("é", 128)},
		{strings.Repeat("日", 100), strings.Repeat("日", 85)},
	} {
		must(t, b.Ban(id(n), time.Hour, c.in))
		if ban, _ := b.Banned(id(n)); ban.Reason != c.want || !utf8.ValidString(ban.Reason) {
			t.Errorf("%q is kept as %q, want %q", c.in, ban.Reason, c.want)
		}
	}
}

// TestUnbanAll: every ban goes, in many batches; the answer has those that held; and nothing else of a record changes.
func TestUnbanAll(t *testing.T) {
	const many = 300
	synctest.Test(t, func(t *testing.T) {
		store := newStore()
		b := openOn(t, store, Config{})
		if lifted, err := b.UnbanAll(); err != nil || len(lifted) != 0 {
			t.Errorf("an empty book: %v, %v", lifted, err)
		}
		must(t, b.Ban(id(1), time.Minute, "over by then"))
		for n := 2; n < many; n++ {
			must(t, b.Ban(id(n), time.Hour, strings.Repeat("x", maxReason)))
		}
		must(t, b.Claimed(unsigned(many, 1), Meeting{}))
		must(t, b.Allow(id(2), true))
		must(t, b.BanByOperator(id(2), Forever, ""))
		must(t, b.Remove(id(3)))
		time.Sleep(time.Minute)
		lifted, err := b.UnbanAll()
		must(t, err)
		slices.Sort(lifted)
		if len(slices.Compact(lifted)) != many-2 || slices.Contains(lifted, id(1)) || slices.Contains(lifted, id(many)) {
			t.Errorf("%d lifted", len(lifted))
		}
		for _, when := range []string{"at once", "after a restart"} {
			if n := b.Stats().Banned; n != 0 || len(b.Bans()) != 0 {
				t.Errorf("%s: %d are banned", when, n)
			}
			if r := get(t, b, 2); !r.Allowed {
				t.Errorf("%s: %+v", when, r)
			}
			if _, ok := b.Get(id(3)); ok {
				t.Errorf("%s: the removed peer is back", when)
			}
			must(t, b.Close())
			b = openOn(t, store, Config{})
		}
		must(t, b.Close())
		if _, err := b.UnbanAll(); !errors.Is(err, ErrClosed) {
			t.Errorf("a closed book: %v", err)
		}
	})
}
