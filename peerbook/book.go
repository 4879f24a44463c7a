package peerbook

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// ErrClosed is what changes return after Close. Reads still answer.
var ErrClosed = errors.New("peerbook: closed")

// Config is how much a Book keeps. The zero value has tari_comms' limits.
type Config struct {
	MaxPeers int // 50,000 if 0; who goes first above it: see Collect
	MaxBans  int // 10,000 if 0: above it the ban that ends first is forgotten, an operator's last

	// Connected says whether there is a connection to a peer: such a peer is
	// not given up for lack of room. It is called while the book is being
	// changed, and must not change it. If nil, nobody is connected.
	Connected func(peer.ID) bool

	keepRemoved time.Duration // 24 h if 0; for tests
}

const (
	defaultMaxPeers = 50_000
	defaultMaxBans  = 10_000
	keepRemoved     = 24 * time.Hour // tari_comms: how long a removed peer's record stays
)

// Book is the peer book. Its methods may be called from any goroutine.
type Book struct {
	cfg        Config
	store      ds.Datastore
	closeStore func() error // nil: the store is the caller's
	corrupt    int          // records set aside when the book was opened
	damaged    string       // the folder with what was set aside of a damaged store
	damage     string       // and what was wrong with it

	// One change at a time. What the store does not have yet waits in pending,
	// encoded; nil is to be deleted.
	change  sync.Mutex
	closed  bool
	bans    int // records with a ban, expired or not
	pending map[tarikey.PublicKey][]byte
	changes uint64 // how many there have been

	// peers is written to with both change and mu held, so either is enough to
	// read it. A Record in it is never changed, only replaced.
	mu    sync.RWMutex
	peers map[tarikey.PublicKey]*Record
	nodes map[tarikey.NodeID]*Record // the same by node id
	order tree                       // what is in nodes

	flushing sync.Mutex
	flushed  uint64 // how many changes are on disk
}

// OpenOn opens the book on a datastore, which stays the caller's to close. It
// reads every record once. A store of an older layout is brought to this one;
// one of a newer layout is a *SchemaError.
func OpenOn(store ds.Datastore, cfg Config) (*Book, error) { return openStore(store, cfg, nil) }

