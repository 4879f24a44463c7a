package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// Files that the command line names.

// notRead is why a file could not be read.
func notRead(name string, err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return &node.Failure{Kind: node.FailNotFound, Text: "there is no file " + quote(name)}
	}
	return err
}

// notWritten is why a new file could not be written.
func notWritten(name string, err error) error {
	var cause *fs.PathError
	switch {
	case errors.Is(err, fs.ErrExist):
		return usagef("%s is there already and is not overwritten", quote(name))
	case errors.Is(err, fs.ErrNotExist):
		return &node.Failure{Kind: node.FailNotFound, Text: "there is no folder " + quote(filepath.Dir(name))}
	case errors.As(err, &cause):
		return fmt.Errorf("%s: %w", quote(name), cause.Err) // the path may be that of a file in between
	}
	return err
}

// newFile writes a file that is there whole, or not at all.
func newFile(name string, write func(io.Writer) error) (err error) {
	if _, err := os.Lstat(name); err == nil {
		return notWritten(name, fs.ErrExist)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".export-*")
	if err != nil {
		return notWritten(name, err)
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if err := errors.Join(write(f), f.Sync(), f.Close()); err != nil {
		return fmt.Errorf("export: %w", err)
	}
	if err := os.Link(f.Name(), name); err != nil { // unlike Rename it never replaces
		return notWritten(name, err)
	}
	return nil
}
