package yamux

import "encoding/binary"

// A frame is a 12-byte header, all big-endian, and for data frames a body:
//
//	version(1)=0 | type(1) | flags(2) | stream id(4) | length(4)
//
// The length is the size of the body (data), the credit (window update), a nonce
// (ping) or a reason (go-away). Go-yamux and we put an error code in the length
// of a window update that carries RST; the Rust peers look at the flag only.
const (
	headerSize = 12

	typeData         = 0
	typeWindowUpdate = 1
	typePing         = 2
	typeGoAway       = 3

	flagSYN = 1
	flagACK = 2
	flagFIN = 4
	flagRST = 8

	goAwayNormal   = 0
	goAwayProtocol = 1
)

type header struct {
	kind   uint8
	flags  uint16
	stream uint32
	length uint32
}

func (h header) has(flag uint16) bool { return h.flags&flag != 0 }

func appendHeader(dst []byte, h header) []byte {
	dst = append(dst, 0, h.kind)
	dst = binary.BigEndian.AppendUint16(dst, h.flags)
	dst = binary.BigEndian.AppendUint32(dst, h.stream)
	return binary.BigEndian.AppendUint32(dst, h.length)
}

// putLength changes the length in a header.
func putLength(h []byte, length uint32) { binary.BigEndian.PutUint32(h[8:], length) }

// parseHeader reads b, which is headerSize long. Unknown flags are ignored, as
// the Rust peers do; an unknown version or type is a violation.
func parseHeader(b []byte) (header, error) {
	if b[0] != 0 {
		return header{}, violation("unknown version")
	}
	if b[1] > typeGoAway {
		return header{}, violation("unknown frame type")
	}
	return header{
		kind:   b[1],
		flags:  binary.BigEndian.Uint16(b[2:]),
		stream: binary.BigEndian.Uint32(b[4:]),
		length: binary.BigEndian.Uint32(b[8:]),
	}, nil
}
