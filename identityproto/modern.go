package identityproto

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// Constants of the modern exchange (tari_comms 6.3).
const (
	MajorVersion    = 0                // the version we send; greater ones are refused
	MaxMessage      = 1024             // bytes of a message
	ExchangeTimeout = 10 * time.Second // for the peer's claim
)

// modernMessage is PeerIdentityMsg as it came, unchecked.
//
//	1 repeated bytes  addresses            binary multiaddrs
//	2 uint32          features
//	3 repeated bytes  supported_protocols
//	4 string          user_agent
//	5 message         identity_signature
type modernMessage struct {
	addresses [][]byte
	features  uint32
	protocols [][]byte
	userAgent string
	signature *modernSignature
}

// modernSignature is IdentitySignature as it came.
//
//	1 uint32 version
//	2 bytes  signature       s
//	3 bytes  public_nonce    R
//	4 int64  updated_at      Unix seconds
type modernSignature struct {
	version   uint32
	s, nonce  []byte
	updatedAt int64
}

// Exchange sends our claim and reads the peer's, over a Noise connection whose
// other end has proved to own remote. In wire order:
//
//	-> version (1) | length (2, little-endian) | PeerIdentityMsg     both sides at once
//	<- version (1) | length (2, little-endian) | PeerIdentityMsg
//
// It reads not a byte more. The caller closes c after an error, which is an *Error.
func Exchange(ctx context.Context, c net.Conn, ours *Claim, remote tarikey.PublicKey, rules Rules) (*Claim, error) {
	return ExchangeWith(ctx, c, ours, nil, remote, rules)
}

// ExchangeWith is Exchange with something to say that does not depend on the peer's claim: next follows our frame in the same write.
func ExchangeWith(ctx context.Context, c net.Conn, ours *Claim, next []byte, remote tarikey.PublicKey, rules Rules) (*Claim, error) {
	frame, err := EncodeFrame(ours)
	if err != nil {
		return nil, err
	}
	stop := within(ctx, c, ExchangeTimeout)
	if _, err := c.Write(append(frame, next...)); err != nil {
		stop()
		return nil, ioError(ctx, err, rules)
	}
	message, err := readFrame(c)
	if err == nil && !stop() {
		err = ctx.Err()
	}
	if err != nil {
		stop()
		return nil, ioError(ctx, err, rules)
	}
	_ = c.SetDeadline(time.Time{})
	m, err := decodeModern(message)
	if err != nil {
		return nil, err
	}
	return m.validate(remote, rules, time.Now())
}

// deadliner is what an exchange needs besides reading and writing.
type deadliner interface{ SetDeadline(time.Time) error }

// within lets reads and writes go on for d, or until ctx ends. stop reports
// whether ctx had not ended before.
func within(ctx context.Context, c deadliner, d time.Duration) (stop func() bool) {
	_ = c.SetDeadline(time.Now().Add(d))
	return context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
}

// readFrame reads one frame, exactly. A length is checked before it is believed.
func readFrame(r io.Reader) ([]byte, error) {
	var head [3]byte // version, length
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	if head[0] > MajorVersion {
		return nil, fail(KindVersion, "protocol version %d, ours is %d", head[0], MajorVersion)
	}
	size := binary.LittleEndian.Uint16(head[1:])
	if size > MaxMessage {
		return nil, fail(KindTooLarge, "a claim of %d bytes, at most %d are allowed", size, MaxMessage)
	}
	message := make([]byte, size)
	_, err := io.ReadFull(r, message)
	return message, err
}

// ioError says what became of the exchange when the connection failed under it.
func ioError(ctx context.Context, err error, rules Rules) error {
	var ours *Error
	switch {
	case errors.As(err, &ours):
		return ours
	case errors.Is(ctx.Err(), context.Canceled):
		return &Error{Kind: KindIO, Detail: "given up", Err: ctx.Err()}
	case ctx.Err() != nil:
		return &Error{Kind: KindTimeout, Detail: "the time for the whole handshake is over", Err: ctx.Err()}
	case errors.Is(err, os.ErrDeadlineExceeded):
		e := fail(KindTimeout, "no claim within %s", ExchangeTimeout)
		if e.Err = err; rules.Outbound {
			e.ban = 0
		}
		return e
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		e := fail(KindClosed, "the peer closed the connection before its claim was complete: refused or banned")
		e.Err = err
		return e
	}
	var size *tariproto.FrameSizeError
	if errors.As(err, &size) {
		return wrap(KindTooLarge, err)
	}
	return wrap(KindIO, err)
}

