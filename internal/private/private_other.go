//go:build !unix

package private

import (
	"io/fs"
	"os"
	"strconv"
)

// Where there are no Unix modes the folder's access list protects the file.

func openNoFollow(path string) (*os.File, error) { return os.Open(path) }

func check(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return notPlain(path)
	}
	return nil
}

// syncDir has no equal here.
func syncDir(string) error { return nil }

func quote(path string) string { return strconv.Quote(path) }