// openStore is OpenOn; keepOld gets what is in a store of an older layout before
// anything in it is changed.
func openStore(store ds.Datastore, cfg Config, keepOld func([]query.Entry) error) (*Book, error) {
	cfg.MaxPeers = cmp.Or(cfg.MaxPeers, defaultMaxPeers)
	cfg.MaxBans = cmp.Or(cfg.MaxBans, defaultMaxBans)
	cfg.keepRemoved = cmp.Or(cfg.keepRemoved, keepRemoved)
	b := &Book{
		cfg: cfg, store: store,
		peers: map[tarikey.PublicKey]*Record{}, nodes: map[tarikey.NodeID]*Record{}, pending: map[tarikey.PublicKey][]byte{},
	}
	ctx := context.Background()
	if err := checkSchema(ctx, store, keepOld); err != nil {
		return nil, err
	}
	if err := b.load(ctx); err != nil {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	return b, b.flush(b.changes)
}

// load fills the index, sets aside what does not decode, forgets records that
// were removed more than a day ago, and has those of an older version written.
func (b *Book) load(ctx context.Context) error {
	entries, err := storedPeers(ctx, b.store)
	if err != nil {
		return err
	}
	now := time.Now()
	var forgotten []string
	for i, r := range decodeAll(entries) {
		switch {
		case r == nil:
			b.corrupt++
			if err := b.store.Put(ctx, asideKey(entries[i].Key), entries[i].Value); err != nil {
				return err
			}
			forgotten = append(forgotten, entries[i].Key)
		case b.expired(r, now):
			forgotten = append(forgotten, entries[i].Key)
		default:
			b.set(r)
			b.bans += banCount(r)
			if entries[i].Value[0] == oldVersion {
				if b.pending[r.Key], err = encodeRecord(r); err != nil {
					return err
				}
				b.changes++
			}
		}
	}
	for _, key := range forgotten {
		if err := b.store.Delete(ctx, ds.RawKey(key)); err != nil {
			return err
		}
	}
	return nil
}

// decodeAll decodes on all processors; nil is what does not decode.
func decodeAll(entries []query.Entry) []*Record {
	records := make([]*Record, len(entries))
	workers := runtime.GOMAXPROCS(0)
	var wg sync.WaitGroup
	for first := range workers {
		wg.Go(func() {
			for i := first; i < len(entries); i += workers {
				if key, err := parsePeerKey(entries[i].Key); err == nil {
					records[i], _ = decodeRecord(key, entries[i].Value)
				}
			}
		})
	}
	wg.Wait()
	return records
}

// Close puts everything on disk. Changes fail from here on.
func (b *Book) Close() error {
	b.change.Lock()
	closed, ticket := b.closed, b.changes
	b.closed = true
	b.change.Unlock()
	if closed {
		return nil
	}
	err := b.flush(ticket)
	if b.closeStore != nil {
		err = errors.Join(err, b.closeStore())
	}
	return err
}

// Get returns the record of a peer; not that of a removed one.
func (b *Book) Get(id peer.ID) (Record, bool) {
	r := b.lookup(id)
	if r == nil || !r.Removed.IsZero() {
		return Record{}, false
	}
	return *r, true
}

func (b *Book) lookup(id peer.ID) *Record {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return nil
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.peers[key]
}

// List returns the records that keep says yes to, all if it is nil, in the
// order of their public keys; no removed ones.
func (b *Book) List(keep func(Record) bool) []Record {
	b.mu.RLock()
	all := slices.Collect(maps.Values(b.peers))
	b.mu.RUnlock()
	var out []Record
	for _, r := range all {
		if r.Removed.IsZero() && (keep == nil || keep(*r)) {
			out = append(out, *r)
		}
	}
	sortByKey(out)
	return out
}

// Stats are a book's numbers.
type Stats struct {
	Peers   int // records, without removed ones
	Welcome int // of Peers, those that are not banned
	Banned  int // bans that hold now
	Reached int // of Peers, those that a dial of ours has reached at an address they still have
	Seeds   int // of Peers
	Allowed int // of Peers, those on the allow list
	Corrupt int // records set aside when the book was opened

	// Damaged is the folder with the old store, if Open found it damaged and
	// made a new one from the backup. Changes since the last Close, or since the
	// Open after a crash, may be lost. Damage says what was found.
	Damaged string
	Damage  string
}

// Stats counts.
func (b *Book) Stats() Stats {
	now := time.Now()
	s := Stats{Corrupt: b.corrupt, Damaged: b.damaged, Damage: b.damage}
	b.mu.RLock()
	defer b.mu.RUnlock()
	for _, r := range b.peers {
		banned := r.Banned(now)
		if banned {
			s.Banned++
		}
		if r.Removed.IsZero() {
			s.Peers++
			s.Welcome += one(!banned)
			s.Reached += one(r.Reached())
			s.Seeds += one(r.Seed)
			s.Allowed += one(r.Allowed)
		}
	}
	return s
}

// one counts what is so.
func one(so bool) int {
	if so {
		return 1
	}
	return 0
}

// Put adds a peer, or joins what news says with what is known: addresses by
// tari_comms' rules, features, protocols and the like where news has any. Ban,
// AddedAt and Removed are not taken from it. It is how seeds get in. A peer
// that was removed comes back, unless all that is new are relayed addresses.
func (b *Book) Put(news Record) error {
	if news.Key.IsZero() {
		return errors.New("peerbook: a record without a key")
	}
	return b.update(news.Key, func(old *Record, now time.Time) *Record { return merge(old, news, now) }, true)
}

// Meeting is how a claim came to us.
type Meeting struct {
	Network string              // where we met
	Rules   identityproto.Rules // which of the claimed addresses to keep
	Dialed  ma.Multiaddr        // the address that we reached the peer at; nil: it came to us
	Took    time.Duration       // the dial and its handshake
}

// Claimed notes that a peer is connected and has said who it is. The claim has
// been validated; of its addresses those that may be dialed are kept.
func (b *Book) Claimed(claim *identityproto.Claim, m Meeting) error {
	if claim == nil || claim.Key.IsZero() {
		return errors.New("peerbook: a claim without a key")
	}
	return b.update(claim.Key, func(old *Record, now time.Time) *Record {
		news := Record{
			Key: claim.Key, Features: claim.Features, Protocols: claim.Protocols, UserAgent: claim.UserAgent,
			Claim: claim, Network: m.Network, LastSeen: now,
		}
		for _, a := range claim.Filtered(m.Rules) {
			news.Addresses = append(news.Addresses, Address{Addr: a, Source: Claimed})
		}
		r := merge(old, news, now)
		if m.Dialed != nil {
			r.Addresses = tried(r.Addresses, m.Dialed, m.Took, nil, now)
		}
		return r
	}, true)
}

// Dialed notes how dialing a peer at an address went. Peers and addresses that
// the book does not know are ignored. It is statistics: nothing is written but
// with the next claim, ban or the like, and by Close.
func (b *Book) Dialed(id peer.ID, addr ma.Multiaddr, took time.Duration, failure error) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	return b.update(key, func(old *Record, now time.Time) *Record {
		if old == nil || addr == nil || indexAddress(old.Addresses, Address{Addr: addr}) < 0 {
			return old
		}
		r := *old
		r.Addresses = tried(old.Addresses, addr, took, failure, now)
		return &r
	}, false)
}

// tried notes the outcome of a dial in a copy of the addresses.
func tried(addresses []Address, addr ma.Multiaddr, took time.Duration, failure error, now time.Time) []Address {
	addresses = slices.Clone(addresses)
	i := indexAddress(addresses, Address{Addr: addr})
	if i < 0 {
		return addresses
	}
	a := &addresses[i]
	a.Attempts++
	if failure == nil {
		a.LastSeen, a.LastFail, a.Failure, a.Failures, a.Took = now, time.Time{}, "", 0, took
	} else {
		a.LastFail, a.Failure = now, failure.Error()
		a.Failures++
	}
	*a = roundAddress(*a)
	return sortAddresses(addresses, now)
}

// Remove forgets a peer but not its ban. The record's place is kept for a day,
// so that nothing old can come back.
func (b *Book) Remove(id peer.ID) error {
	key, err := tarikey.PublicKeyFromPeerID(id)
	if err != nil {
		return err
	}
	return b.update(key, func(old *Record, now time.Time) *Record {
		if old == nil || !old.Removed.IsZero() {
			return old
		}
		return &Record{Key: key, Ban: old.Ban, AddedAt: old.AddedAt, Removed: rounded(now)}
	}, true)
}
