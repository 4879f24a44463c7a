package messagingproto

import (
	"encoding/binary"
	"fmt"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// These move to tariproto, the home of protocol ids and frames.
const (
	idModern = protocol.ID("t/msg/0.1")
	idSeed   = protocol.ID("/tari/messaging/0.1.0")
	maxFrame = 8 << 20
)

type frameSizeError struct{ size, max uint64 }

func (e *frameSizeError) Error() string {
	return fmt.Sprintf("frame of %d bytes, at most %d are allowed", e.size, e.max)
}

func appendFrameHeader(dst []byte, n int) []byte {
	return binary.BigEndian.AppendUint32(dst, uint32(n))
}
