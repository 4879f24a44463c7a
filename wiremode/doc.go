// Package wiremode is the first byte of every Tari connection, and liveness,
// the one thing that byte can ask for besides a network.
//
// A dialer sends the byte right after the transport connects and gets no
// answer to it. A listener calls Read within its deadline and looks the byte up
// among the networks it accepts; if it is LivenessModern or LivenessSeed it
// hands the connection to Serve, and anything else is an *UnknownError and the
// end of the connection. Probe is the other side of Serve.
package wiremode

import (
	"fmt"
	"io"
)

// The bytes that ask for a line echo instead of a network.
const (
	LivenessModern byte = 0xa7
	LivenessSeed   byte = 0x46 // tari_comms 0.8
)

// UnknownError is a first byte that means nothing to this listener: another
// network, another program, or a port scan. tari_comms closes without an
// answer and without a ban.
type UnknownError struct{ Byte byte }

func (e *UnknownError) Error() string {
	return fmt.Sprintf("wiremode: first byte 0x%02x is no network we accept", e.Byte)
}

// Read takes exactly one byte. The deadline is the caller's (tari_comms allows
// 6 s, its 0.8 generation 7 s).
func Read(r io.Reader) (byte, error) {
	var b [1]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return 0, fmt.Errorf("wiremode: first byte: %w", err)
	}
	return b[0], nil
}
