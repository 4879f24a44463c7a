package peerbook

import (
	"fmt"
	"os"
	"strings"

	"github.com/dgraph-io/badger/v4/options"
	badger4 "github.com/ipfs/go-ds-badger4"
)

// LockedError says that another process has the book open.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("peerbook: %s is in use by another process: stop it, or choose another folder", e.Dir)
}

// openBadger opens badger in sizes for a book of megabytes. Its defaults are
// for gigabytes, and reserve several hundred megabytes of memory and disk.
func openBadger(dir string) (*badger4.Datastore, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	opts := badger4.DefaultOptions // a copy
	opts.Options = opts.
		WithMemTableSize(8 << 20).
		WithNumMemtables(2).
		WithBaseTableSize(2 << 20).
		WithValueLogFileSize(16 << 20).
		WithCompression(options.None).
		WithBlockCacheSize(0).
		WithIndexCacheSize(0).
		WithNumCompactors(2).
		WithMetricsEnabled(false)
	store, err := badger4.NewDatastore(dir, &opts)
	switch {
	case err == nil:
		return store, nil
	case strings.Contains(err.Error(), "Cannot acquire directory lock"): // badger has no error value for it
		return nil, &LockedError{dir}
	default:
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
}
