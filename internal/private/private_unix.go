//go:build unix

package private

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
	switch {
	case errors.Is(err, syscall.ELOOP):
		word := quote(path)
		return nil, &Error{Path: path, Reason: "is a symbolic link", Cure: fmt.Sprintf(`mv -f "$(readlink -f %s)" %s`, word, word)}
	case errors.Is(err, syscall.ENXIO): // a socket
		return nil, notPlain(path)
	case errors.Is(err, fs.ErrPermission):
		return nil, &Error{Path: path, Reason: "cannot be read by this user", Cure: "sudo chown $(id -u) " + quote(path)}
	}
	return f, err
}

func check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return notPlain(path)
	}
	if stat, ok := info.Sys().(*syscall.Stat_t); ok && int(stat.Uid) != os.Geteuid() {
		return &Error{Path: path, Reason: fmt.Sprintf("belongs to user %d", stat.Uid), Cure: "sudo chown $(id -u) " + quote(path)}
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return &Error{Path: path, Reason: fmt.Sprintf("is open to others (mode %04o)", mode), Cure: "chmod 600 " + quote(path)}
	}
	return nil
}

// syncDir puts the names in a folder on disk.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// quote makes path one word of a shell's command line.
func quote(path string) string {
	plain := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || strings.ContainsRune("/._-+", r)
	}
	if strings.IndexFunc(path, func(r rune) bool { return !plain(r) }) < 0 {
		return path
	}
	return "'" + strings.ReplaceAll(path, "'", `'\''`) + "'"
}
