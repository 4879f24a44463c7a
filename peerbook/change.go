package peerbook

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	ds "github.com/ipfs/go-datastore"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// update replaces a record by what next makes of it: in memory at once, and if
// it is to be durable, on disk before update returns. next gets nil for an
// unknown peer and returns its argument to change nothing.
//
// If the store fails, memory is ahead of it until a later flush succeeds:
// better a ban that holds until the next start than none.
func (b *Book) update(key tarikey.PublicKey, next func(old *Record, now time.Time) *Record, durable bool) error {
	ticket, err := b.apply(key, next)
	if err != nil || !durable {
		return err
	}
	return b.flush(ticket)
}

// apply is update without the disk; the ticket is what flush waits for.
func (b *Book) apply(key tarikey.PublicKey, next func(old *Record, now time.Time) *Record) (ticket uint64, err error) {
	b.change.Lock()
	defer b.change.Unlock()
	if b.closed {
		return 0, ErrClosed
	}
	old := b.peers[key] // written to under change only
	r := next(old, time.Now())
	if r == old || r == nil {
		return b.changes, nil
	}
	if err := b.replace(old, r); err != nil {
		return 0, err
	}
	if old == nil {
		b.makeRoom(key)
	}
	if banCount(old) == 0 && b.bans > b.cfg.MaxBans {
		err = b.forgetBan(key)
	}
	return b.changes, err
}

// replace puts one record in the place of another, nil if it is new. b.change
// is held.
func (b *Book) replace(old, r *Record) error {
	data, err := encodeRecord(r)
	if err != nil {
		return err
	}
	b.mu.Lock()
	b.set(r)
	b.mu.Unlock()
	b.bans += banCount(r) - banCount(old)
	b.pending[r.Key] = data
	b.changes++
	return nil
}

// flush returns when the changes up to the ticket are on disk. Of many that
// wait, one writes for all.
func (b *Book) flush(ticket uint64) error {
	b.flushing.Lock()
	defer b.flushing.Unlock()
	if b.flushed >= ticket {
		return nil
	}
	b.change.Lock()
	pending, upTo := b.pending, b.changes
	b.pending = map[tarikey.PublicKey][]byte{}
	b.change.Unlock()
	if err := writeAll(context.Background(), b.store, pending); err != nil {
		b.change.Lock()
		defer b.change.Unlock()
		for key, data := range pending {
			if _, newer := b.pending[key]; !newer {
				b.pending[key] = data
			}
		}
		return fmt.Errorf("peerbook: write: %w", err)
	}
	b.flushed = upTo
	return nil
}

// batchBytes keeps a batch within one transaction of badger, and that within
// one of its tables. Sync does not reach a table that has just been filled, so
// there must be a sync after each.
const batchBytes = 128 << 10

// writeAll writes records, deletes those that are nil, and syncs.
func writeAll(ctx context.Context, store ds.Datastore, records map[tarikey.PublicKey][]byte) error {
	keys := slices.Collect(maps.Keys(records))
	for len(keys) > 0 {
		n, size := 0, 0
		for n < len(keys) && (n == 0 || size < batchBytes) {
			size += len(records[keys[n]]) + 2*tarikey.KeySize
			n++
		}
		if err := writeBatch(ctx, store, keys[:n], records); err != nil {
			return err
		}
		if err := store.Sync(ctx, peerPrefix); err != nil {
			return err
		}
		keys = keys[n:]
	}
	return nil
}

func writeBatch(ctx context.Context, store ds.Datastore, keys []tarikey.PublicKey, records map[tarikey.PublicKey][]byte) error {
	batch := ds.NewBasicBatch(store)
	if batching, ok := store.(ds.Batching); ok {
		var err error
		if batch, err = batching.Batch(ctx); err != nil {
			return err
		}
	}
	for _, key := range keys {
		var err error
		if data := records[key]; data != nil {
			err = batch.Put(ctx, peerKey(key), data)
		} else {
			err = batch.Delete(ctx, peerKey(key))
		}
		if err != nil {
			return err
		}
	}
	return batch.Commit(ctx)
}
