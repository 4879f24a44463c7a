//go:build darwin || freebsd || linux || netbsd || openbsd

package peerbook

import (
	"errors"
	"fmt"
	"os"

	"github.com/tari-libp2p/tari-libp2p/internal/filelock"
)

// lockDir takes the folder for this process. Badger has a lock of its own, but
// its files are looked at before it is opened.
func lockDir(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, fmt.Errorf("peerbook: open: %w", err)
	}
	taken, err := filelock.Take(f)
	if taken {
		return func() { f.Close() }, nil
	}
	f.Close()
	if err == nil {
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
