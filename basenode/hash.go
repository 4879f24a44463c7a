package basenode

import (
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"strconv"

	"golang.org/x/crypto/blake2b"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// Hash is the hash of a block's header, or a root in one.
type Hash [32]byte

var errHash = errors.New("a hash is 64 hexadecimal characters")

// ParseHash reads what String writes.
func ParseHash(text string) (h Hash, err error) {
	if len(text) != 2*len(h) {
		return h, errHash
	}
	if _, err := hex.Decode(h[:], []byte(text)); err != nil {
		return Hash{}, errHash
	}
	return h, nil
}

// String returns the hash in hexadecimal.
func (h Hash) String() string { return hex.EncodeToString(h[:]) }

// MarshalText is String.
func (h Hash) MarshalText() ([]byte, error) { return []byte(h.String()), nil }

// UnmarshalText is ParseHash.
func (h *Hash) UnmarshalText(text []byte) (err error) {
	*h, err = ParseHash(string(text))
	return err
}

// Point names a block.
type Point struct {
	Height uint64 `json:"height"`
	Hash   Hash   `json:"hash"`
}

// String is HEIGHT:HASH.
func (p Point) String() string { return strconv.FormatUint(p.Height, 10) + ":" + p.Hash.String() }

// hashBytes tell one network's hashes from another's, as tari_common 6 has
// them. They are not the wire bytes, which change more often.
var hashBytes = map[string]byte{
	dialect.Mainnet.Name:   0x00,
	dialect.Stagenet.Name:  0x01,
	dialect.Nextnet.Name:   0x02,
	dialect.Localnet.Name:  0x10,
	dialect.Igor.Name:      0x24,
	dialect.Esmeralda.Name: 0x26,
}

// headerTag opens what is hashed of a header in a network: a domain, and the
// network's byte in decimal.
func headerTag(n dialect.Network) (string, error) {
	if n.Name == "" {
		n = dialect.Mainnet
	}
	b, known := hashBytes[n.Name]
	if !known {
		return "", fmt.Errorf("basenode: the headers of network %s cannot be read: it is not one of today's", n.Name)
	}
	return fmt.Sprintf("com.tari.base_layer.core.blocks.v0.block_header.n%d", b), nil
}

// newHash begins a hash with a tag, behind its length.
func newHash(tag string) hash.Hash {
	h, err := blake2b.New256(nil)
	if err != nil {
		panic(err) // of a key, and there is none
	}
	h.Write(binary.LittleEndian.AppendUint64(nil, uint64(len(tag))))
	h.Write([]byte(tag))
	return h
}

// miningHash is what a miner works on. The fields stand in Borsh's form: numbers
// little-endian, the two offsets behind their length.
func (h *Header) miningHash(tag string) (sum Hash) {
	le := binary.LittleEndian
	b := le.AppendUint16(nil, h.Version)
	b = le.AppendUint64(b, h.Height)
	b = append(b, h.Prev[:]...)
	b = le.AppendUint64(b, h.Timestamp)
	b = append(b, h.InputMR[:]...)
	b = append(b, h.OutputMR[:]...)
	b = le.AppendUint64(b, h.OutputMMRSize)
	b = append(b, h.BlockOutputMR[:]...)
	b = append(b, h.KernelMR[:]...)
	b = le.AppendUint64(b, h.KernelMMRSize)
	b = append(le.AppendUint32(b, uint32(len(h.KernelOffset))), h.KernelOffset[:]...)
	b = append(le.AppendUint32(b, uint32(len(h.ScriptOffset))), h.ScriptOffset[:]...)
	b = append(b, h.ValidatorMR[:]...)
	b = le.AppendUint64(b, h.ValidatorSize)
	return sumOf(tag, b)
}

// HashIn is the hash that the header has in a network, whatever its field Hash
// says. The error is that of New.
func (h *Header) HashIn(n dialect.Network) (Hash, error) {
	tag, err := headerTag(n)
	if err != nil {
		return Hash{}, err
	}
	return h.hash(tag), nil
}

// hash is the block's: of the mining hash and of what the miner found.
func (h *Header) hash(tag string) Hash {
	mining := h.miningHash(tag)
	b := append(mining[:], h.PowAlgo)
	b = append(binary.LittleEndian.AppendUint32(b, uint32(len(h.PowData))), h.PowData...)
	return sumOf(tag, binary.LittleEndian.AppendUint64(b, h.Nonce))
}

func sumOf(tag string, b []byte) (sum Hash) {
	h := newHash(tag)
	h.Write(b)
	h.Sum(sum[:0])
	return sum
}
