package claimtest

import (
	"bytes"
	"slices"
	"strings"
)

// twist is one thing that is done to a claim, before or after it is signed.
type twist struct {
	name          string
	before, after func(*Generator, *message)
}

// address is a twist that puts one more address into a claim of at most four.
func address(name string, of func(*Generator) []byte) twist {
	return twist{name: name, before: func(g *Generator, m *message) {
		m.addresses = m.addresses[:min(4, len(m.addresses))]
		m.addresses = slices.Insert(m.addresses, g.r.IntN(len(m.addresses)+1), of(g))
	}}
}

// raw is such an address as it is.
func raw(name string, b ...byte) twist {
	return address(name, func(*Generator) []byte { return b })
}

// extra is a twist that appends fields to a message.
func extra(name string, b ...byte) twist {
	return twist{name: name, after: func(_ *Generator, m *message) { m.extra = b }}
}

// inner is a twist that appends fields to a signature.
func inner(name string, b ...byte) twist {
	return twist{name: name, after: func(_ *Generator, m *message) { m.inner = b }}
}

// date is a twist of a signature made for that date.
func date(name string, at int64) twist {
	return twist{name: name, before: func(_ *Generator, m *message) { m.date = at }}
}

// after and before are twists of the message itself.
func after(name string, f func(*Generator, *message)) twist  { return twist{name: name, after: f} }
func before(name string, f func(*Generator, *message)) twist { return twist{name: name, before: f} }

func groups(n int, within ...byte) []byte {
	return slices.Concat(bytes.Repeat([]byte{0x33}, n), within, bytes.Repeat([]byte{0x34}, n)) // field 6
}

var tenBytes = []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff}

// order is the group order, little endian: the smallest scalar that is not canonical.
var order = []byte{
	0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14,
	0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
}

var twists = slices.Concat(addressTwists, fieldTwists, signatureTwists, protobufTwists)

var addressTwists = []twist{
	raw("address: empty"),
	raw("address: ip4 cut", 4, 1, 2, 3),
	raw("address: ip4 alone", 4, 1, 2, 3, 4),
	raw("address: tcp alone", 6, 1, 1),
	raw("address: port 0", 4, 1, 2, 3, 4, 6, 0, 0),
	raw("address: two ports", 4, 1, 2, 3, 4, 6, 1, 1, 6, 1, 1),
	raw("address: udp", 4, 1, 2, 3, 4, 0x91, 2, 1, 1),
	raw("address: trailing byte", 4, 1, 2, 3, 4, 6, 1, 1, 0xff),
	raw("address: trailing tls", 4, 1, 2, 3, 4, 6, 1, 1, 0xc0, 3),
	raw("address: unknown code", 0x7f, 1, 2, 3),
	raw("address: code not minimal", 0x84, 0, 1, 2, 3, 4, 6, 1, 1),
	raw("address: dns", 53, 1, 'a', 6, 1, 1),
	raw("address: name with a slash", 54, 3, 'a', '/', 'b', 6, 1, 1),
	raw("address: name not UTF-8", 54, 2, 'a', 0xff, 6, 1, 1),
	raw("address: name longer than what is there", 54, 9, 'a', 6, 1, 1),
	raw("address: length of a name not minimal", 54, 0x81, 0, 'a', 6, 1, 1),
	raw("address: name without port", 55, 1, 'a'),
	raw("address: memory 0", 0x89, 6, 0, 0, 0, 0, 0, 0, 0, 0),
	raw("address: memory and more", 0x89, 6, 0, 0, 0, 0, 0, 0, 0, 1, 6, 1, 1),
	raw("address: onion 2", 0xbc, 3, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 80),
	raw("address: p2p-circuit", 0xa2, 2),
	raw("address: webrtc-star", 0x93, 2),
	raw("address: ws with a path", 4, 1, 2, 3, 4, 6, 1, 1, 0xa2, 0x25, 1, '/'),
	raw("address: unix", 0x90, 3, 2, '/', 'a'),
	raw("address: peer id", 0xa5, 3, 6, 0, 4, 1, 2, 3, 4),
	raw("address: peer id of a wrong hash", 0xa5, 3, 6, 0x13, 4, 1, 2, 3, 4),
	raw("address: peer id too long for what it holds", 0xa5, 3, 6, 0, 5, 1, 2, 3, 4),
	raw("address: certhash", 0xd2, 3, 4, 0x12, 2, 1, 2),
	raw("address: empty certhash", 0xd2, 3, 0),
	raw("address: ip6 zone", 42, 1, 'e', 41, 0x2a, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 6, 1, 1),
	address("address: onion and more", func(g *Generator) []byte { return append(g.onion(), 6, 1, 1) }),
	address("address: onion of port 0", func(g *Generator) []byte { return append(g.onion()[:37], 0, 0) }),
	address("address: onion with a wrong checksum", func(g *Generator) []byte { o := g.onion(); o[34] ^= 1; return o }),
	address("address: onion of version 4", func(g *Generator) []byte { o := g.onion(); o[36] = 4; return o }),
	address("address: onion cut", func(g *Generator) []byte { return g.onion()[:38] }),
	address("address: bit flipped", func(g *Generator) []byte {
		a := g.Address()
		a[g.r.IntN(len(a))] ^= 1 << g.r.IntN(8)
		return a
	}),
	address("address: cut", func(g *Generator) []byte { a := g.Address(); return a[:g.r.IntN(len(a))] }),
}

