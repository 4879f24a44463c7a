package torctl

import (
	"bytes"
	"crypto/sha3"
	"encoding/base32"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/cretz/bine/torutil/ed25519"
	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/internal/private"
)

// Key is the secret of an onion service, version 3. It never prints.
type Key struct{ pair ed25519.KeyPair }

// NewKey makes a key.
func NewKey() (Key, error) {
	pair, err := ed25519.GenerateKey(nil)
	if err != nil {
		return Key{}, fmt.Errorf("torctl: %w", err)
	}
	return Key{pair}, nil
}

// String hides the key.
func (Key) String() string { return "onion key (hidden)" }

// GoString hides the key.
func (k Key) GoString() string { return k.String() }

func (k Key) blob() string { return base64.StdEncoding.EncodeToString(k.pair.PrivateKey()) }

// rawAddress is what an onion name spells: key, checksum, version (rend-spec-v3).
func (k Key) rawAddress() []byte {
	pub := k.pair.PublicKey()
	sum := sha3.Sum256(bytes.Join([][]byte{[]byte(".onion checksum"), pub, {3}}, nil))
	return append(append(bytes.Clone(pub), sum[:2]...), 3)
}

// ServiceID is the onion name without ".onion": 56 characters.
func (k Key) ServiceID() string {
	return strings.ToLower(base32.StdEncoding.EncodeToString(k.rawAddress()))
}

// Multiaddr is the address under which peers find the service.
func (k Key) Multiaddr(port uint16) ma.Multiaddr {
	return ma.StringCast(fmt.Sprintf("/onion3/%s:%d", k.ServiceID(), port))
}

// keyFile is the file's form, the Rust node's: JSON behind a comment line.
type keyFile struct {
	PrivateKey struct {
		Ed25519V3 string `json:"Ed25519V3"`
	} `json:"private_key"`
	ServiceID string `json:"service_id"`
	OnionPort uint16 `json:"onion_port"`
}

const keyComment = "// The key of this node's onion address. Whoever has it can take the address over.\n"

// maxKeyFile is the largest key file that is read, in bytes (our choice; a real one has about 300).
const maxKeyFile = 64 << 10

// LoadKey reads the key of an onion service as the Rust node keeps it. A file
// that others than its owner can read, a file of another user, a symbolic link
// and anything that is no plain file are refused; the error says what cures it.
// A missing file gives fs.ErrNotExist.
func LoadKey(path string) (Key, error) {
	f, err := private.Open(path)
	if err != nil {
		return Key{}, fmt.Errorf("torctl: onion key: %w", err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxKeyFile+1))
	if err != nil {
		return Key{}, fmt.Errorf("torctl: onion key: %w", err)
	}
	if len(raw) > maxKeyFile {
		return Key{}, fmt.Errorf("torctl: %s is no onion key file", path)
	}
	return parseKey(raw, path)
}

func parseKey(raw []byte, name string) (Key, error) {
	var f keyFile
	if err := json.Unmarshal(withoutComments(raw), &f); err != nil {
		return Key{}, fmt.Errorf("torctl: %s is no onion key file", name)
	}
	secret, err := base64.StdEncoding.DecodeString(f.PrivateKey.Ed25519V3)
	if err != nil || len(secret) != ed25519.PrivateKeySize {
		return Key{}, fmt.Errorf("torctl: %s has no usable Ed25519V3 key", name)
	}
	k := Key{ed25519.PrivateKey(secret).KeyPair()}
	if f.ServiceID != "" && f.ServiceID != k.ServiceID() {
		return Key{}, fmt.Errorf("torctl: in %s the service id is not the key's", name)
	}
	return k, nil
}

// withoutComments drops the lines that begin with //.
func withoutComments(raw []byte) []byte {
	var out []byte
	for line := range bytes.Lines(raw) {
		if !bytes.HasPrefix(bytes.TrimSpace(line), []byte("//")) {
			out = append(out, line...)
		}
	}
	return out
}

// SaveKey writes the key, 0600, whole or not at all. It never replaces a file.
func SaveKey(path string, k Key, port uint16) error {
	var f keyFile
	f.PrivateKey.Ed25519V3, f.ServiceID, f.OnionPort = k.blob(), k.ServiceID(), port
	raw, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		return fmt.Errorf("torctl: %w", err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("torctl: %w", err)
	}
	if err := private.Create(path, append([]byte(keyComment), append(raw, '\n')...)); err != nil {
		return fmt.Errorf("torctl: onion key: %w", err)
	}
	return nil
}

// LoadOrMakeKey reads the key file, or makes and saves a key where there is none.
func LoadOrMakeKey(path string, port uint16) (Key, error) {
	// A process that was killed while it wrote may have left the key beside the file.
	if err := private.Clean(path); err != nil {
		return Key{}, fmt.Errorf("torctl: onion key: %w", err)
	}
	k, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	if k, err = NewKey(); err != nil {
		return Key{}, err
	}
	return k, SaveKey(path, k, port)
}
