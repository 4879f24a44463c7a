package tarikey

import (
	"bytes"
	"encoding/hex"
	"math/bits"

	"golang.org/x/crypto/blake2b"
)

// NodeIDSize is the length of a node id in bytes.
const NodeIDSize = 13

// NodeID is where a peer stands in Tari's key space: BLAKE2b with an output of
// 13 bytes over its public key. (The length is a parameter of the hash; it is
// no prefix of a longer digest.)
type NodeID [NodeIDSize]byte

// NodeID derives the node id.
func (k PublicKey) NodeID() NodeID { return NodeIDOf(k.b[:]) }

// NodeIDOf is NodeID of the bytes of a key, which it does not check: it is for who looks through very many keys for one.
func NodeIDOf(key []byte) (id NodeID) {
	h, err := blake2b.New(NodeIDSize, nil)
	if err != nil {
		panic("tarikey: BLAKE2b: " + err.Error())
	}
	h.Write(key)
	h.Sum(id[:0])
	return id
}

// ParseNodeID reads 26 hexadecimal characters.
func ParseNodeID(text string) (id NodeID, err error) {
	if len(text) != 2*NodeIDSize {
		return NodeID{}, &KeyError{"node id", errNodeIDLength}
	}
	if _, err := hex.Decode(id[:], []byte(text)); err != nil {
		return NodeID{}, &KeyError{"node id", ErrNotHex}
	}
	return id, nil
}

// String is 26 lower-case hexadecimal characters.
func (n NodeID) String() string { return hex.EncodeToString(n[:]) }

// Short is the first 16 characters of String, as Tari's logs write it.
func (n NodeID) Short() string { return hex.EncodeToString(n[:8]) }

// Compare orders node ids by their bytes: -1, 0 or +1.
func (n NodeID) Compare(other NodeID) int { return bytes.Compare(n[:], other[:]) }

// MarshalText is String.
func (n NodeID) MarshalText() ([]byte, error) { return []byte(n.String()), nil }

// UnmarshalText reads what MarshalText wrote.
func (n *NodeID) UnmarshalText(text []byte) error {
	parsed, err := ParseNodeID(string(text))
	if err != nil {
		return err
	}
	*n = parsed
	return nil
}

// Distance is the XOR of two node ids, a big-endian number of 104 bits.
type Distance [NodeIDSize]byte

// Distance from n to other.
func (n NodeID) Distance(other NodeID) (d Distance) {
	for i := range d {
		d[i] = n[i] ^ other[i]
	}
	return d
}

// Compare orders distances: -1 if d is the nearer one.
func (d Distance) Compare(other Distance) int { return bytes.Compare(d[:], other[:]) }

// Bucket is the index of the highest bit set, 0 to 103; the distances 0 and 1
// both are in bucket 0.
func (d Distance) Bucket() int {
	for i, b := range d {
		if b != 0 {
			return (NodeIDSize-1-i)*8 + bits.Len8(b) - 1
		}
	}
	return 0
}

// String is 26 hexadecimal characters.
func (d Distance) String() string { return hex.EncodeToString(d[:]) }
