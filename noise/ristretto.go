package noise

import (
	"bytes"
	"io"

	flynn "github.com/flynn/noise"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Which of our two keys flynn/noise means. It carries these where it expects secret bytes: it never looks inside,
// and so secrets stay in tarikey.
const (
	useStatic    = 's'
	useEphemeral = 'e'
)

// ristretto is the group of one handshake, and holds our secrets in it. It calls itself 25519 because tari_comms does.
type ristretto struct {
	static    tarikey.SecretKey
	ephemeral tarikey.SecretKey
	hash      bool
	remote    []tarikey.Point // the peer's keys so far: each is decoded once
}

func (g *ristretto) DHName() string { return "25519" }
func (g *ristretto) DHLen() int     { return 32 }

// staticKey is our long-term key as flynn/noise wants to be given it.
func (g *ristretto) staticKey() flynn.DHKey {
	return flynn.DHKey{Private: []byte{useStatic}, Public: g.static.Public().Bytes()}
}

// GenerateKeypair makes the ephemeral key. A handshake asks for one exactly once.
func (g *ristretto) GenerateKeypair(rand io.Reader) (flynn.DHKey, error) {
	sk, err := tarikey.GenerateKey(rand)
	if err != nil {
		return flynn.DHKey{}, err
	}
	g.ephemeral = sk
	return flynn.DHKey{Private: []byte{useEphemeral}, Public: sk.Public().Bytes()}, nil
}

// DH refuses the identity point and encodings that are not canonical, in both dialects: the older tari_comms let the
// identity pass, but no honest key is it, and a shared secret with it is known to everyone.
func (g *ristretto) DH(which, public []byte) ([]byte, error) {
	remote, err := g.point(public)
	if err != nil {
		return nil, err
	}
	sk := g.static
	if which[0] == useEphemeral {
		sk = g.ephemeral
	}
	shared, err := sk.DHPoint(remote)
	if err != nil {
		return nil, err
	}
	if !g.hash {
		return shared[:], nil
	}
	return tarikey.NewDomainHash(32, "com.tari.comms.core", 0, "noise.dh").Chain(shared[:]).Sum(), nil
}

// point decodes a key of the peer, or returns it if that is done already.
func (g *ristretto) point(public []byte) (tarikey.Point, error) {
	for _, p := range g.remote {
		if bytes.Equal(p.PublicKey().Bytes(), public) {
			return p, nil
		}
	}
	p, err := tarikey.ParsePoint(public)
	if err == nil {
		g.remote = append(g.remote, p)
	}
	return p, err
}
