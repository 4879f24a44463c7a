package basenode

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// The vectors of tari_transaction_components for the hasher, with the label
// test_vector in place of ours, on every network.
func TestHasherOfRust(t *testing.T) {
	input := make([]byte, 32)
	for i := range input {
		input[i] = byte(i)
	}
	for network, want := range map[string]string{
		"mainnet":   "daea038d26a7d8123210e8237e9b9bb4215f9bbcd3b64a3d22fb9a997a88202e",
		"stagenet":  "46e63e6f0113f8e3bbcade8a0c65bcb379279d04e06fae1686170c7ca171391b",
		"nextnet":   "11abf431922746eafa93d92420dd0e0261829859a3a302dc72b67bb0a78e6940",
		"localnet":  "1b6c832ede284d5035cd1e9fc0b4eed2dd8035fd9cc974ff8ce064c5837bf26d",
		"igor":      "71fc587eae55cb35c4b8d0808204bc7aedb811b4c0a1932dbc1d20a54570a2bf",
		"esmeralda": "0385d48b58895e74257b7ce6dab8cb85cd468db50ae475e291d5ccc6d18a772a",
	} {
		n, err := dialect.NetworkByName(network)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := headerTag(n)
		if err != nil {
			t.Fatal(err)
		}
		tag = strings.Replace(tag, "block_header", "test_vector", 1)
		if got := sumOf(tag, input); got.String() != want {
			t.Errorf("%s: %s, want %s", network, got, want)
		}
	}
}

// The first block of four networks, with the hash that tari_core pins.
func TestGenesisOfRust(t *testing.T) {
	raw, err := os.ReadFile("testdata/genesis.json")
	if err != nil {
		t.Fatal(err)
	}
	var vectors struct {
		Headers []struct {
			Network string
			Version uint16
			Height  uint64

			PrevHash      Hash   `json:"prev_hash"`
			Timestamp     uint64 `json:"timestamp"`
			OutputMR      Hash   `json:"output_mr"`
			BlockOutputMR Hash   `json:"block_output_mr"`
			KernelMR      Hash   `json:"kernel_mr"`
			InputMR       Hash   `json:"input_mr"`
			KernelOffset  Hash   `json:"kernel_offset"`
			ScriptOffset  Hash   `json:"script_offset"`
			Nonce         uint64
			PowAlgo       uint8  `json:"pow_algo"`
			PowData       string `json:"pow_data"`
			KernelMMRSize uint64 `json:"kernel_mmr_size"`
			OutputMMRSize uint64 `json:"output_mmr_size"`
			ValidatorMR   Hash   `json:"validator_mr"`
			ValidatorSize uint64 `json:"validator_size"`
			MiningHash    Hash   `json:"mining_hash"`
			Hash          Hash
		}
	}
	if err := json.Unmarshal(raw, &vectors); err != nil {
		t.Fatal(err)
	}
	for _, v := range vectors.Headers {
		pow, err := hex.DecodeString(v.PowData)
		if err != nil {
			t.Fatal(err)
		}
		h := &Header{
			Version: v.Version, Height: v.Height, Prev: v.PrevHash, Timestamp: v.Timestamp,
			OutputMR: v.OutputMR, BlockOutputMR: v.BlockOutputMR, KernelMR: v.KernelMR, InputMR: v.InputMR,
			KernelOffset: v.KernelOffset, ScriptOffset: v.ScriptOffset, Nonce: v.Nonce, PowAlgo: v.PowAlgo, PowData: pow,
			KernelMMRSize: v.KernelMMRSize, OutputMMRSize: v.OutputMMRSize, ValidatorMR: v.ValidatorMR, ValidatorSize: v.ValidatorSize,
		}
		n, err := dialect.NetworkByName(v.Network)
		if err != nil {
			t.Fatal(err)
		}
		tag, err := headerTag(n)
		if err != nil {
			t.Fatal(err)
		}
		if got := h.miningHash(tag); got != v.MiningHash {
			t.Errorf("%s: mining hash %s, want %s", v.Network, got, v.MiningHash)
		}
		if got, err := h.HashIn(n); err != nil || got != v.Hash {
			t.Errorf("%s: hash %s, %v, want %s", v.Network, got, err, v.Hash)
		}
		parsed, err := parseHeader(h.Message(), tag)
		if err != nil || parsed.Hash != v.Hash {
			t.Errorf("%s: read back: %+v, %v", v.Network, parsed, err)
		}
	}
	if len(vectors.Headers) != 4 {
		t.Errorf("%d headers", len(vectors.Headers))
	}
}

func TestNetworks(t *testing.T) {
	zero, err := headerTag(dialect.Network{})
	if main, _ := headerTag(dialect.Mainnet); err != nil || zero != main {
		t.Errorf("without a network: %q, %v", zero, err)
	}
	if _, err := New(nil, "", Config{Network: dialect.Stibbons}); err == nil {
		t.Error("a network of 2020 can be read")
	}
	if _, err := new(Header).HashIn(dialect.Stibbons); err == nil {
		t.Error("a header has a hash in a network of 2020")
	}
}

func TestParseHash(t *testing.T) {
	good := strings.Repeat("0a", 32)
	if h, err := ParseHash(good); err != nil || h.String() != good {
		t.Errorf("%s, %v", h, err)
	}
	for _, bad := range []string{"", "0a", good[1:], good + "0a", good[:62] + "xy", good[:62] + "é"} {
		if h, err := ParseHash(bad); err == nil || h != (Hash{}) {
			t.Errorf("%q is %s", bad, h)
		}
	}
}
