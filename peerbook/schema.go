package peerbook

import (
	"context"
	"errors"
	"fmt"

	ds "github.com/ipfs/go-datastore"
	"github.com/ipfs/go-datastore/query"
)

// SchemaError is a store that a newer version of this package has laid out.
type SchemaError struct{ Got string }

func (e *SchemaError) Error() string {
	return fmt.Sprintf("peerbook: the store has layout %q, this program knows layouts up to %s: use a newer one", e.Got, schemaVersion)
}

// checkSchema marks a new store, and one of layout 1, as being of this layout.
// The mark is on disk before any record changes, so that an older program does
// not take new records for damaged ones. Records of both versions may stand
// side by side; load writes the old ones anew, now or at the next start.
func checkSchema(ctx context.Context, store ds.Datastore, keepOld func([]query.Entry) error) error {
	got, err := store.Get(ctx, schemaKey)
	switch {
	case errors.Is(err, ds.ErrNotFound):
		return markSchema(ctx, store)
	case err != nil:
		return fmt.Errorf("peerbook: open: %w", err)
	case string(got) == schemaVersion:
		return nil
	case string(got) != oldSchema:
		return &SchemaError{string(got[:min(len(got), 20)])}
	}
	if keepOld != nil {
		entries, err := storedPeers(ctx, store)
		if err == nil {
			err = keepOld(entries)
		}
		if err != nil {
			return fmt.Errorf("peerbook: open: before the change of layout: %w", err)
		}
	}
	if err := markSchema(ctx, store); err != nil {
		return err
	}
	if err := store.Sync(ctx, schemaKey); err != nil {
		return fmt.Errorf("peerbook: open: %w", err)
	}
	return nil
}

func markSchema(ctx context.Context, store ds.Datastore) error {
	if err := store.Put(ctx, schemaKey, []byte(schemaVersion)); err != nil {
		return fmt.Errorf("peerbook: open: %w", err)
	}
	return nil
}

// storedPeers is every record as it is stored.
func storedPeers(ctx context.Context, store ds.Datastore) ([]query.Entry, error) {
	results, err := store.Query(ctx, query.Query{Prefix: peerPrefix.String()})
	if err != nil {
		return nil, err
	}
	defer results.Close()
	return results.Rest()
}
