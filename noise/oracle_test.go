package noise

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"testing"

	flynn "github.com/flynn/noise"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// oracle is the group for flynn/noise, which does the rest of the handshake as everybody else does. It carries which of our keys is meant
// where it expects secret bytes.
type oracle struct {
	static, ephemeral tarikey.SecretKey
	hash              bool
}

func (g *oracle) DHName() string { return "25519" }
func (g *oracle) DHLen() int     { return tarikey.KeySize }

func (g *oracle) GenerateKeypair(random io.Reader) (k flynn.DHKey, err error) {
	g.ephemeral, err = tarikey.GenerateKey(random)
	return flynn.DHKey{Private: []byte{'e'}, Public: g.ephemeral.Public().Bytes()}, err
}

func (g *oracle) DH(which, public []byte) ([]byte, error) {
	remote, err := tarikey.ParsePublicKey(public)
	if err != nil {
		return nil, err
	}
	sk := g.static
	if which[0] == 'e' {
		sk = g.ephemeral
	}
	shared, err := sk.DH(remote)
	if g.hash {
		return tarikey.NewDomainHash(32, "com.tari.comms.core", 0, "noise.dh").Chain(shared[:]).Sum(), err
	}
	return shared[:], err
}

// shakeOracle does one side of a handshake with flynn/noise, and returns its hash and the keys of what it sends and gets.
func shakeOracle(c net.Conn, cfg Config, initiator bool) (hash []byte, tx, rx [32]byte, err error) {
	patterns := map[Pattern]flynn.HandshakePattern{XX: flynn.HandshakeXX, IX: flynn.HandshakeIX}
	group := &oracle{static: cfg.Static, hash: cfg.HashDH}
	state, err := flynn.NewHandshakeState(flynn.Config{
		CipherSuite:   flynn.NewCipherSuite(group, flynn.CipherChaChaPoly, flynn.HashBLAKE2b),
		Pattern:       patterns[cfg.Pattern],
		Initiator:     initiator,
		Prologue:      cfg.Prologue,
		StaticKeypair: flynn.DHKey{Private: []byte{'s'}, Public: cfg.Static.Public().Bytes()},
	})
	var first, second *flynn.CipherState
	for ours := initiator; first == nil && err == nil; ours = !ours {
		if ours {
			var out []byte
			if out, first, second, err = state.WriteMessage(nil, nil); err == nil {
				_, err = c.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(out))), out...))
			}
			continue
		}
		var size [HeaderSize]byte
		if _, err = io.ReadFull(c, size[:]); err != nil {
			break
		}
		body := make([]byte, binary.BigEndian.Uint16(size[:]))
		if _, err = io.ReadFull(c, body); err == nil {
			_, first, second, err = state.ReadMessage(nil, body)
		}
	}
	if err != nil {
		return nil, tx, rx, err
	}
	tx, rx = first.UnsafeKey(), second.UnsafeKey()
	if !initiator {
		tx, rx = rx, tx
	}
	return state.ChannelBinding(), tx, rx, nil
}

// TestOracle has handshakes with flynn/noise at the other end: both patterns, both sides, with and without hashed secrets, and prologues of
// every length around those of the hash's blocks.
func TestOracle(t *testing.T) {
	for name, params := range dialects {
		for _, initiator := range []bool{true, false} {
			for _, hash := range []bool{true, false} {
				for _, size := range []int{0, 1, 63, 64, 65, 127, 128, 129, 1000} {
					params.Prologue, params.HashDH = bytes.Repeat([]byte{7}, size), hash
					what := fmt.Sprintf("%s, initiator %v, hash %v, prologue of %d", name, initiator, hash, size)
					if err := againstOracle(t, params, initiator); err != nil {
						t.Errorf("%s: %v", what, err)
					}
				}
			}
		}
	}
}

func againstOracle(t *testing.T, params Params, initiator bool) error {
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	var hash []byte
	var tx, rx [32]byte
	theirs := Config{Params: params, Static: newKey(t)}
	done := make(chan error, 1)
	go func() {
		var err error
		hash, tx, rx, err = shakeOracle(b, theirs, !initiator)
		done <- err
	}()
	side := Server
	if initiator {
		side = Client
	}
	c, err := side(t.Context(), a, Config{Params: params, Static: newKey(t)})
	if err != nil {
		return err
	}
	if err := <-done; err != nil {
		return err
	}
	var there, back key
	there.set(rx)
	back.set(tx)
	switch {
	case !bytes.Equal(c.Binding(), hash):
		return errors.New("another hash")
	case c.RemoteKey() != theirs.Static.Public():
		return errors.New("another key of the peer's")
	case !sameKey(c.tx.key, there) || !sameKey(c.rx.key, back):
		return errors.New("other keys for the frames")
	}
	return nil
}

// sameKey reports whether two keys seal alike.
func sameKey(a, b key) bool {
	return bytes.Equal(a.aead.Seal(nil, a.nonce[:], nil, nil), b.aead.Seal(nil, b.nonce[:], nil, nil))
}
