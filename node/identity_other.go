//go:build !unix

package node

import (
	"fmt"
	"io/fs"
	"os"
)

// Where there are no Unix modes the folder's access list protects the file.

func openNoFollow(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("node: identity file: %w", err)
	}
	return f, nil
}

func checkPrivate(path string, info fs.FileInfo) error {
	if !info.Mode().IsRegular() {
		return &PermissionError{Path: path, Reason: "is not a plain file"}
	}
	return nil
}

func syncDir(string) error { return nil }