var fieldTwists = []twist{
	before("six addresses", func(g *Generator, m *message) {
		for len(m.addresses) < 6 {
			m.addresses = append(m.addresses, g.tcp([]byte{4, 1, 2, 3, 4}))
		}
	}),
	before("twenty protocols", func(g *Generator, m *message) {
		for m.protocols = nil; len(m.protocols) < 20; m.protocols = append(m.protocols, g.text(5, "")) {
		}
	}),
	before("twenty-one protocols", func(g *Generator, m *message) {
		for m.protocols = nil; len(m.protocols) < 21; m.protocols = append(m.protocols, g.text(5, "")) {
		}
	}),
	before("protocol of 50 bytes", func(g *Generator, m *message) { m.protocols = append(m.protocols, g.text(50, "")) }),
	before("protocol of 51 bytes", func(g *Generator, m *message) { m.protocols = append(m.protocols, g.text(51, "")) }),
	before("empty protocol", func(_ *Generator, m *message) { m.protocols = append(m.protocols, nil) }),
	before("protocol with a comma", func(_ *Generator, m *message) { m.protocols = append(m.protocols, []byte("a,b")) }),
	before("protocol with a byte of 0x7f", func(_ *Generator, m *message) { m.protocols = append(m.protocols, []byte("a\x7f")) }),
	before("protocol not UTF-8", func(_ *Generator, m *message) { m.protocols = append(m.protocols, []byte{0xff}) }),
	before("user agent of 50 bytes", func(g *Generator, m *message) { m.userAgent = g.text(50, ",") }),
	before("user agent of 51 bytes", func(g *Generator, m *message) { m.userAgent = g.text(51, ",") }),
	before("user agent with a newline", func(_ *Generator, m *message) { m.userAgent = []byte("a\nb") }),
	before("user agent with umlauts", func(_ *Generator, m *message) { m.userAgent = []byte("Straße") }),
	before("user agent not UTF-8", func(_ *Generator, m *message) { m.userAgent = []byte{'a', 0xff} }),
	before("long user agent with umlauts", func(_ *Generator, m *message) { m.userAgent = []byte(strings.Repeat("ä", 26)) }),
	before("features 4", func(_ *Generator, m *message) { m.features = 4 }),
	before("features 2^31", func(_ *Generator, m *message) { m.features = 1<<31 | 3 }),
}

