//go:build linux || darwin

package node

import (
	"path/filepath"
	"syscall"
)

// freeBytes is the room on the disk of dir, or of the nearest folder above it that is there.
func freeBytes(dir string) (uint64, bool) {
	var s syscall.Statfs_t
	for syscall.Statfs(dir, &s) != nil {
		up := filepath.Dir(dir)
		if up == dir {
			return 0, false
		}
		dir = up
	}
	return s.Bavail * uint64(s.Bsize), true
}

// openFileLimit is how many files this process may have open, as the Go runtime has raised it.
func openFileLimit() (uint64, bool) {
	var l syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &l) != nil {
		return 0, false
	}
	return l.Cur, true
}
