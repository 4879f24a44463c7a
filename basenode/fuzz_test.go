package basenode

import (
	"bytes"
	"errors"
	"math/big"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/basenode/basenodepb"
	"github.com/tari-libp2p/tari-libp2p/dialect"
)

func testTag(t testing.TB) string {
	tag, err := headerTag(dialect.Localnet)
	if err != nil {
		t.Fatal(err)
	}
	return tag
}

func marshal(t testing.TB, m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// testChain is some headers that follow on each other.
func testChain(t testing.TB, length int) (chain []*Header) {
	var prev Hash
	for i := range length {
		h := &Header{
			Version: uint16(i), Height: uint64(i), Prev: prev, Timestamp: uint64(i) << 40, OutputMR: Hash{1, byte(i)}, BlockOutputMR: Hash{2},
			KernelMR: Hash{3}, InputMR: Hash{4}, KernelOffset: [32]byte{5}, ScriptOffset: [32]byte{6}, Nonce: 7 << i, PowAlgo: uint8(i),
			PowData: bytes.Repeat([]byte{8}, i), KernelMMRSize: 9, OutputMMRSize: 10, ValidatorMR: Hash{11}, ValidatorSize: 12,
		}
		h.Hash = h.hash(testTag(t))
		chain, prev = append(chain, h), h.Hash
	}
	return chain
}

// broken are the ways in which a header cannot be one.
func broken(t testing.TB) map[string]*basenodepb.BlockHeader {
	all := map[string]*basenodepb.BlockHeader{}
	for name, f := range map[string]func(m *basenodepb.BlockHeader){
		"version":     func(m *basenodepb.BlockHeader) { m.Version = 1 << 16 },
		"algorithm":   func(m *basenodepb.BlockHeader) { m.Pow.PowAlgo = 256 },
		"data":        func(m *basenodepb.BlockHeader) { m.Pow.PowData = make([]byte, maxPowData+1) },
		"no work":     func(m *basenodepb.BlockHeader) { m.Pow = nil },
		"short prev":  func(m *basenodepb.BlockHeader) { m.PrevHash = m.PrevHash[1:] },
		"no prev":     func(m *basenodepb.BlockHeader) { m.PrevHash = nil },
		"output":      func(m *basenodepb.BlockHeader) { m.OutputMr = make([]byte, 33) },
		"outputs":     func(m *basenodepb.BlockHeader) { m.BlockOutputMr = nil },
		"kernels":     func(m *basenodepb.BlockHeader) { m.KernelMr = make([]byte, 31) },
		"inputs":      func(m *basenodepb.BlockHeader) { m.InputMr = make([]byte, 64) },
		"kernel sum":  func(m *basenodepb.BlockHeader) { m.TotalKernelOffset = nil },
		"script sum":  func(m *basenodepb.BlockHeader) { m.TotalScriptOffset = make([]byte, 1) },
		"validators":  func(m *basenodepb.BlockHeader) { m.ValidatorNodeMerkleRoot = make([]byte, 8) },
		"empty":       func(m *basenodepb.BlockHeader) { proto.Reset(m) },
		"much of all": func(m *basenodepb.BlockHeader) { m.PrevHash = make([]byte, 1<<20) },
	} {
		m := testChain(t, 1)[0].Message()
		f(m)
		all[name] = m
	}
	return all
}

func TestBrokenHeaders(t *testing.T) {
	for name, m := range broken(t) {
		if h, err := parseHeader(m, testTag(t)); err == nil {
			t.Errorf("%s: %+v", name, h)
		}
	}
	for _, h := range testChain(t, 5) {
		got, err := parseHeader(h.Message(), testTag(t))
		if err != nil || got.Hash != h.Hash || got.Time().Unix() < 0 {
			t.Errorf("%+v, %v", got, err)
		}
	}
}

// FuzzHeader: what is read as a header is written the same, and has one hash.
func FuzzHeader(f *testing.F) {
	for _, h := range testChain(f, 20) {
		b := marshal(f, h.Message())
		f.Add(b)
		f.Add(b[:len(b)-1])
		f.Add(append(b, 0x18, 1)) // a field that there is not
	}
	for _, m := range broken(f) {
		if b := marshal(f, m); len(b) < 1000 {
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(basenodepb.BlockHeader)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		h, err := parseHeader(m, testTag(t))
		if err != nil {
			return
		}
		again, err := parseHeader(h.Message(), testTag(t))
		if err != nil || again.Hash != h.Hash || !proto.Equal(again.Message(), h.Message()) {
			t.Fatalf("%+v is written as %+v, %v", h, again, err)
		}
		if y := h.Time().Year(); y < 1970 || y > 9999 {
			t.Fatalf("year %d", y)
		}
	})
}

// FuzzTip: the difficulty of what is read as a tip is that of the message.
func FuzzTip(f *testing.F) {
	full := &basenodepb.ChainMetadata{
		BestBlockHeight: 1 << 40, BestBlockHash: make([]byte, 32), AccumulatedDifficultyLow: bytes.Repeat([]byte{0xff}, 32),
		AccumulatedDifficultyHigh: bytes.Repeat([]byte{1}, 32), PrunedHeight: 1 << 39, Timestamp: 1 << 63,
	}
	for i := range 34 {
		m := proto.Clone(full).(*basenodepb.ChainMetadata)
		m.AccumulatedDifficultyLow, m.AccumulatedDifficultyHigh = make([]byte, i), bytes.Repeat([]byte{byte(i)}, 33-i)
		f.Add(marshal(f, m))
		m.BestBlockHash = make([]byte, i)
		f.Add(marshal(f, m))
		m.PrunedHeight = m.BestBlockHeight + uint64(i)
		f.Add(marshal(f, m))
	}
	f.Add(marshal(f, full))
	f.Fuzz(func(t *testing.T, b []byte) {
		m := new(basenodepb.ChainMetadata)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		tip, err := parseTip(m)
		if err != nil {
			return
		}
		low := new(big.Int).Mod(tip.Difficulty, new(big.Int).Lsh(big.NewInt(1), 256))
		if low.Cmp(new(big.Int).SetBytes(m.AccumulatedDifficultyLow)) != 0 || tip.Difficulty.BitLen() > 512 || tip.Difficulty.Sign() < 0 {
			t.Fatalf("difficulty %v of %v", tip.Difficulty, m)
		}
		if tip.PrunedHeight > tip.Height || tip.Time().Year() > 9999 {
			t.Fatalf("%+v", tip)
		}
	})
}

// FuzzSplit: what is read as headers behind a block follows on it.
func FuzzSplit(f *testing.F) {
	chain := testChain(f, 10)
	for i := range 7 {
		m := &basenodepb.FindChainSplitResponse{ForkHashIndex: uint64(i)}
		for _, h := range chain[i : i+3] {
			m.Headers = append(m.Headers, h.Message())
		}
		var after Hash
		if i > 0 {
			after = chain[i-1].Hash
		}
		f.Add(after[:], marshal(f, m))
		f.Add(chain[i].Hash[:], marshal(f, m))
		m.Headers[1].Nonce++
		f.Add(after[:], marshal(f, m))
	}
	f.Add([]byte{}, []byte{})
	c := &Client{tag: testTag(f)}
	f.Fuzz(func(t *testing.T, after, b []byte) {
		m := new(basenodepb.FindChainSplitResponse)
		if proto.Unmarshal(b, m) != nil {
			return
		}
		var at Hash
		copy(at[:], after)
		headers, err := c.chain(at, m.Headers)
		if err != nil {
			if !errors.As(err, new(*BadAnswerError)) || headers != nil {
				t.Fatalf("%v, %v", headers, err)
			}
			return
		}
		for i, h := range headers {
			if h.Prev != at || h.Height != headers[0].Height+uint64(i) || h.Height == 0 {
				t.Fatalf("%d: %+v behind %s", i, h, at)
			}
			at = h.Hash
		}
	})
}