// EncodeFrame is the frame that carries the claim. A claim that no peer would
// take is refused here, with what is wrong with it (KindOurs).
func EncodeFrame(c *Claim) ([]byte, error) {
	if c == nil || c.Signature == nil {
		return nil, fail(KindOurs, "our claim is not signed")
	}
	m := EncodeMessage(c)
	if len(m) > MaxMessage {
		addresses, protocols := 0, 0
		for _, a := range c.Addresses {
			addresses += len(a.Bytes())
		}
		for _, p := range c.Protocols {
			protocols += len(p)
		}
		return nil, fail(KindOurs, "our claim has %d bytes, peers take %d: %d addresses have %d, %d protocol ids %d, the user agent %d",
			len(m), MaxMessage, len(c.Addresses), addresses, len(c.Protocols), protocols, len(c.UserAgent))
	}
	frame := append(make([]byte, 0, 3+len(m)), MajorVersion, 0, 0)
	binary.LittleEndian.PutUint16(frame[1:], uint16(len(m)))
	return append(frame, m...), nil
}

// EncodeMessage is the claim as the protobuf message PeerIdentityMsg, without a frame.
func EncodeMessage(c *Claim) []byte {
	var b []byte
	for _, a := range c.Addresses {
		b = prost.AppendBytes(b, 1, a.Bytes())
	}
	b = prost.AppendVarint(b, 2, uint64(c.Features))
	for _, p := range c.Protocols {
		b = prost.AppendBytes(b, 3, []byte(p))
	}
	if c.UserAgent != "" {
		b = prost.AppendBytes(b, 4, []byte(c.UserAgent))
	}
	if c.Signature != nil {
		b = prost.AppendBytes(b, 5, c.Signature.encode())
	}
	return b
}

func (s *Signature) encode() []byte {
	b := prost.AppendVarint(nil, 1, uint64(s.Version))
	b = prost.AppendBytes(b, 2, s.S[:])
	b = prost.AppendBytes(b, 3, s.Nonce.Bytes())
	return prost.AppendVarint(b, 4, uint64(s.UpdatedAt.Unix()))
}

// DecodeMessage reads and validates what EncodeMessage makes, as the claim of
// key. now is what the signature's date is held against.
func DecodeMessage(message []byte, key tarikey.PublicKey, rules Rules, now time.Time) (*Claim, error) {
	if len(message) > MaxMessage {
		return nil, fail(KindTooLarge, "a claim of %d bytes, at most %d are allowed", len(message), MaxMessage)
	}
	m, err := decodeModern(message)
	if err != nil {
		return nil, err
	}
	return m.validate(key, rules, now)
}

func decodeModern(message []byte) (*modernMessage, error) {
	var m modernMessage
	err := prost.Each(message, 0, func(f prost.Field) (err error) {
		var b []byte
		var n uint64
		switch f.Num {
		case 1:
			b, err = f.Data()
			m.addresses = append(m.addresses, b)
		case 2:
			n, err = f.Number()
			m.features = uint32(n)
		case 3:
			b, err = f.Data()
			m.protocols = append(m.protocols, b)
		case 4:
			m.userAgent, err = f.Text()
		case 5:
			if b, err = f.Data(); err == nil {
				if m.signature == nil {
					m.signature = new(modernSignature)
				}
				err = m.signature.decode(b)
			}
		}
		return err
	})
	if err != nil {
		return nil, &Error{Kind: KindDecode, Detail: fmt.Sprintf("the claim is no protobuf: %v", err), Err: err, ban: bans[KindDecode]}
	}
	return &m, nil
}

func (s *modernSignature) decode(b []byte) error {
	return prost.Each(b, 1, func(f prost.Field) (err error) {
		var n uint64
		switch f.Num {
		case 1:
			n, err = f.Number()
			s.version = uint32(n)
		case 2:
			s.s, err = f.Data()
		case 3:
			s.nonce, err = f.Data()
		case 4:
			n, err = f.Number()
			s.updatedAt = int64(n)
		}
		return err
	})
}

// texts are addresses as text.
func texts(addrs []ma.Multiaddr) []string {
	out := make([]string, len(addrs))
	for i, a := range addrs {
		out[i] = a.String()
	}
	return out
}
