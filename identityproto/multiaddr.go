package identityproto

import (
	"unicode/utf8"

	ma "github.com/multiformats/go-multiaddr"
	"github.com/multiformats/go-varint"
)

// component is one part of a binary multiaddr: a protocol's code and its value.
type component struct {
	code  int
	value []byte
}

// How the value of a component is found: a number of bytes, or one of these.
const (
	sizedText = -1 - iota // a length, then UTF-8
	sizedData             // a length, then anything
	sizedHash             // a length, then a multihash
	sizedPeer             // a length, then a peer id
)

// components the multiaddr crate of tari_comms knows, with the form of their
// values. go-multiaddr's own table differs in a few that no claim may hold.
var values = map[uint64]int{
	ma.P_IP4: 4, ma.P_IP6: 16, ma.P_TCP: 2, ma.P_UDP: 2, ma.P_DCCP: 2, ma.P_SCTP: 2,
	ma.P_DNS: sizedText, ma.P_DNS4: sizedText, ma.P_DNS6: sizedText, ma.P_DNSADDR: sizedText,
	ma.P_ONION: 12, ma.P_ONION3: 37, ma.P_MEMORY: 8, ma.P_IPCIDR: 1,
	ma.P_UNIX: sizedText, ma.P_IP6ZONE: sizedText, ma.P_SNI: sizedText,
	ma.P_GARLIC64: sizedData, ma.P_GARLIC32: sizedData, ma.P_CERTHASH: sizedHash, ma.P_P2P: sizedPeer,
	ma.P_HTTP: 0, ma.P_HTTPS: 0, ma.P_TLS: 0, ma.P_NOISE: 0, ma.P_QUIC: 0, ma.P_QUIC_V1: 0, ma.P_UTP: 0, ma.P_UDT: 0,
	ma.P_WS: 0, ma.P_WSS: 0, ma.P_WEBTRANSPORT: 0, ma.P_WEBRTC: 0, ma.P_WEBRTC_DIRECT: 0, ma.P_CIRCUIT: 0,
	275: 0, // p2p-webrtc-star
	276: 0, // p2p-webrtc-direct
	277: 0, // p2p-stardust
	479: 0, // p2p-websocket-star

	4770: sizedText, // ws with a path
	4780: sizedText, // wss with a path
}

// components splits a binary multiaddr as tari_comms' crate does. It says
// whether the bytes are one; none at all are.
func components(raw []byte) (out []component, ok bool) {
	for len(raw) > 0 {
		code, n, err := varint.FromUvarint(raw)
		size, known := values[code]
		if err != nil || !known {
			return nil, false
		}
		raw = raw[n:]
		form := size
		if form < 0 {
			length, n, err := varint.FromUvarint(raw)
			if err != nil || length > uint64(len(raw)-n) {
				return nil, false
			}
			size, raw = int(length), raw[n:]
		}
		if size > len(raw) || !valid(form, raw[:size]) {
			return nil, false
		}
		out = append(out, component{int(code), raw[:size]})
		raw = raw[size:]
	}
	return out, true
}

// valid checks the value of a component against its form.
func valid(form int, value []byte) bool {
	switch form {
	case sizedText:
		return utf8.Valid(value)
	case sizedHash:
		_, _, ok := multihash(value)
		return ok
	case sizedPeer:
		const identity, sha256, mostInline = 0, 0x12, 42
		code, digest, ok := multihash(value)
		return ok && (code == sha256 || code == identity && len(digest) <= mostInline)
	}
	return true
}

// multihash splits a multihash: code, length, digest of at most 64 bytes.
func multihash(b []byte) (code uint64, digest []byte, ok bool) {
	code, n, err := varint.FromUvarint(b)
	if err != nil {
		return 0, nil, false
	}
	size, m, err := varint.FromUvarint(b[n:])
	if err != nil {
		return 0, nil, false
	}
	digest = b[n+m:]
	return code, digest, size == uint64(len(digest)) && size <= 64
}

// protocolName names a component's kind for people.
func protocolName(code int) string {
	if p := ma.ProtocolWithCode(code); p.Code != 0 {
		return p.Name
	}
	return "unknown"
}
