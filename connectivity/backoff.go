package connectivity

import (
	"math/rand/v2"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
)

// maxRemembered bounds the peers, and the addresses, whose failures are remembered.
const maxRemembered = 10_000

// calmAfter is how long a connection must last to take back one step of its peer's back-off; a shorter one than shortLife that we
// dialed and did not end counts as a failure: who hangs up at once is not to be dialed at once.
const (
	calmAfter = 10 * time.Minute
	shortLife = 60 * time.Second
)

// memory knows which peers and addresses to leave alone, and until when.
type memory struct {
	cfg   Backoff
	rng   *rand.Rand
	peers map[peer.ID]*trouble
	addrs map[string]*trouble // by peer and address: who claims another's address must not keep us from there
	doors map[string]*trouble // where we knocked on a stranger's word
}

// trouble is what failed. soft are failures of a time when nothing worked, which are forgiven.
type trouble struct {
	level, soft int
	until       time.Time
	calm        time.Time // when the level last went down
}

func newMemory(cfg Backoff, rng *rand.Rand) *memory {
	return &memory{cfg: cfg, rng: rng, peers: map[peer.ID]*trouble{}, addrs: map[string]*trouble{}, doors: map[string]*trouble{}}
}

// failed makes a peer, and the addresses where it did not answer, wait longer. limit is the longest that the peer has to.
func (m *memory) failed(id peer.ID, addrs []ma.Multiaddr, soft bool, limit time.Duration, now time.Time) {
	t := entry(m.peers, id)
	t.raise(soft)
	t.until = now.Add(m.delay(t.level+t.soft, limit))
	for _, a := range addrs {
		t := entry(m.addrs, string(id)+string(a.Bytes()))
		t.raise(soft)
		t.until = now.Add(m.delay(t.level+t.soft, m.cfg.Max))
	}
}

func (t *trouble) raise(soft bool) {
	if soft {
		t.soft++
	} else {
		t.level++
	}
}

// delay is First doubled with each level after the first, at most limit, and up to a quarter more or less.
func (m *memory) delay(level int, limit time.Duration) time.Duration {
	d := m.cfg.First
	for ; level > 1 && d < limit; level-- {
		d *= 2
	}
	d = min(d, limit)
	return d*3/4 + time.Duration(m.rng.Int64N(int64(d/2)+1))
}

// reached takes note of a connection. It does not make good what was: the peer may hang up at once.
func (m *memory) reached(id peer.ID, now time.Time) {
	if t := m.peers[id]; t != nil {
		t.until, t.soft, t.calm = time.Time{}, 0, now
		if t.level == 0 {
			delete(m.peers, id)
		}
	}
}

// calm takes back a step of the peer's level for each calmAfter that it has been connected.
func (m *memory) calm(id peer.ID, now time.Time) {
	if t := m.peers[id]; t != nil && now.Sub(t.calm) >= calmAfter {
		t.level--
		m.reached(id, now)
	}
}

// waits reports whether the peer is to be left alone.
func (m *memory) waits(id peer.ID, now time.Time) bool { return now.Before(m.until(id)) }

// until is when the peer may be dialed again, zero if it may.
func (m *memory) until(id peer.ID) time.Time {
	if t := m.peers[id]; t != nil {
		return t.until
	}
	return time.Time{}
}

// level is how many steps a peer is up.
func (m *memory) level(id peer.ID) int {
	if t := m.peers[id]; t != nil {
		return t.level + t.soft
	}
	return 0
}

// rested are the addresses of a peer that need not wait.
func (m *memory) rested(id peer.ID, addrs []ma.Multiaddr, now time.Time) []ma.Multiaddr {
	var out []ma.Multiaddr
	for _, a := range addrs {
		if t := m.addrs[string(id)+string(a.Bytes())]; t == nil || !now.Before(t.until) {
			out = append(out, a)
		}
	}
	return out
}

// knockAgain is how long a door at which we knocked on a stranger's word is left alone on that of all strangers, so that nobody can
// aim us at somebody else: our choice.
const knockAgain = 10 * time.Minute

// knock notes that we dial there.
func (m *memory) knock(door string, now time.Time) { entry(m.doors, door).until = now.Add(knockAgain) }

// mayKnock reports whether a stranger's word is enough to dial there.
func (m *memory) mayKnock(door string, now time.Time) bool {
	t := m.doors[door]
	return t == nil || !now.Before(t.until)
}

// open takes a knock back: somebody was there whom we looked for, or it never left this machine.
func (m *memory) open(door string) { delete(m.doors, door) }

// forgive forgets the failures of a time when nothing worked.
func (m *memory) forgive() {
	forgive(m.peers)
	forgive(m.addrs)
}

func forgive[K comparable](in map[K]*trouble) {
	for key, t := range in {
		if t.soft == 0 {
			continue
		}
		t.soft, t.until = 0, time.Time{}
		if t.level == 0 {
			delete(in, key)
		}
	}
}

// entry finds or makes a place, if need be that of whoever has waited for longest.
func entry[K comparable](in map[K]*trouble, key K) *trouble {
	if t := in[key]; t != nil {
		return t
	}
	if len(in) >= maxRemembered {
		var oldest K
		var first *trouble
		for k, t := range in {
			if first == nil || t.until.Before(first.until) {
				oldest, first = k, t
			}
		}
		delete(in, oldest)
	}
	t := new(trouble)
	in[key] = t
	return t
}
