package peerbook

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	ds "github.com/ipfs/go-datastore"
	badger4 "github.com/ipfs/go-ds-badger4"
)

// FullError says that the disk has too little room for the book; it is a
// syscall.ENOSPC too. A change that could not be written holds in memory, and
// is on disk with the first change after there is room again.
type FullError struct {
	Dir        string
	Free, Need int64 // bytes
}

func (e *FullError) Error() string {
	const mib = 1 << 20
	return fmt.Sprintf("peerbook: the disk of %s is full: %d MiB are free, %d are needed", e.Dir, e.Free/mib, (e.Need+mib-1)/mib)
}

// Unwrap gives syscall.ENOSPC.
func (e *FullError) Unwrap() error { return syscall.ENOSPC }

// ReadOnlyError says that the book's folder cannot be written to: its rights
// or its disk do not let us.
type ReadOnlyError struct {
	Dir string
	Err error
}

func (e *ReadOnlyError) Error() string {
	return fmt.Sprintf("peerbook: %s cannot be written to: choose another folder, or change its rights: %v", e.Dir, e.Err)
}

// Unwrap gives what the system says.
func (e *ReadOnlyError) Unwrap() error { return e.Err }

// Badger writes through memory maps, in which a full disk is no error but the
// end of the process (SIGBUS). So the book looks before it lets badger write,
// and wants room for whatever badger does until it looks again: its log and the
// tables in memory, and a compaction, which writes each table anew before it
// deletes the old one. If others fill the disk meanwhile the process ends as by
// kill -9, and what was acknowledged is there at the next start.
const workSpace = 32 << 20

// checkSpace returns a *FullError if badger, which has so many bytes in tables,
// is not to write now.
func checkSpace(dir string, tables int64) error {
	free, err := freeSpace(dir)
	if err != nil {
		return fmt.Errorf("peerbook: free space: %w", err)
	}
	if need := workSpace + tables; free < need {
		return &FullError{dir, free, need}
	}
	return nil
}

// tablesOf is the size of the tables of a book that is not open.
func tablesOf(dir string) (sum int64) {
	tables, _ := filepath.Glob(filepath.Join(dir, engineName, "*.sst")) // none is no error
	for _, table := range tables {
		if info, err := os.Stat(table); err == nil {
			sum += info.Size()
		}
	}
	return sum
}

// checkWritable returns a *ReadOnlyError if no file can be made in a folder of
// the book.
func checkWritable(dir string) error {
	for _, in := range []string{dir, filepath.Join(dir, engineName)} {
		name := filepath.Join(in, "writable")
		f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE, 0o600)
		if err == nil {
			err = errors.Join(f.Close(), os.Remove(name))
		} else if in != dir && errors.Is(err, os.ErrNotExist) {
			return nil // a new book
		}
		if err != nil {
			return openError(dir, err)
		}
	}
	return nil
}

// openError is what Open says to an error of the system.
func openError(dir string, err error) error {
	if errors.Is(err, os.ErrPermission) || errors.Is(err, syscall.EROFS) {
		return &ReadOnlyError{dir, err}
	}
	return fmt.Errorf("peerbook: open: %w", err)
}

// careful is badger with a look at the disk before each write.
type careful struct {
	*badger4.Datastore
	dir string
}

var _ ds.Batching = careful{}

func (c careful) look() error {
	tables := int64(0)
	for _, level := range c.DB.Levels() {
		tables += level.Size
	}
	return checkSpace(c.dir, tables)
}

// Batch is for writing more than one record.
func (c careful) Batch(ctx context.Context) (ds.Batch, error) {
	if err := c.look(); err != nil {
		return nil, err
	}
	return c.Datastore.Batch(ctx)
}

// Put writes one record.
func (c careful) Put(ctx context.Context, key ds.Key, value []byte) error {
	if err := c.look(); err != nil {
		return err
	}
	return c.Datastore.Put(ctx, key, value)
}

// Delete writes too.
func (c careful) Delete(ctx context.Context, key ds.Key) error {
	if err := c.look(); err != nil {
		return err
	}
	return c.Datastore.Delete(ctx, key)
}
