package basenode

import (
	"errors"
	"math"
	"time"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
)

// Header is the header of a block.
type Header struct {
	Hash          Hash // computed, not what a peer said
	Version       uint16
	Height        uint64
	Prev          Hash   // of the block before
	Timestamp     uint64 // Unix seconds, as the miner set them
	OutputMR      Hash
	BlockOutputMR Hash
	KernelMR      Hash
	InputMR       Hash
	KernelOffset  [32]byte
	ScriptOffset  [32]byte
	Nonce         uint64
	PowAlgo       uint8 // 0 RandomX merge-mined with Monero, 1 Sha3x, 2 RandomX, 3 Cuckaroo
	PowData       []byte
	KernelMMRSize uint64
	OutputMMRSize uint64
	ValidatorMR   Hash
	ValidatorSize uint64
}

// Point names the block.
func (h *Header) Point() Point { return Point{h.Height, h.Hash} }

// Time is when the miner says that the block was made.
func (h *Header) Time() time.Time { return unix(h.Timestamp) }

// unix keeps times within what text can hold.
func unix(seconds uint64) time.Time {
	const year9999 = 253402300799
	return time.Unix(int64(min(seconds, year9999)), 0).UTC()
}

// follows is nil if the block comes directly after p.
func (h *Header) follows(p Point) error {
	switch {
	case h.Height != p.Height+1:
		return &BadAnswerError{FaultHeight, p.Height + 1}
	case h.Prev != p.Hash:
		return &BadAnswerError{FaultUnlinked, h.Height}
	}
	return nil
}

// Block is a block. Of each output that the body spends there is the hash alone,
// without its commitment or script: that is how nodes send them.
type Block struct {
	*Header
	Body *basenodepb.AggregateBody // what the peer says is the body of that header
}

var (
	errFixed = errors.New("a hash or an offset that has not 32 bytes")
	errRange = errors.New("a number or a length that is out of range")
)

// maxPowData is tari_core's limit, in bytes.
const maxPowData = 65_535

// parseHeader reads a header and computes its hash.
func parseHeader(m *basenodepb.BlockHeader, tag string) (*Header, error) {
	if m.GetVersion() > math.MaxUint16 || m.Pow == nil || m.Pow.PowAlgo > math.MaxUint8 || len(m.Pow.PowData) > maxPowData {
		return nil, errRange
	}
	h := &Header{
		Version:       uint16(m.GetVersion()),
		Height:        m.GetHeight(),
		Timestamp:     m.GetTimestamp(),
		Nonce:         m.GetNonce(),
		PowAlgo:       uint8(m.Pow.PowAlgo),
		PowData:       m.Pow.PowData,
		KernelMMRSize: m.GetKernelMmrSize(),
		OutputMMRSize: m.GetOutputMmrSize(),
		ValidatorSize: m.GetValidatorNodeSize(),
	}
	for _, f := range []struct {
		to   *[32]byte
		from []byte
	}{
		{(*[32]byte)(&h.Prev), m.GetPrevHash()},
		{(*[32]byte)(&h.OutputMR), m.GetOutputMr()},
		{(*[32]byte)(&h.BlockOutputMR), m.GetBlockOutputMr()},
		{(*[32]byte)(&h.KernelMR), m.GetKernelMr()},
		{(*[32]byte)(&h.InputMR), m.GetInputMr()},
		{&h.KernelOffset, m.GetTotalKernelOffset()},
		{&h.ScriptOffset, m.GetTotalScriptOffset()},
		{(*[32]byte)(&h.ValidatorMR), m.GetValidatorNodeMerkleRoot()},
	} {
		if len(f.from) != len(f.to) {
			return nil, errFixed
		}
		copy(f.to[:], f.from)
	}
	h.Hash = h.hash(tag)
	return h, nil
}

// Message is the header as nodes send it.
func (h *Header) Message() *basenodepb.BlockHeader {
	return &basenodepb.BlockHeader{
		Version:                 uint32(h.Version),
		Height:                  h.Height,
		PrevHash:                h.Prev[:],
		Timestamp:               h.Timestamp,
		OutputMr:                h.OutputMR[:],
		BlockOutputMr:           h.BlockOutputMR[:],
		KernelMr:                h.KernelMR[:],
		InputMr:                 h.InputMR[:],
		TotalKernelOffset:       h.KernelOffset[:],
		Nonce:                   h.Nonce,
		Pow:                     &basenodepb.ProofOfWork{PowAlgo: uint64(h.PowAlgo), PowData: h.PowData},
		KernelMmrSize:           h.KernelMMRSize,
		OutputMmrSize:           h.OutputMMRSize,
		TotalScriptOffset:       h.ScriptOffset[:],
		ValidatorNodeMerkleRoot: h.ValidatorMR[:],
		ValidatorNodeSize:       h.ValidatorSize,
	}
}
