package peerbook

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dgraph-io/badger/v4/options"
	"github.com/ipfs/go-datastore/query"
	badger4 "github.com/ipfs/go-ds-badger4"
)

// A book's folder has
//
//	badger/      the engine's files
//	peers.bak    every record, as of the last Close, or of the Open after a crash
//	peers-1.bak  every record as it was before it was brought to layout 2; nobody reads it
//	closed.json  size and checksum of the engine's files; only while the book is closed
//	damaged-*/   engine's files that were found damaged, with the time in Unix milliseconds
const (
	engineName = "badger"
	backupName = "peers.bak"
	closedName = "closed.json"
	asideName  = "damaged-"

	oldBackupName = "peers-1.bak"
)

// LockedError says that another process has the book open.
type LockedError struct{ Dir string }

func (e *LockedError) Error() string {
	return fmt.Sprintf("peerbook: %s is in use by another process: stop it, or choose another folder", e.Dir)
}

// DamagedError says that the files of the book are damaged and that there is
// no backup to make new ones from. Nothing was changed.
type DamagedError struct {
	Dir string
	Err error
}

func (e *DamagedError) Error() string {
	return fmt.Sprintf("peerbook: the files in %s are damaged and there is no backup: move the folder away to start anew: %v", e.Dir, e.Err)
}

// Unwrap gives what was found.
func (e *DamagedError) Unwrap() error { return e.Err }

// Open opens the book in a folder, and makes both if there are none. If
// another process has it open the error is a *LockedError; without the right to
// write it is a *ReadOnlyError, and with too little room on the disk a
// *FullError.
//
// Files that were damaged while the book was closed are set aside and made
// anew from the backup; Stats tells. Without one it is a *DamagedError.
func Open(dir string, cfg Config) (*Book, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, openError(dir, err)
	}
	unlock, err := lockDir(dir)
	if err != nil {
		return nil, err
	}
	var b *Book
	if err = checkWritable(dir); err == nil {
		err = checkSpace(dir, tablesOf(dir))
	}
	if err == nil {
		b, err = openLocked(dir, cfg)
	}
	if err != nil {
		unlock()
		return nil, err
	}
	closeEngine := b.closeStore
	b.closeStore = func() error {
		defer unlock()
		if err := closeEngine(); err != nil {
			return err // no closed.json: the next start looks closer
		}
		return errors.Join(writeBackup(dir, b.peers), writeClosed(dir))
	}
	return b, nil
}

func openLocked(dir string, cfg Config) (*Book, error) {
	clean, err := checkClosed(dir)
	var b *Book
	if err == nil {
		b, err = openEngine(dir, cfg)
	}
	if err == nil && len(b.peers) == 0 && b.corrupt == 0 && hasBackup(dir) && !clean {
		// A manifest that is lost looks like a new book.
		if records, bad := readBackup(dir); bad == nil && len(records) > 0 {
			err = errors.Join(errDamaged, b.closeStore())
		}
	}
	if isDamage(err) {
		return rebuild(dir, cfg, err)
	}
	if err == nil && !clean {
		if err = writeBackup(dir, b.peers); err != nil {
			err = errors.Join(err, b.closeStore())
		}
	}
	if err != nil {
		return nil, err
	}
	return b, nil
}

// rebuild sets the engine's files aside and fills new ones from the backup.
func rebuild(dir string, cfg Config, why error) (*Book, error) {
	records, err := readBackup(dir)
	if err != nil {
		return nil, &DamagedError{dir, why}
	}
	aside := filepath.Join(dir, fmt.Sprint(asideName, time.Now().UnixMilli()))
	if err := os.Rename(filepath.Join(dir, engineName), aside); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	if err := os.Remove(filepath.Join(dir, closedName)); err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	b, err := openEngine(dir, cfg)
	if err != nil {
		return nil, err
	}
	b.damaged, b.damage = aside, why.Error()
	for _, r := range records {
		if err := b.replace(nil, r); err != nil {
			return nil, errors.Join(err, b.closeStore())
		}
	}
	if err := b.flush(b.changes); err != nil {
		return nil, errors.Join(err, b.closeStore())
	}
	return b, nil
}

var errDamaged = errors.New("the engine's files are not what they were")

// isDamage tells damage from a full disk, missing rights and the like.
func isDamage(err error) bool {
	var errno syscall.Errno
	var locked *LockedError
	var schema *SchemaError
	return err != nil && !errors.As(err, &errno) && !errors.As(err, &locked) && !errors.As(err, &schema)
}

// openEngine opens the book on badger, in sizes for megabytes. Badger's
// defaults are for gigabytes, and reserve hundreds of megabytes at once. Tables
// are mapped into memory, where compressed ones take half; the book reads them
// once, so that a cache of blocks is of no use, but with compression there must
// be one.
//
// Building a table takes six times its size, and badger keeps up to eight such
// buffers for the next ones: so tables are small, the deeper ones too. As many
// more come together at level 0, where the book never looks for a key, before
// they are merged, so that no more is written than with larger ones.
func openEngine(dir string, cfg Config) (*Book, error) {
	opts := badger4.DefaultOptions // a copy
	opts.Options = opts.
		WithMemTableSize(memTableSize(dir)).
		WithNumMemtables(2).
		WithNumLevelZeroTables(10).
		WithNumLevelZeroTablesStall(20).
		WithBaseTableSize(1 << 20).
		WithValueThreshold(2 * maxRecord). // records are in the tables, not in the value log
		WithValueLogFileSize(16 << 20).
		WithCompression(options.Snappy).
		WithBlockCacheSize(256 << 10).
		WithIndexCacheSize(0).
		WithNumCompactors(2).
		WithMetricsEnabled(false)
	opts.TableSizeMultiplier = 1
	if err := removeEmptyLogs(dir); err != nil {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	store, err := badger4.NewDatastore(filepath.Join(dir, engineName), &opts)
	if err != nil {
		if strings.Contains(err.Error(), "Cannot acquire directory lock") { // badger has no error value for it
			return nil, &LockedError{dir}
		}
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	b, err := openStore(careful{store, dir}, cfg, func(old []query.Entry) error { return writeOldBackup(dir, old) })
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	b.closeStore = store.Close
	return b, nil
}

// removeEmptyLogs removes logs of no length. Badger makes a log as an empty file,
// and empties it before it removes it, but takes one that it finds for an error: a
// death in between would look like damage.
func removeEmptyLogs(dir string) error {
	for _, kind := range []string{"*.mem", "*.vlog"} {
		logs, _ := filepath.Glob(filepath.Join(dir, engineName, kind)) // none is no error
		for _, log := range logs {
			info, err := os.Stat(log)
			if err == nil && info.Size() == 0 {
				err = os.Remove(log)
			}
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// memTableSize is that of tables in memory: 2 MiB, but 4 for a book of before
// that was not closed, whose log would not fit. A log's file is twice as large
// as the table.
func memTableSize(dir string) int64 {
	const now, before = 2 << 20, 4 << 20
	logs, _ := filepath.Glob(filepath.Join(dir, engineName, "*.mem")) // none is no error
	for _, log := range logs {
		if info, err := os.Stat(log); err == nil && info.Size() > 2*now {
			return before
		}
	}
	return now
}
