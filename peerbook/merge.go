package peerbook

import (
	"cmp"
	"slices"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
)

// merge gives the record that follows when news of a known peer comes in; old
// is nil for an unknown one. The rules are tari_comms': of two signed claims
// the newer one says which addresses there are, an older one adds nothing, and
// what was configured stays. Bans do not pass through here.
func merge(old *Record, news Record, now time.Time) *Record {
	if old == nil {
		old = &Record{Key: news.Key, AddedAt: rounded(now)}
	}
	if !old.Removed.IsZero() && news.hearsay() {
		return old // a removed peer does not come back because others talk of it
	}
	r := *old
	r.Removed = time.Time{}
	r.Seed = old.Seed || news.Seed
	r.Protected = old.Protected || news.Protected
	r.Allowed = old.Allowed || news.Allowed
	if news.LastSeen.After(r.LastSeen) {
		r.LastSeen = rounded(news.LastSeen)
	}
	age := compareClaims(news.Claim, old.Claim)
	r.Addresses = mergeAddresses(old.Addresses, news.Addresses, age, now)
	if age < 0 {
		return &r // a claim from the past: at most its addresses' statistics count
	}
	if news.Claim != nil {
		r.Features, r.Protocols, r.UserAgent = news.Features, news.Protocols, news.UserAgent
		if news.Claim.Signature != nil {
			r.Claim = news.Claim
		}
	} else {
		r.Features |= news.Features
		if len(news.Protocols) > 0 {
			r.Protocols = news.Protocols
		}
		r.UserAgent = cmp.Or(news.UserAgent, r.UserAgent)
	}
	r.Network = cmp.Or(news.Network, r.Network)
	if r.Claim != nil { // what the signature does not cover is kept once, in the record
		claim := *r.Claim
		claim.Protocols, claim.UserAgent = r.Protocols, r.UserAgent
		r.Claim = &claim
	}
	return &r
}

// compareClaims is 1 if a is newer than b, -1 if it is older, and 0 if they
// are of one second or either is not signed.
func compareClaims(a, b *identityproto.Claim) int {
	if a == nil || b == nil || a.Signature == nil || b.Signature == nil {
		return 0
	}
	return a.Signature.UpdatedAt.Compare(b.Signature.UpdatedAt)
}

func mergeAddresses(old, news []Address, age int, now time.Time) []Address {
	if len(news) == 0 {
		return old // nothing of use was claimed: what we know stays
	}
	var merged []Address
	for _, a := range old {
		i := indexAddress(news, a)
		switch {
		case i >= 0:
			merged = append(merged, mergeAddress(a, news[i], age))
		case age <= 0 || a.Source == Configured:
			merged = append(merged, a)
		}
	}
	if age >= 0 {
		for _, a := range news {
			if indexAddress(merged, a) < 0 {
				merged = append(merged, roundAddress(a))
			}
		}
	}
	return sortAddresses(merged, now)
}

func indexAddress(in []Address, a Address) int {
	return slices.IndexFunc(in, func(b Address) bool { return b.Addr.Equal(a.Addr) })
}

// mergeAddress joins what is known of one address. The newcomer's statistics
// count only if it has any: a relayed claim must not wipe out a failure.
func mergeAddress(old, news Address, age int) Address {
	if age >= 0 {
		old.Source = max(old.Source, news.Source)
	}
	if news.Attempts == 0 || lastTry(news).Before(lastTry(old)) {
		return old
	}
	source := old.Source
	old = roundAddress(news)
	old.Source = source
	return old
}

func lastTry(a Address) time.Time {
	if a.LastFail.After(a.LastSeen) {
		return a.LastFail
	}
	return a.LastSeen
}

func roundAddress(a Address) Address {
	a.LastSeen, a.LastFail = rounded(a.LastSeen), rounded(a.LastFail)
	a.Took = max(0, min(a.Took, time.Hour)).Truncate(time.Millisecond)
	a.Failure = cleanText(a.Failure)
	return a
}

// sortAddresses puts the best first and cuts the rest. Where Quality cannot
// tell two apart it is: what answered last; the better source; what failed the
// longest ago.
func sortAddresses(all []Address, now time.Time) []Address {
	slices.SortStableFunc(all, func(a, b Address) int {
		return cmp.Or(
			cmp.Compare(b.Quality(now), a.Quality(now)),
			b.LastSeen.Compare(a.LastSeen),
			cmp.Compare(b.Source, a.Source),
			a.LastFail.Compare(b.LastFail),
		)
	})
	if len(all) == 0 {
		return nil
	}
	// A copy without spare room: a book has many of them.
	best := make([]Address, min(len(all), MaxAddresses))
	copy(best, all)
	return best
}

// What became of the last dial of an address.
const (
	rankReached = iota
	rankUntried
	rankFailed
)

func rank(a Address) int {
	switch {
	case a.LastSeen.IsZero() && a.LastFail.IsZero():
		return rankUntried
	case a.LastFail.After(a.LastSeen):
		return rankFailed
	default:
		return rankReached
	}
}
