package peerbook

import (
	"errors"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Forever is the length of a ban that only Unban ends.
const Forever time.Duration = math.MaxInt64

// maxReason is tari_comms' limit, in bytes.
const maxReason = 256

// ErrUnbanned is what BanSince says when the peer was unbanned meanwhile.
var ErrUnbanned = errors.New("peerbook: the peer was unbanned after the decision to ban it")

// Ban shuts a peer out for that long, known to the book or not. It never
// shortens a ban. The reason is for people; control characters in it are
// replaced and it is cut to 256 bytes.
func (b *Book) Ban(id peer.ID, d time.Duration, reason string) error {
	return b.ban(id, d, reason, nil)
}

// BanSince is Ban for a decision that was made when the peer's ban had that
// Generation, or 0: an Unban since then wins, with ErrUnbanned.
func (b *Book) BanSince(id peer.ID, d time.Duration, reason string, generation uint64) error {
	return b.ban(id, d, reason, &generation)
}

func (b *Book) ban(id peer.ID, d time.Duration, reason string, since *uint64) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	if d <= 0 {
		return errors.New("peerbook: a ban needs a time")
	}
	stale := false
	err = b.update(key, func(old *Record, now time.Time) *Record {
		r := Record{Key: key, AddedAt: rounded(now)}
		if old != nil {
			r = *old
		}
		if stale = since != nil && r.Ban.Generation != *since; stale {
			return old
		}
		until := rounded(now.Add(d))
		if d == Forever {
			until = maxStamp.time()
		}
		if !until.After(r.Ban.Until) {
			return old
		}
		r.Ban.Until, r.Ban.Reason = until, cleanText(reason)
		return &r
	}, true)
	if stale {
		return ErrUnbanned
	}
	return err
}

// Unban lets a peer in again. Bans decided before, and not yet written, are
// refused by BanSince from here on.
func (b *Book) Unban(id peer.ID) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	return b.update(key, func(old *Record, now time.Time) *Record {
		r := Record{Key: key, AddedAt: rounded(now), Removed: rounded(now)}
		if old != nil {
			r = *old
		}
		r.Ban = Ban{Generation: r.Ban.Generation + 1}
		return &r
	}, true)
}

// Banned returns the ban of a peer and whether it holds now. A peer that was
// removed, or was never in the book, can be banned too.
func (b *Book) Banned(id peer.ID) (Ban, bool) {
	r := b.lookup(id)
	if r == nil {
		return Ban{}, false
	}
	return r.Ban, r.Banned(time.Now())
}

// Bans lists the records of all banned peers, removed ones too.
func (b *Book) Bans() []Record {
	now := time.Now()
	b.mu.RLock()
	defer b.mu.RUnlock()
	var out []Record
	for _, r := range b.peers {
		if r.Banned(now) {
			out = append(out, *r)
		}
	}
	return out
}

// banCount is 1 for a record that Config.MaxBans counts.
func banCount(r *Record) int {
	if r == nil || r.Ban.Until.IsZero() {
		return 0
	}
	return 1
}

// forgetBan drops the ban that ends first, other than the newcomer's, when
// there are too many. b.change is held.
func (b *Book) forgetBan(newcomer tarikey.PublicKey) error {
	var first *Record
	for key, r := range b.peers {
		if key != newcomer && banCount(r) > 0 && (first == nil || r.Ban.Until.Before(first.Ban.Until)) {
			first = r
		}
	}
	if first == nil {
		return nil
	}
	r := *first
	r.Ban = Ban{Generation: r.Ban.Generation}
	return b.replace(first, &r)
}

// cleanText makes foreign text fit to be stored and shown.
func cleanText(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(s, "?"))
	if len(s) <= maxReason {
		return s
	}
	cut := maxReason
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut]
}
