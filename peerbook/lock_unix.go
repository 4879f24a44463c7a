//go:build darwin || freebsd || linux || netbsd || openbsd

package peerbook

import (
	"errors"
	"fmt"
	"os"
	"syscall"
)

// lockDir takes the folder for this process. Badger has a lock of its own, but
// its files are looked at before it is opened.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if err == nil {
		return func() { f.Close() }, nil
	}
	f.Close()
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, &LockedError{dir}
	}
	return nil, fmt.Errorf("peerbook: lock: %w", err)
}

// syncDir makes the names in a folder durable, as fsync of a file does not.
func syncDir(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}
