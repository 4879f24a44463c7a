package peerbook

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// update replaces a record by what next makes of it: in memory at once, then
// in the store, and with durable on disk before it returns. next gets nil for
// an unknown peer and returns its argument to change nothing.
//
// If the store fails, memory is ahead of it until the record is written again:
// better a ban that holds until the next start than none.
func (b *Book) update(key tarikey.PublicKey, next func(old *Record, now time.Time) *Record, durable bool) error {
	ticket, err := b.write(key, next)
	if err != nil || !durable {
		return err
	}
	return b.syncTo(ticket)
}

// write is update without the disk; the ticket is what syncTo waits for.
func (b *Book) write(key tarikey.PublicKey, next func(old *Record, now time.Time) *Record) (ticket uint64, err error) {
	b.change.Lock()
	defer b.change.Unlock()
	if b.closed {
		return 0, ErrClosed
	}
	b.mu.RLock()
	old := b.peers[key]
	b.mu.RUnlock()
	r := next(old, time.Now())
	if r == old || r == nil {
		return 0, nil
	}
	if err := b.replace(old, r); err != nil {
		return 0, err
	}
	if old == nil {
		if err := b.makeRoom(key); err != nil {
			return 0, err
		}
	}
	if banCount(old) == 0 && b.bans > b.cfg.MaxBans {
		if err := b.forgetBan(key); err != nil {
			return 0, err
		}
	}
	return b.written.Load(), nil
}

// replace puts one record in the place of another, nil if it is new, in memory
// and then in the store. b.change is held.
func (b *Book) replace(old, r *Record) error {
	data, err := encodeRecord(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.peers[r.Key] = r
	b.mu.Unlock()
	b.bans += banCount(r) - banCount(old)
	if err := b.store.Put(context.Background(), peerKey(r.Key), data); err != nil {
		return fmt.Errorf("peerbook: write: %w", err)
	}
	b.written.Add(1)
	return nil
}

// syncTo returns when the changes up to the ticket are on disk. Of many that
// wait one syncs for all.
func (b *Book) syncTo(ticket uint64) error {
	b.syncing.Lock()
	defer b.syncing.Unlock()
	if b.synced >= ticket {
		return nil
	}
	upTo := b.written.Load()
	if err := b.store.Sync(context.Background(), peerPrefix); err != nil {
		return fmt.Errorf("peerbook: sync: %w", err)
	}
	b.synced = upTo
	return nil
}

// makeRoom brings the book a little below its size when a newcomer has gone
// above it, so that it need not look for the next one's place again. Seeds,
// configured and banned peers stay, and so does the newcomer. b.change is held.
func (b *Book) makeRoom(newcomer tarikey.PublicKey) error {
	b.mu.RLock()
	excess := len(b.peers) - b.cfg.MaxPeers
	var candidates []*Record
	if excess > 0 {
		now := time.Now()
		for key, r := range b.peers {
			if key != newcomer && !r.Seed && !r.configured() && !r.Banned(now) {
				candidates = append(candidates, r)
			}
		}
	}
	b.mu.RUnlock()
	if excess <= 0 {
		return nil
	}
	slices.SortFunc(candidates, func(x, y *Record) int {
		return cmp.Or(x.LastSeen.Compare(y.LastSeen), x.AddedAt.Compare(y.AddedAt))
	})
	for _, r := range candidates[:min(len(candidates), excess+b.cfg.MaxPeers/100)] {
		b.mu.Lock()
		delete(b.peers, r.Key)
		b.mu.Unlock()
		b.bans -= banCount(r)
		if err := b.store.Delete(context.Background(), peerKey(r.Key)); err != nil {
			return fmt.Errorf("peerbook: write: %w", err)
		}
	}
	return nil
}
