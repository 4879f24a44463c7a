// Package claimtest makes identity claims for tests: signed ones, and ones that
// break one rule or sit just inside it. The same seed gives the same bytes, so
// that answers of the Rust node can be kept beside them.
//
// It writes and signs messages on its own, without identityproto, so that
// the two can be held against each other.
package claimtest

import (
	"encoding/binary"
	"math/rand/v2"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"
	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Claim is a message as it would come from a peer.
type Claim struct {
	Key     [32]byte // the peer's public key
	Message []byte   // PeerIdentityMsg of the modern dialect
	Twist   string   // what was done to it; "" for nothing
}

// Generator makes claims. It is not for concurrent use.
type Generator struct{ r *rand.Rand }

// New starts a generator at a seed.
func New(seed uint64) *Generator { return &Generator{rand.New(rand.NewPCG(seed, 0x7461_7269))} }

// message is a claim before it is encoded.
type message struct {
	addresses [][]byte
	features  uint32
	protocols [][]byte
	userAgent []byte
	version   uint32
	date      int64
	s, nonce  []byte
	unsigned  bool
	extra     []byte // appended to the encoded message
	inner     []byte // appended to the encoded signature
}

// Next makes a claim; about half of them are as they should be.
func (g *Generator) Next() Claim {
	secret := g.scalar()
	m := &message{
		features: []uint32{3, 3, 0, 1, 2}[g.r.IntN(5)], userAgent: []byte("tari/basenode/6.3.0"),
		date: 1_600_000_000 + g.r.Int64N(100_000_000),
	}
	for range g.r.IntN(6) {
		m.addresses = append(m.addresses, g.Address())
	}
	for range g.r.IntN(7) {
		m.protocols = append(m.protocols, g.text(1+g.r.IntN(20), ""))
	}
	if g.r.IntN(3) == 0 {
		m.userAgent = g.text(g.r.IntN(51), ",")
	}
	var twist twist
	if g.r.IntN(2) == 0 {
		twist = twists[g.r.IntN(len(twists))]
	}
	if twist.before != nil {
		twist.before(g, m)
	}
	m.sign(secret, g.scalar())
	if twist.after != nil {
		twist.after(g, m)
	}
	c := Claim{Message: m.encode(), Twist: twist.name}
	copy(c.Key[:], point(secret))
	return c
}

func (g *Generator) scalar() *scalar.Scalar {
	var wide [64]byte
	for i := range wide {
		wide[i] = byte(g.r.Uint32())
	}
	s, err := scalar.New().SetBytesModOrderWide(wide[:])
	if err != nil {
		panic(err) // the length is right
	}
	return s
}

func point(s *scalar.Scalar) []byte {
	var c curve.CompressedRistretto
	c.SetRistrettoPoint(curve.NewRistrettoPoint().MulBasepoint(curve.RISTRETTO_BASEPOINT_TABLE, s))
	return c[:]
}

func bytesOf(s *scalar.Scalar) []byte {
	out := make([]byte, 32)
	if err := s.ToBytes(out); err != nil {
		panic(err) // the length is right
	}
	return out
}

// text makes printable ASCII, without the comma unless it is among also.
func (g *Generator) text(n int, also string) []byte {
	letters := "abcdefghijklmnopqrstuvwxyz/.-0123456789 ~" + also
	out := make([]byte, n)
	for i := range out {
		out[i] = letters[g.r.IntN(len(letters))]
	}
	return out
}

// sign is the signature as tari_comms makes it: s = r + e·x, with
// e = H(P, R, version, date, features, addresses).
func (m *message) sign(secret, nonce *scalar.Scalar) {
	m.nonce = point(nonce)
	h := tarikey.NewDomainHash(64, "com.tari.comms.core.peer_manager", 1, "identity_signature").
		Chain(point(secret)).Chain(m.nonce).Chain([]byte{byte(m.version)}).
		Chain(binary.LittleEndian.AppendUint64(nil, uint64(m.date))).
		Chain(binary.LittleEndian.AppendUint32(nil, m.features))
	for _, a := range m.addresses {
		h.Chain(a)
	}
	e, err := scalar.New().SetBytesModOrderWide(h.Sum())
	if err != nil {
		panic(err) // the length is right
	}
	s := scalar.New().Mul(e, secret)
	m.s = bytesOf(s.Add(s, nonce))
}

func (m *message) encode() []byte {
	var b []byte
	for _, a := range m.addresses {
		b = appendBytes(b, 1, a)
	}
	b = appendVarint(b, 2, uint64(m.features))
	for _, p := range m.protocols {
		b = appendBytes(b, 3, p)
	}
	if len(m.userAgent) > 0 {
		b = appendBytes(b, 4, m.userAgent)
	}
	if !m.unsigned {
		s := appendVarint(nil, 1, uint64(m.version))
		s = appendBytes(s, 2, m.s)
		s = appendBytes(s, 3, m.nonce)
		s = appendVarint(s, 4, uint64(m.date))
		b = appendBytes(b, 5, append(s, m.inner...))
	}
	return append(b, m.extra...)
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}
