package peersync

import (
	"bytes"
	"encoding/hex"
	"os"
	"testing"

	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
)

// TestItemOfRust: an item as the service of tari_comms_dht 6.3.0-pre.2 sent it, of a peer on tari_comms. We read it, would send the same
// bytes, and take it with no bit of it changed.
func TestItemOfRust(t *testing.T) {
	text, err := os.ReadFile("testdata/item_of_rust.hex")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := hex.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		t.Fatal(err)
	}
	var item dhtproto.GetPeersResponse
	if err := proto.Unmarshal(raw, &item); err != nil {
		t.Fatal(err)
	}
	p, fault := verify(item.Peer, true, dayOfTests)
	if fault != "" || p.Claim.Features != identityproto.FeatureNode || len(p.Addrs) != 1 || p.Addrs[0].String() != "/ip4/127.0.0.1/tcp/42607" {
		t.Fatalf("%+v, %q", p, fault)
	}
	if _, fault := verify(item.Peer, false, dayOfTests); fault != FaultInternal {
		t.Errorf("in public it is %q", fault)
	}
	if ours, err := proto.Marshal(itemOf(p.Claim)); err != nil || !bytes.Equal(ours, raw) {
		t.Errorf("we send %x, %v", ours, err)
	}
	for i := range 8 * len(raw) {
		bad := bytes.Clone(raw)
		bad[i/8] ^= 1 << (i % 8)
		var item dhtproto.GetPeersResponse
		if proto.Unmarshal(bad, &item) != nil || item.Peer == nil {
			continue
		}
		if _, fault := verify(item.Peer, true, dayOfTests); fault == "" {
			t.Errorf("bit %d of byte %d changed: accepted", i%8, i/8)
		}
	}
}
