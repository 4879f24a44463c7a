package dialect

import (
	"strings"
	"testing"
)

// The table of docs/spec: what tari_common has for each network.
func TestNetworks(t *testing.T) {
	for name, want := range map[string]struct {
		wire, liveness byte
		dialect        string
	}{
		"mainnet":     {0x00, 0xa7, "modern"},
		"stagenet":    {0x01, 0xa7, "modern"},
		"nextnet":     {0x52, 0xa7, "modern"},
		"localnet":    {0x10, 0xa7, "modern"},
		"igor":        {0x24, 0xa7, "modern"},
		"esmeralda":   {0xca, 0xa7, "modern"},
		"stibbons":    {0x06, 0x46, "seed"},
		"ridcully":    {0x06, 0x46, "seed"},
		"rincewind":   {0x06, 0x46, "seed"},
		"testnet2020": {0x03, 0x45, "seed"},
	} {
		n, err := NetworkByName(" " + strings.ToUpper(name))
		if err != nil {
			t.Error(err)
			continue
		}
		if n.Name != name || n.String() != name || n.WireByte != want.wire || n.Liveness != want.liveness || n.Port != 18189 {
			t.Errorf("%s is %+v", name, n)
		}
		if d := Of(n); d.String() != want.dialect || d.WireByte() != want.wire {
			t.Errorf("%s speaks %s with byte %#x", name, d, d.WireByte())
		}
	}
	if n := len(Networks()); n != 10 {
		t.Errorf("%d networks", n)
	}
	if n, err := NetworkByName("esme"); err != nil || n.Name != "esmeralda" {
		t.Errorf("esme is %v, %v", n, err)
	}
	if _, err := NetworkByName("weatherwax"); err == nil || !strings.Contains(err.Error(), "mainnet") {
		t.Errorf("an unknown name: %v", err)
	}
	if d := Of(Network{Name: "mine", WireByte: 7}); d.String() != "modern" || d.WireByte() != 7 {
		t.Errorf("a network made by hand speaks %s with byte %#x", d, d.WireByte())
	}
}
