package node

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// IdentityFile is where the identity of a data folder is.
func IdentityFile(dir string) string { return filepath.Join(dir, identityName) }

// ReadIdentity reads an identity file from r, at most MaxIdentityFile bytes of it.
func ReadIdentity(r io.Reader) (*Identity, error) {
	text, err := io.ReadAll(io.LimitReader(r, MaxIdentityFile+1))
	if err != nil {
		return nil, fmt.Errorf("node: identity: %w", err)
	}
	return ParseIdentity(text)
}

// ReadSecretKey reads a secret key, 64 hexadecimal characters and perhaps a newline, and makes an identity of it, with the
// features of a node and no addresses. The error does not quote it.
func ReadSecretKey(r io.Reader) (*Identity, error) {
	text, err := io.ReadAll(io.LimitReader(r, 1024))
	if err != nil {
		return nil, fmt.Errorf("node: secret key: %w", err)
	}
	key, err := tarikey.SecretKeyFromHex(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, errors.New("node: secret key: not the 64 hexadecimal characters of a secret key")
	}
	return &Identity{Key: key, Features: identityproto.FeatureNode}, nil
}

// ReplaceIdentity makes id the identity of a data folder, which no other process may have open (*peerbook.LockedError).
// Where there is one already it refuses, with fs.ErrExist, unless force says otherwise: then the old file is set aside as
// LoadOrCreateIdentity does it, never deleted, and setAside is its new name. At no moment is there none.
func ReplaceIdentity(dir string, id *Identity, force bool, now time.Time) (setAside string, err error) {
	book, err := openBook(dir, peerbook.Config{}) // holds the lock of the folder
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, book.Close()) }()
	path := IdentityFile(dir)
	_, err = os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", id.SaveNew(path, now)
	case err != nil:
		return "", fmt.Errorf("node: identity file: %w", err)
	case !force:
		return "", fail(FailUsage, fmt.Errorf("node: there is an identity in %s already: %w", path, fs.ErrExist))
	}
	if setAside, err = linkAside(path, now); err != nil {
		return "", err
	}
	return setAside, id.Save(path, now)
}

// Describe tells what may be told of an identity that is kept in file.
func (id *Identity) Describe(file string) IdentityInfo {
	key := id.Key.Public()
	return IdentityInfo{
		PublicKey: key.String(),
		NodeID:    key.NodeID().String(),
		PeerID:    key.PeerID().String(),
		Features:  id.Features.String(),
		Addresses: texts(id.Addresses),
		File:      file,
	}
}

// PublicIdentity is the identity file without its secret key: what the signature in it proves to anybody.
type PublicIdentity struct {
	NodeID    string          `json:"node_id"`
	PublicKey string          `json:"public_key"`
	Features  string          `json:"features"`
	Addresses []string        `json:"public_addresses"`
	Signature *signatureField `json:"identity_signature"`
}

// Public gives the identity without its secret key, signed at now if it is not signed yet.
func (id *Identity) Public(now time.Time) (PublicIdentity, error) {
	if err := id.sign(now); err != nil {
		return PublicIdentity{}, err
	}
	key := id.Key.Public()
	return PublicIdentity{
		NodeID:    key.NodeID().String(),
		PublicKey: key.String(),
		Features:  id.Features.String(),
		Addresses: texts(id.Addresses),
		Signature: newSignatureField(id.Signature),
	}, nil
}

func newSignatureField(s *identityproto.Signature) *signatureField {
	f := &signatureField{Version: s.Version, UpdatedAt: s.UpdatedAt.UTC().Format(time.RFC3339Nano)}
	f.Signature.PublicNonce = s.Nonce.String()
	f.Signature.Signature = hex.EncodeToString(s.S[:])
	return f
}
