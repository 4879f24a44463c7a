package private

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
)

// Create writes a file with a secret where nothing is yet: mode 0600 whatever the umask, whole and on disk before it takes
// the name. Else, and if somebody puts a file there meanwhile, the error is fs.ErrExist.
//
// The temporary name is always the same one, so that Clean and the next write find what a killed process left. Two processes
// must not write the same file at the same time.
func Create(path string, text []byte) error {
	return write(path, text, func(tmp string) error {
		if err := os.Link(tmp, path); err != nil { // unlike rename, it fails where a file is
			return err
		}
		return os.Remove(tmp)
	})
}

// Replace is Create that replaces what is there. A symbolic link at path is replaced, not followed.
func Replace(path string, text []byte) error {
	return write(path, text, func(tmp string) error { return os.Rename(tmp, path) })
}

// Clean removes what a process left that was killed while it wrote path: it may hold the secret.
func Clean(path string) error {
	if err := os.Remove(unfinished(path)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// unfinished is where a file is written before it gets its name.
func unfinished(path string) string {
	return filepath.Join(filepath.Dir(path), "."+filepath.Base(path)+".tmp")
}

func write(path string, text []byte, publish func(tmp string) error) (err error) {
	if err := Clean(path); err != nil {
		return err
	}
	tmp := unfinished(path)
	f, err := os.OpenFile(tmp, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			os.Remove(tmp)
		}
	}()
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(0o600), f.Sync(), f.Close()) // chmod: a umask may have taken bits away
	if err != nil {
		return err
	}
	if err := publish(tmp); err != nil {
		return err
	}
	return syncDir(filepath.Dir(path))
}
