package basenode

import (
	"math/big"
	"time"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
)

// Tip is the last block of a peer's chain, as the peer says.
type Tip struct {
	Point
	Timestamp  uint64   // of its header, in Unix seconds
	Difficulty *big.Int // accumulated over the whole chain; that of most work is the one to follow
	// PrunedHeight: the peer has the bodies of the blocks above it. 0: of all.
	PrunedHeight uint64
}

// Time is when the miner says that the block was made.
func (t Tip) Time() time.Time { return unix(t.Timestamp) }

// parseTip reads a node's metadata.
func parseTip(m *basenodepb.ChainMetadata) (t Tip, err error) {
	low, high := m.GetAccumulatedDifficultyLow(), m.GetAccumulatedDifficultyHigh()
	if len(m.GetBestBlockHash()) != len(t.Hash) {
		return Tip{}, errFixed
	}
	if len(low) > 32 || len(high) > 32 || m.GetPrunedHeight() > m.GetBestBlockHeight() {
		return Tip{}, errRange
	}
	t.Height, t.Hash = m.GetBestBlockHeight(), Hash(m.GetBestBlockHash())
	t.Timestamp, t.PrunedHeight = m.GetTimestamp(), m.GetPrunedHeight()
	t.Difficulty = new(big.Int).SetBytes(high)
	t.Difficulty.Lsh(t.Difficulty, 256).Add(t.Difficulty, new(big.Int).SetBytes(low))
	return t, nil
}

// MempoolStats is how much waits in a peer's mempool.
type MempoolStats struct {
	Unconfirmed uint64 // transactions
	Reorg       uint64 // transactions of the last blocks, kept for the case that these are undone
	Weight      uint64 // of the unconfirmed ones, in the unit in which a block's weight is limited
}
