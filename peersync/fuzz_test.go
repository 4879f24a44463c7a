package peersync

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/dhtproto"
)

// dayOfTests is when the claims in identityproto's testdata were made.
var dayOfTests = time.Unix(1_800_000_000, 0)

// rustItems are the claims of identityproto's testdata, twisted or not, as items
// of an answer: fields 1, 2 and 5 of the one message are 1, 2 and 3 of the other.
func rustItems(t testing.TB) (items [][]byte) {
	t.Helper()
	raw, err := os.ReadFile("../identityproto/testdata/claims.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	for line := range bytes.Lines(raw) {
		var v struct{ Key, Message string }
		if err := json.Unmarshal(line, &v); err != nil {
			t.Fatal(err)
		}
		key, _ := hex.DecodeString(v.Key)
		message, _ := hex.DecodeString(v.Message)
		peer := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), key)
		peer = protowire.AppendBytes(protowire.AppendTag(peer, 2, protowire.BytesType), asClaim(message))
		items = append(items, protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), peer))
	}
	return items
}

// asClaim leaves out what a relayed claim does not have. What does not parse stays as it is.
func asClaim(message []byte) (claim []byte) {
	for rest := message; len(rest) > 0; {
		num, typ, n := protowire.ConsumeTag(rest)
		size := 0
		if n >= 0 {
			size = protowire.ConsumeFieldValue(num, typ, rest[n:])
		}
		if n < 0 || size < 0 {
			return append(claim, rest...)
		}
		switch num {
		case 1, 2:
			claim = append(claim, rest[:n+size]...)
		case 5:
			claim = append(protowire.AppendTag(claim, 3, typ), rest[n:n+size]...)
		}
		rest = rest[n+size:]
	}
	return claim
}

// FuzzAnswer reads items of an answer. A peer that is accepted is the claim that
// was signed, whole, and can be passed on.
func FuzzAnswer(f *testing.F) {
	for _, item := range rustItems(f) {
		f.Add(item)
	}
	now := dayOfTests
	f.Fuzz(func(t *testing.T, b []byte) {
		var item dhtproto.GetPeersResponse
		if proto.Unmarshal(b, &item) != nil || item.Peer == nil {
			return
		}
		p, fault := verify(item.Peer, false, now)
		if fault != "" {
			if p.Claim != nil || p.Addrs != nil {
				t.Errorf("%s, and yet %+v", fault, p)
			}
			return
		}
		if p.Claim.VerifySignature(now) != nil || !bytes.Equal(p.Claim.Key.Bytes(), item.Peer.PublicKey) || len(p.Addrs) == 0 {
			t.Errorf("accepted %+v", p)
		}
		for _, a := range p.Addrs {
			if !identityproto.Usable(a, false) {
				t.Errorf("%s is to be dialed", a)
			}
		}
		if again, fault := verify(itemOf(p.Claim).Peer, false, now); fault != "" || again.Claim.Key != p.Claim.Key {
			t.Errorf("passed on it is %q", fault)
		}
	})
}

// TestRustItems: of the claims that tari_comms was asked about, some hold and some do not.
func TestRustItems(t *testing.T) {
	good, faults := 0, map[Fault]int{}
	for _, b := range rustItems(t) {
		var item dhtproto.GetPeersResponse
		if proto.Unmarshal(b, &item) != nil {
			continue
		}
		if _, fault := verify(item.Peer, true, dayOfTests); fault == "" {
			good++
		} else {
			faults[fault]++
		}
	}
	if good < 50 || faults[FaultSignature] == 0 || faults[FaultShape] == 0 || faults[FaultMalformed] == 0 {
		t.Errorf("%d hold; %v", good, faults)
	}
}
