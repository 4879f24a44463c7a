package identityproto

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"encoding/json"
	"os"
	"slices"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// rustAnswer is what tari_comms 6.3.0-pre.2 says of a claim that
// internal/claimtest made: the addresses that it would keep, or its error and for how many seconds it bans.
type rustAnswer struct {
	Twist         string   `json:"twist"` // what is special about the claim
	Key           string   `json:"key"`
	Message       string   `json:"message"`
	Error         string   `json:"error"`
	Ban           int      `json:"ban"`
	Permitted     []string `json:"permitted"`
	PermittedTest []string `json:"permitted_test"` // where test addresses are allowed
}

// rustErrors are the names of tari_comms' errors for our kinds.
var rustErrors = map[Kind][]string{
	KindDecode:        {"Decode"},
	KindProtocols:     {"PeerIdentityTooManyProtocols", "PeerIdentityProtocolIdTooLong"},
	KindAddressCount:  {"PeerIdentityTooManyAddresses"},
	KindUserAgentSize: {"PeerIdentityUserAgentTooLong"},
	KindUserAgent:     {"NonPrintableUserAgent"},
	KindProtocolText:  {"NonPrintableProtocol"},
	KindAddress:       {"MultiaddrError"},
	KindFeatures:      {"InvalidPeerFeatures"},
	KindNoSignature:   {"MissingIdentitySignature", "BadIdentitySignature"},
	KindShape:         {"InvalidMultiaddr", "OnionV2NotSupported"},
	KindSignature:     {"InvalidPeerSignature"},
	KindFuture:        {"PeerSignatureFromFuture"},
}

func rustAnswers(t testing.TB) (out []rustAnswer) {
	t.Helper()
	f, err := os.Open("testdata/claims.jsonl")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var a rustAnswer
		if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
			t.Fatal(err)
		}
		out = append(out, a)
	}
	if len(out) < 250 {
		t.Fatalf("only %d claims", len(out))
	}
	return out
}

// TestClaimsAsRust gives some hundred claims, most of them twisted, to our rules
// and expects what the Rust node made of them: accepted or refused, for the same reason, with the same ban, the same addresses kept.
func TestClaimsAsRust(t *testing.T) {
	seen := map[Kind]bool{}
	for _, v := range rustAnswers(t) {
		message := unhex(t, v.Message)
		for _, test := range []bool{false, true} {
			rules := Rules{AllowTestAddresses: test}
			c, err := DecodeMessage(message, key(t, v.Key), rules, now)
			kind := kindOf(err)
			seen[kind] = true
			if kind != 0 {
				if !slices.Contains(rustErrors[kind], v.Error) || int(err.(*Error).BanFor().Seconds()) != v.Ban {
					t.Errorf("%q: %v, ban %s; Rust: %q, ban %d s\n%s", v.Twist, err, err.(*Error).BanFor(), v.Error, v.Ban, v.Message)
				}
				continue
			}
			if v.Error != "" {
				t.Errorf("%q: accepted; Rust: %s\n%s", v.Twist, v.Error, v.Message)
			}
			want := v.Permitted
			if test {
				want = v.PermittedTest
			}
			var got []string
			for _, a := range c.Filtered(rules) {
				got = append(got, hex.EncodeToString(a.Bytes()))
			}
			if !slices.Equal(got, want) {
				t.Errorf("%q: keeps %v, Rust %v", v.Twist, got, want)
			}
		}
	}
	for kind := range rustErrors {
		if !seen[kind] {
			t.Errorf("no claim for kind %d", kind)
		}
	}
}

// TestMarshal keeps claims and reads them back; cut ones are an error, never a panic.
func TestMarshal(t *testing.T) {
	for _, v := range rustAnswers(t) {
		c, err := DecodeMessage(unhex(t, v.Message), key(t, v.Key), Rules{}, now)
		if err != nil {
			continue
		}
		b, err := c.MarshalBinary()
		if err != nil {
			t.Fatal(err)
		}
		var back Claim
		if err := back.UnmarshalBinary(b); err != nil {
			t.Fatalf("%q: %v", v.Twist, err)
		}
		again, err := back.MarshalBinary()
		if err != nil || !bytes.Equal(again, b) || back.Key != c.Key || back.VerifySignature(now) != nil {
			t.Errorf("%q: came back as %+v, %v", v.Twist, back, err)
		}
		for n := range b {
			_ = back.UnmarshalBinary(b[:n])
		}
	}
	unsigned := Claim{Key: us.Public(), UserAgent: "seed"}
	b, err := unsigned.MarshalBinary()
	if err != nil {
		t.Fatal(err)
	}
	var back Claim
	if err := back.UnmarshalBinary(b); err != nil || back.Signature != nil || back.UserAgent != "seed" {
		t.Errorf("an unsigned claim came back as %+v, %v", back, err)
	}
	var empty Claim
	if err := empty.UnmarshalBinary(us.Public().Bytes()); err != nil || empty.Key != us.Public() {
		t.Errorf("a key alone came back as %+v, %v", empty, err)
	}
	for name, b := range map[string][]byte{
		"nothing": nil, "half a key": b[:16], "no key": make([]byte, 32), "no protobuf": append(bytes.Clone(us.Public().Bytes()), 0xff),
		"no address": prost.AppendBytes(bytes.Clone(us.Public().Bytes()), 1, []byte{0xff}), "no signature": prost.AppendBytes(bytes.Clone(us.Public().Bytes()), 5, nil),
	} {
		if err := back.UnmarshalBinary(b); err == nil {
			t.Errorf("%s: read", name)
		}
	}
	if back.Key != us.Public() || back.UserAgent != "seed" {
		t.Error("a failed read changed the claim")
	}
}
