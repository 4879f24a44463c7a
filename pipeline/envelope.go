package pipeline

import (
	"context"
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// MaxParts is how many parts an envelope may have. tari_comms leaves it to the
// caller how many items it decodes; this is more than any message of Tari's has.
const MaxParts = 16_384

// ErrEnvelope is the error of bytes that are no envelope.
var ErrEnvelope = errors.New("pipeline: not an envelope")

// AppendEnvelope appends tari_comms' EnvelopeBody, the protobuf message
//
//	message EnvelopeBody { repeated bytes parts = 1; }
//
// to dst. Messages of Tari's own services have two parts: a header with the
// message's type, and the message.
func AppendEnvelope(dst []byte, parts ...[]byte) []byte {
	for _, p := range parts {
		dst = prost.AppendBytes(dst, 1, p)
	}
	return dst
}

// ParseEnvelope returns the parts of an EnvelopeBody; they lie in b. Other fields
// are skipped, as the Rust crates do. The error wraps ErrEnvelope.
func ParseEnvelope(b []byte) ([][]byte, error) {
	var parts [][]byte
	err := prost.Each(b, 0, func(f prost.Field) error {
		if f.Num != protowire.Number(1) {
			return nil
		}
		part, err := f.Data()
		switch {
		case err != nil:
			return err
		case len(parts) == MaxParts:
			return fmt.Errorf("more than %d parts", MaxParts)
		}
		parts = append(parts, part)
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrEnvelope, err)
	}
	return parts, nil
}

// Pack is middleware for the way out: it makes an envelope of a message's Parts,
// or of its Body as the only part.
func Pack(next Handler) Handler {
	return func(ctx context.Context, m Message) error {
		if m.Parts == nil {
			m.Parts = [][]byte{m.Body}
		}
		m.Body = AppendEnvelope(nil, m.Parts...)
		return next(ctx, m)
	}
}

// Unpack is middleware for the way in: it sets a message's Parts, and leaves Body
// as it came. What is no envelope fails with ErrEnvelope.
func Unpack(next Handler) Handler {
	return func(ctx context.Context, m Message) error {
		parts, err := ParseEnvelope(m.Body)
		if err != nil {
			return err
		}
		m.Parts = parts
		return next(ctx, m)
	}
}
