//go:build unix

package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"syscall"
)

// openNoFollow opens path for reading; a symbolic link is refused and a FIFO does not block.
func openNoFollow(path string) (*os.File, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ELOOP) {
		return nil, &PermissionError{Path: path, Reason: "is a symbolic link"}
	}
	if errors.Is(err, fs.ErrPermission) {
		return nil, &PermissionError{Path: path, Reason: "cannot be read by this user"}
	}
	if err != nil {
		return nil, fmt.Errorf("node: identity file: %w", err)
	}
	return f, nil
}

func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &PermissionError{Path: path, Reason: "is not a plain file"}
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return &PermissionError{Path: path, Reason: fmt.Sprintf("belongs to user %d", stat.Uid), Cure: "chown $(id -u) " + shellQuote(path)}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &PermissionError{
			Path:   path,
			Reason: fmt.Sprintf("is open to others (mode %04o)", mode),
			Cure:   "chmod 600 " + shellQuote(path),
		}
	}
	return nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// shellQuote makes path one word of a shell's command line.
func shellQuote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
