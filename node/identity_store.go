package node

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/private"
)

// PermissionError says that a file with a secret (or what stands in its place) may be read or changed by others, or is no
// plain file of ours. Its text names the cure.
type PermissionError = private.Error

// CorruptIdentityError says that an identity file was read but holds no identity. The file is left as it is.
type CorruptIdentityError struct {
	Path string
	Err  error
}

func (e *CorruptIdentityError) Error() string { return fmt.Sprintf("%v (%s)", e.Err, e.Path) }

// Unwrap gives the reason.
func (e *CorruptIdentityError) Unwrap() error { return e.Err }

// LoadIdentity reads the identity file at path. It refuses a file that group or world can read, a file of another
// user, a symbolic link and anything that is no plain file (*PermissionError). A file without an identity in it gives
// *CorruptIdentityError, a missing one fs.ErrNotExist.
func LoadIdentity(path string) (*Identity, error) {
	f, err := OpenPrivate(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, MaxIdentityFile+1))
	if err != nil {
		return nil, fmt.Errorf("node: identity file: %w", err)
	}
	id, err := ParseIdentity(text)
	if err != nil {
		return nil, &CorruptIdentityError{Path: path, Err: err}
	}
	return id, nil
}

// OpenPrivate opens a file that holds a secret. It refuses a file that group or world can read, a file of another user, a
// symbolic link and anything that is no plain file (*PermissionError); a missing one is fs.ErrNotExist.
func OpenPrivate(path string) (*os.File, error) {
	f, err := private.Open(path)
	if err != nil {
		return nil, fmt.Errorf("node: identity file: %w", err)
	}
	return f, nil
}

// LoadOrCreateIdentity reads the identity at path, or makes one on first use. A file that holds no identity is set aside
// as "<name>.<unix time>[.n].bak", never overwritten, and setAside is its new name.
func LoadOrCreateIdentity(path string, now time.Time) (id *Identity, setAside string, err error) {
	// A process that was killed while it wrote may have left what it wrote, with a secret in it.
	if err := private.Clean(path); err != nil {
		return nil, "", fmt.Errorf("node: identity file: %w", err)
	}
	id, err = LoadIdentity(path)
	var corrupt *CorruptIdentityError
	switch {
	case err == nil:
		return id, "", nil
	case errors.As(err, &corrupt):
		if setAside, err = moveAside(path, now); err != nil {
			return nil, "", err
		}
	case !errors.Is(err, fs.ErrNotExist):
		return nil, "", err
	}
	if id, err = NewIdentity(); err != nil {
		return nil, setAside, err
	}
	return id, setAside, id.SaveNew(path, now)
}

// SaveNew writes the identity to path as Save does, but where nothing is yet: else the error is fs.ErrExist.
func (id *Identity) SaveNew(path string, now time.Time) error {
	return id.save(path, now, private.Create)
}

// Save writes the identity to path, replacing what is there: mode 0600, on disk before it takes the name. A symbolic
// link at path is replaced, not followed.
func (id *Identity) Save(path string, now time.Time) error {
	return id.save(path, now, private.Replace)
}

func (id *Identity) save(path string, now time.Time, write func(path string, text []byte) error) error {
	text, err := id.Encode(now)
	if err != nil {
		return err
	}
	if err := write(path, text); err != nil {
		return fmt.Errorf("node: identity file: %w", err)
	}
	return nil
}

// moveAside gives the file at path the first free name of its kind.
func moveAside(path string, now time.Time) (string, error) {
	bak, err := linkAside(path, now)
	if err == nil {
		err = os.Remove(path)
	}
	return bak, err
}

// linkAside gives the file at path another name, the first free one of its kind. Link fails on a name that is taken.
func linkAside(path string, now time.Time) (string, error) {
	for n := range 1000 {
		bak := fmt.Sprintf("%s.%d.bak", path, now.Unix())
		if n > 0 {
			bak = fmt.Sprintf("%s.%d.%d.bak", path, now.Unix(), n)
		}
		err := os.Link(path, bak)
		if errors.Is(err, fs.ErrExist) {
			continue
		}
		if err != nil {
			return "", fmt.Errorf("node: setting the identity file aside: %w", err)
		}
		return bak, nil
	}
	return "", fmt.Errorf("node: setting the identity file aside: no free name beside %s", path)
}
