package tariproto

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// A negotiation frame, the same in every generation of tari_comms:
//
//	length (1) ‖ flags (1) ‖ protocol id (length bytes)
const (
	flagOptimistic   byte = 0x01
	flagTerminate    byte = 0x02
	flagNotSupported byte = 0x04

	knownFlags = flagOptimistic | flagTerminate | flagNotSupported
)

const (
	maxID     = 255
	maxRounds = 5             // tari_comms: how often a responder says "not supported"
	longBan   = 2 * time.Hour // tari_comms: for a peer that violates the protocol
)

var (
	// ErrNotSupported: the remote speaks none of the protocols offered, or, in
	// Accept, it offered none that we speak.
	ErrNotSupported = errors.New("tariproto: protocol not supported")
	// ErrTerminated: the remote gave the negotiation up.
	ErrTerminated = errors.New("tariproto: negotiation ended by the remote")
	// ErrIDTooLong: a protocol id of ours has more than 255 bytes; nothing was
	// written.
	ErrIDTooLong = errors.New("tariproto: protocol id longer than 255 bytes")
)

// FlagError is a negotiation frame with flags that nobody has defined.
type FlagError struct{ Flags byte }

func (e *FlagError) Error() string {
	return fmt.Sprintf("tariproto: unknown negotiation flags 0x%02x", e.Flags)
}

// BanFor is two hours: tari_comms calls unknown flags a violation.
func (e *FlagError) BanFor() time.Duration { return longBan }

// Select offers ids one after the other, as the initiator, and returns the
// first that the responder takes. It reads not one byte beyond the answer.
//
// Errors: ErrNotSupported when none was taken, ErrTerminated when the
// responder gave up, *FlagError, ErrIDTooLong, or what rw returned.
func Select(rw io.ReadWriter, ids ...protocol.ID) (protocol.ID, error) {
	for _, id := range ids {
		if len(id) > maxID {
			return "", ErrIDTooLong
		}
	}
	var f frame
	for _, id := range ids {
		if err := f.write(rw, 0, string(id)); err != nil {
			return "", err
		}
		answer, flags, err := f.read(rw)
		switch {
		case err != nil:
			return "", err
		case flags&flagTerminate != 0:
			return "", ErrTerminated
		case flags&flagNotSupported != 0:
			continue
		case string(answer) == string(id):
			return id, nil
		}
		// Another id than the one offered: tari_comms takes that for a no.
	}
	if err := f.write(rw, flagTerminate, ""); err != nil {
		return "", err
	}
	return "", ErrNotSupported
}

// AppendOptimistic appends the frame that opens a substream without waiting
// for an answer: there will be none, a responder that does not know id drops
// the substream. Send it in one write with the first data.
func AppendOptimistic(dst []byte, id protocol.ID) ([]byte, error) {
	if len(id) > maxID {
		return dst, ErrIDTooLong
	}
	dst = append(dst, byte(len(id)), flagOptimistic|flagTerminate)
	return append(dst, id...), nil
}

// Accept answers an initiator until it offers an id that supported knows,
// which is asked once for each offer. optimistic says that nothing was
// answered because the initiator did not wait. On an error the caller resets
// the substream; that is also how an optimistic offer is refused.
//
// Errors: ErrNotSupported after an optimistic offer or five others,
// ErrTerminated, *FlagError, or what rw returned (io.EOF if the initiator left
// between two frames). Accept reads not one byte beyond the last offer.
func Accept(rw io.ReadWriter, supported func(protocol.ID) bool) (id protocol.ID, optimistic bool, err error) {
	var f frame
	for round := 1; round <= maxRounds; round++ {
		offer, flags, err := f.read(rw)
		if err != nil {
			return "", false, err
		}
		id := protocol.ID(offer)
		if flags&flagOptimistic != 0 {
			if !supported(id) {
				return id, true, ErrNotSupported
			}
			return id, true, nil
		}
		if flags&flagTerminate != 0 {
			return "", false, ErrTerminated
		}
		if supported(id) {
			return id, false, f.write(rw, 0, string(id))
		}
		answer := flagNotSupported
		if round == maxRounds {
			answer |= flagTerminate
		}
		if err := f.write(rw, answer, ""); err != nil {
			return "", false, err
		}
	}
	return "", false, ErrNotSupported
}

// frame is room for one negotiation frame, in or out.
type frame [2 + maxID]byte

// write sends a frame in one write; the caller has checked the id's length.
func (f *frame) write(w io.Writer, flags byte, id string) error {
	f[0], f[1] = byte(len(id)), flags
	n := copy(f[2:], id)
	if _, err := w.Write(f[:2+n]); err != nil {
		return fmt.Errorf("tariproto: write negotiation: %w", err)
	}
	return nil
}

// read takes one frame and no byte more. The id is valid until the next call.
func (f *frame) read(r io.Reader) (id []byte, flags byte, err error) {
	if _, err := io.ReadFull(r, f[:2]); err != nil {
		return nil, 0, fmt.Errorf("tariproto: read negotiation: %w", err)
	}
	if flags = f[1]; flags&^knownFlags != 0 {
		return nil, 0, &FlagError{flags}
	}
	id = f[2 : 2+int(f[0])]
	if _, err := io.ReadFull(r, id); err != nil {
		return nil, 0, fmt.Errorf("tariproto: read negotiation: %w", noEOF(err))
	}
	return id, flags, nil
}

// noEOF makes an end in the middle of something an unexpected one.
func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}