var signatureTwists = []twist{
	after("unsigned", func(_ *Generator, m *message) { m.unsigned = true }),
	after("other features", func(_ *Generator, m *message) { m.features = (m.features + 1) & 3 }),
	after("other date", func(_ *Generator, m *message) { m.date++ }),
	after("one address less", func(_ *Generator, m *message) { m.addresses = m.addresses[:max(0, len(m.addresses)-1)] }),
	after("addresses reversed", func(_ *Generator, m *message) { slices.Reverse(m.addresses) }),
	after("user agent changed", func(_ *Generator, m *message) { m.userAgent = []byte("changed") }),
	after("bit of the scalar flipped", func(g *Generator, m *message) { m.s[g.r.IntN(32)] ^= 1 << g.r.IntN(8) }),
	after("bit of the nonce flipped", func(g *Generator, m *message) { m.nonce[g.r.IntN(32)] ^= 1 << g.r.IntN(8) }),
	after("scalar not canonical", func(_ *Generator, m *message) { m.s = order }),
	after("scalar zero", func(_ *Generator, m *message) { m.s = make([]byte, 32) }),
	after("scalar of 31 bytes", func(_ *Generator, m *message) { m.s = m.s[:31] }),
	after("scalar of 33 bytes", func(_ *Generator, m *message) { m.s = append(m.s, 0) }),
	after("no scalar", func(_ *Generator, m *message) { m.s = nil }),
	after("nonce zero", func(_ *Generator, m *message) { m.nonce = make([]byte, 32) }),
	after("nonce of ones", func(_ *Generator, m *message) { m.nonce = bytes.Repeat([]byte{0xff}, 32) }),
	after("nonce of 31 bytes", func(_ *Generator, m *message) { m.nonce = m.nonce[:31] }),
	before("version 255", func(_ *Generator, m *message) { m.version = 255 }),
	before("version 1", func(_ *Generator, m *message) { m.version = 1 }),
	after("version 256", func(_ *Generator, m *message) { m.version = 256 }),
	date("date 0", 0),
	date("date -1", -1),
	date("date 2100", 4_102_444_800),
	date("last date", 8_210_266_876_799),
	date("after the last date", 8_210_266_876_800),
	date("first date", -8_334_601_228_800),
	date("before the first date", -8_334_601_228_801),
	date("greatest date", 1<<63-1),
}

var protobufTwists = []twist{
	extra("unknown varint", 0x30, 1),
	extra("unknown bytes", 0x3a, 2, 1, 2),
	extra("unknown fixed", 0x35, 1, 2, 3, 4, 0x31, 1, 2, 3, 4, 5, 6, 7, 8),
	extra("unknown fixed, cut", 0x35, 1, 2, 3),
	extra("unknown bytes, cut", 0x3a, 3, 1, 2),
	extra("wire type 6", 0x36),
	extra("field 0", 0, 1),
	extra("field 2^29-1", 0xf8, 0xff, 0xff, 0xff, 0x0f, 1),
	extra("field 2^29", 0x80, 0x80, 0x80, 0x80, 0x10, 1),
	extra("wrong wire type of an address", 0x08, 1),
	extra("wrong wire type of features", 0x12, 1, 3),
	extra("wrong wire type of the user agent", 0x20, 1),
	extra("wrong wire type of the signature", 0x28, 1),
	extra("features again", 0x10, 0x03),
	extra("features of 64 bits", append(append([]byte{0x10, 0x83}, tenBytes[:8]...), 1)...),
	extra("varint of eleven bytes", append(append([]byte{0x30}, tenBytes...), 0xff, 1)...),
	extra("varint above 64 bits", append(append([]byte{0x30}, tenBytes...), 2)...),
	extra("varint not minimal", 0x30, 0x81, 0x80, 0),
	extra("tag not minimal", 0xb0, 0x80, 0, 1),
	extra("user agent again", 0x22, 1, 'x'),
	extra("user agent again, empty", 0x22, 0),
	extra("signature again, empty", 0x2a, 0),
	extra("signature again, version", 0x2a, 2, 8, 0),
	extra("group", groups(1)...),
	extra("group with a field", groups(1, 0x30, 1)...),
	extra("group not ended", 0x33, 0x30, 1),
	extra("group ended by another", 0x33, 0x3c),
	extra("end of no group", 0x34),
	extra("99 groups", groups(99, 0x30, 1)...),
	extra("100 groups", groups(100)...),
	extra("100 groups with a field", groups(100, 0x30, 1)...),
	extra("101 groups", groups(101)...),
	inner("signature: unknown field", 0x30, 1),
	inner("signature: wrong wire type", 0x10, 1),
	inner("signature: scalar again, empty", 0x12, 0),
	inner("signature: version of 33 bits", 0x08, 0x80, 0x80, 0x80, 0x80, 0x10),
	inner("signature: 98 groups with a field", groups(98, 0x30, 1)...),
	inner("signature: 99 groups", groups(99)...),
	inner("signature: 99 groups with a field", groups(99, 0x30, 1)...),
	inner("signature: cut", 0x08),
	after("message cut", func(g *Generator, m *message) {
		b := m.encode()
		*m = message{unsigned: true, extra: b[:g.r.IntN(len(b))]}
	}),
	after("bit of the message flipped", func(g *Generator, m *message) {
		b := m.encode()
		b[g.r.IntN(len(b))] ^= 1 << g.r.IntN(8)
		*m = message{unsigned: true, extra: b}
	}),
	after("message empty", func(_ *Generator, m *message) { *m = message{unsigned: true} }),
}
