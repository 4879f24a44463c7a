package peerbook

import (
	"cmp"
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

// What Ban and BanSince say when they do not ban.
var (
	ErrUnbanned = errors.New("peerbook: the peer was unbanned after the decision to ban it")
	ErrAllowed  = errors.New("peerbook: the peer is on the allow list")
)

// Ban shuts a peer out for that long, known to the book or not, as this
// program's decision: a peer on the allow list is not banned, with ErrAllowed.
// It never shortens a ban, nor changes a longer one. The reason is for people;
// control characters in it are replaced and it is cut to 256 bytes.
func (b *Book) Ban(id peer.ID, d time.Duration, reason string) error {
	return b.ban(id, d, Ban{Reason: reason}, false)
}

// BanSince is Ban for a decision that was made when the peer's ban had that
// Generation, or 0: an Unban since then wins, with ErrUnbanned.
func (b *Book) BanSince(id peer.ID, d time.Duration, reason string, generation uint64) error {
	return b.ban(id, d, Ban{Reason: reason, Generation: generation}, true)
}

// BanByOperator is Ban as a person's decision: it holds for peers on the allow
// list too, and Allow does not lift it.
func (b *Book) BanByOperator(id peer.ID, d time.Duration, reason string) error {
	return b.ban(id, d, Ban{Reason: reason, Source: ByOperator}, false)
}

// ban sets the ban of a peer, if since is true only in its generation.
func (b *Book) ban(id peer.ID, d time.Duration, ban Ban, since bool) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	if d <= 0 {
		return errors.New("peerbook: a ban needs a time")
	}
	var refused error
	err = b.update(key, func(old *Record, now time.Time) *Record {
		r := Record{Key: key, AddedAt: rounded(now)}
		if old != nil {
			r = *old
		}
		switch {
		case since && r.Ban.Generation != ban.Generation:
			refused = ErrUnbanned
			return old
		case r.Allowed && ban.Source != ByOperator:
			refused = ErrAllowed
			return old
		}
		until := rounded(now.Add(d))
		if d == Forever {
			until = maxStamp.time()
		}
		if !until.After(r.Ban.Until) {
			return old
		}
		r.Ban = Ban{Until: until, Reason: cleanText(ban.Reason), Source: ban.Source, Generation: r.Ban.Generation}
		return &r
	}, true)
	return cmp.Or(refused, err)
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

// UnbanAll lets all banned peers in again, whoever banned them, and returns
// those whose ban still held, in no order. As with Unban, bans decided before
// are refused by BanSince; but not of a peer that had never been banned. After
// an error of the disk the bans are lifted, but it may have them yet.
func (b *Book) UnbanAll() (lifted []peer.ID, err error) {
	var ticket uint64
	for _, key := range b.everBanned() {
		held := false
		ticket, err = b.apply(key, func(old *Record, now time.Time) *Record {
			if old == nil {
				return nil // given up meanwhile
			}
			r := *old
			held = old.Banned(now)
			r.Ban = Ban{Generation: old.Ban.Generation + 1}
			return &r
		})
		if err != nil {
			return lifted, err
		}
		if held {
			lifted = append(lifted, key.PeerID())
		}
	}
	return lifted, b.flush(ticket)
}

// everBanned are the keys of the records with a ban, or a trace of one.
func (b *Book) everBanned() (keys []tarikey.PublicKey) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	for key, r := range b.peers {
		if !r.Ban.Until.IsZero() || r.Ban.Generation > 0 {
			keys = append(keys, key)
		}
	}
	return keys
}

// Allow puts a peer, known to the book or not, on the allow list or takes it
// off: this program bans none of those on it. What it has banned before is
// lifted; what a person has banned stays.
func (b *Book) Allow(id peer.ID, allowed bool) error {
	return b.mark(id, func(r *Record) {
		if r.Allowed = allowed; allowed && banCount(r) > 0 && r.Ban.Source != ByOperator {
			r.Ban = Ban{Generation: r.Ban.Generation + 1}
		}
	})
}

// Protect marks a peer, known to the book or not, as one to keep, or no longer:
// its record is not given up for lack of room, and who drops connections asks
// for Record.Protected first. (It can be banned: see Allow.)
func (b *Book) Protect(id peer.ID, protected bool) error {
	return b.mark(id, func(r *Record) { r.Protected = protected })
}

// mark changes the record of a peer, which is made if there is none.
func (b *Book) mark(id peer.ID, set func(*Record)) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	return b.update(key, func(old *Record, now time.Time) *Record {
		r := Record{Key: key, AddedAt: rounded(now)}
		if old != nil {
			r = *old
		}
		r.Removed = time.Time{}
		set(&r)
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
// there are too many; an operator's only if there are no others. b.change is
// held.
func (b *Book) forgetBan(newcomer tarikey.PublicKey) error {
	var first *Record
	for key, r := range b.peers {
		if key != newcomer && banCount(r) > 0 && (first == nil || dearer(first.Ban, r.Ban) > 0) {
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

// dearer orders bans by how much they would be missed.
func dearer(a, b Ban) int {
	return cmp.Or(cmp.Compare(a.Source, b.Source), a.Until.Compare(b.Until))
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
