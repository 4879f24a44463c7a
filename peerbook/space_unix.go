//go:build darwin || freebsd || linux

package peerbook

import "golang.org/x/sys/unix"

// freeSpace is what the disk of a folder has free for this user, in bytes.
func freeSpace(dir string) (int64, error) {
	var s unix.Statfs_t
	if err := unix.Statfs(dir, &s); err != nil {
		return 0, err
	}
	return int64(s.Bavail) * int64(s.Bsize), nil //nolint:unconvert // the types differ between systems
}
