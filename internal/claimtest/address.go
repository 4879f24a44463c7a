package claimtest

import (
	"crypto/sha3"
	"encoding/binary"
	"strings"

	"google.golang.org/protobuf/encoding/protowire"
)

// Address makes a binary multiaddr of a shape that a claim may hold. Some are
// not reachable from everywhere, or have a name that no host has.
func (g *Generator) Address() []byte {
	switch g.r.IntN(8) {
	case 0, 1, 2:
		return g.tcp(append([]byte{4}, g.ip4()...))
	case 3:
		return g.tcp(append([]byte{41}, g.ip6()...))
	case 4, 5:
		return g.tcp(dns(byte(54+g.r.IntN(3)), names[g.r.IntN(len(names))]))
	case 6:
		return g.onion()
	}
	return binary.BigEndian.AppendUint64([]byte{0x89, 0x06}, 1+g.r.Uint64N(1<<40))
}

// names of hosts, and some that look like one.
var names = []string{
	"seed.example.com", "a", "a.b.", "A-1.Example.ORG", "xn--bcher-kva.example", "localhost", "x.localhost", "LOCALHOST.", "notlocalhost",
	"box.local", "local", "a.internal", "router.lan", "x.home.arpa", "home.arpa", "arpa", "localdomain", "127.0.0.1", "8.8.8.8", "::1", "2a01::1",
	"1.2.3", "0x7f000001", "a.0x7f", "a.0x", "0xg", "a.7f", "-a.b", "a-.b", "a..b", ".a", ".", "a_b.c", "ä.example", "a b", "a,b", "[::1]", "local..",
	strings.Repeat("a", 63), strings.Repeat("a", 64), strings.Repeat("abcdefgh.", 28) + "a", strings.Repeat("abcdefgh.", 28) + "ab",
}

func dns(code byte, name string) []byte {
	return append(protowire.AppendVarint([]byte{code}, uint64(len(name))), name...)
}

// interesting first bytes of IPv4 addresses: the edges of the ranges that mean something else on every network.
var interesting = [][]byte{
	{0},
	{1},
	{8, 8},
	{9, 255},
	{10},
	{11},
	{100, 63},
	{100, 64},
	{100, 127},
	{100, 128},
	{126},
	{127},
	{128},
	{169, 253},
	{169, 254},
	{169, 255},
	{172, 15},
	{172, 16},
	{172, 31},
	{172, 32},
	{192, 0, 0},
	{192, 0, 1},
	{192, 0, 2},
	{192, 0, 3},
	{192, 88, 98},
	{192, 88, 99},
	{192, 88, 100},
	{192, 167},
	{192, 168},
	{192, 169},
	{198, 17},
	{198, 18},
	{198, 19},
	{198, 20},
	{198, 51, 99},
	{198, 51, 100},
	{198, 51, 101},
	{203, 0, 112},
	{203, 0, 113},
	{203, 0, 114},
	{223},
	{224},
	{239},
	{240},
	{255},
	{255, 255, 255, 255},
}

func (g *Generator) ip4() []byte {
	ip := binary.BigEndian.AppendUint32(nil, g.r.Uint32())
	if g.r.IntN(3) > 0 {
		copy(ip, interesting[g.r.IntN(len(interesting))])
	}
	return ip
}

// prefixes of IPv6 addresses at the edges of such ranges.
var prefixes = [][]byte{
	{0x20, 0x01, 0x41, 0xd0},
	{0x2a, 0x01},
	{0xfb},
	{0xfc},
	{0xfd},
	{0xfe, 0x7f},
	{0xfe, 0x80},
	{0xfe, 0xbf},
	{0xfe, 0xc0},
	{0xfe, 0xff},
	{0xff},
	{1, 0, 0, 0, 0, 0, 0, 0},
	{1, 0, 0, 0, 0, 0, 0, 1},
	{0x20, 0x01, 0, 0},
	{0x20, 0x01, 0, 1},
	{0x20, 0x02},
	{0x20, 0x03},
	{0x20, 0x01, 0x0d, 0xb8},
	{0x20, 0x01, 0x0d, 0xb9},
	{0, 0x64, 0xff, 0x9b, 0, 0, 0, 0, 0, 0, 0, 0},
}

func (g *Generator) ip6() []byte {
	ip := make([]byte, 16)
	switch g.r.IntN(4) {
	case 0: // IPv4 in IPv6, both ways
		if copy(ip[12:], g.ip4()); g.r.IntN(2) == 0 {
			ip[10], ip[11] = 0xff, 0xff
		}
	case 1:
		ip[15] = byte(g.r.IntN(3)) // ::, ::1, ::2
	default:
		for i := range ip {
			ip[i] = byte(g.r.Uint32())
		}
		copy(ip, prefixes[g.r.IntN(len(prefixes))])
	}
	return ip
}

func (g *Generator) port() uint16 { return uint16(1 + g.r.IntN(65535)) }

// tcp appends a port.
func (g *Generator) tcp(host []byte) []byte {
	return binary.BigEndian.AppendUint16(append(host, 6), g.port())
}

func (g *Generator) onion() []byte {
	key := make([]byte, 32)
	for i := range key {
		key[i] = byte(g.r.Uint32())
	}
	sum := sha3.Sum256(append(append([]byte(".onion checksum"), key...), 3))
	out := append([]byte{0xbd, 0x03}, key...)
	out = append(out, sum[0], sum[1], 3)
	return binary.BigEndian.AppendUint16(out, g.port())
}
