package identityproto

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// signatureVector is an identity signature that tari_comms made or refused.
type signatureVector struct {
	Name       string   `json:"name"`
	What       string   `json:"what"`
	PublicKey  string   `json:"public_key"`
	Addresses  []string `json:"addresses"`
	Features   uint32   `json:"features"`
	Proto      string   `json:"signature_proto"`
	Challenge  string   `json:"challenge"`
	UpdatedAt  int64    `json:"updated_at"`
	Version    uint32   `json:"version"`
	Verifies   bool     `json:"verifies"`
	Error      string   `json:"error"`
	Tampered   []signatureVector
	SecretKey  string `json:"secret_key"`
	NonceIsHex string `json:"public_nonce"`
}

type messageVector struct {
	Name      string   `json:"name"`
	PublicKey string   `json:"public_key"`
	Addresses []string `json:"addresses"`
	Texts     []string `json:"addresses_text"`
	Features  uint32   `json:"features"`
	Protocols []string `json:"supported_protocols"`
	UserAgent string   `json:"user_agent"`
	Frame     string   `json:"frame"`
	Message   string   `json:"message"`
	UpdatedAt int64    `json:"updated_at"`
}

type modernVectors struct {
	Signatures []signatureVector `json:"signatures"`
	Crate      signatureVector   `json:"crate_signed"`
	Future     signatureVector   `json:"future"`
	Version1   signatureVector   `json:"version1"`
	Messages   []messageVector   `json:"messages"`
	Multiaddrs []struct{ Bytes, Text, Input, Error string }
	Session    struct {
		A, B   string
		Frames []struct{ Dir, Hex string }
	}
}

type seedVectors struct {
	Messages []messageVector `json:"messages"`
	Session  struct {
		A, B         string
		Conversation []struct{ Dir, Hex string }
	}
}

func load[T any](t testing.TB, name string) (v T) {
	t.Helper()
	b, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func key(t testing.TB, s string) tarikey.PublicKey {
	t.Helper()
	k, err := tarikey.PublicKeyFromHex(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// claim makes the claim that a vector describes.
func (v signatureVector) claim(t testing.TB) *Claim {
	t.Helper()
	c := &Claim{Key: key(t, v.PublicKey), Features: Features(v.Features)}
	for _, a := range v.Addresses {
		addr, err := ma.NewMultiaddrBytes(unhex(t, a))
		if err != nil {
			t.Fatal(err)
		}
		c.Addresses = append(c.Addresses, addr)
	}
	var s modernSignature
	if err := s.decode(unhex(t, v.Proto)); err != nil {
		t.Fatal(err)
	}
	sig, err := s.parse()
	if err != nil {
		t.Fatal(err)
	}
	c.Signature = sig
	return c
}

// now is a day on which every vector but the one of the future is of the past.
var now = time.Date(2026, 12, 1, 0, 0, 0, 0, time.UTC)

func TestSignaturesOfRust(t *testing.T) {
	v := load[modernVectors](t, "modern.json")
	good := append(v.Signatures, v.Crate, v.Version1)
	if len(good) < 7 {
		t.Fatalf("only %d vectors", len(good))
	}
	for _, sv := range good {
		c := sv.claim(t)
		challenge := c.challenge(c.Signature.Nonce, c.Signature.Version, c.Signature.UpdatedAt)
		if got := hex.EncodeToString(challenge[:]); got != sv.Challenge {
			t.Errorf("%s: challenge %s, want %s", sv.Name, got, sv.Challenge)
		}
		if err := c.VerifySignature(now); err != nil {
			t.Errorf("%s: %v", sv.Name, err)
		}
		if got := hex.EncodeToString(c.Signature.encode()); got != sv.Proto {
			t.Errorf("%s: encoded %s, want %s", sv.Name, got, sv.Proto)
		}
		for _, bad := range sv.Tampered {
			kind := kindOf(bad.claim(t).VerifySignature(now))
			if kind != KindSignature {
				t.Errorf("%s, %s: kind %d", sv.Name, bad.What, kind)
			}
		}
	}
	if k := kindOf(v.Future.claim(t).VerifySignature(now)); k != KindFuture {
		t.Errorf("dated in 2100: kind %d", k)
	}
}

func kindOf(err error) Kind {
	if err == nil {
		return 0
	}
	return err.(*Error).Kind
}

func TestMessagesOfRust(t *testing.T) {
	for _, v := range load[modernVectors](t, "modern.json").Messages {
		c, err := DecodeMessage(unhex(t, v.Message), key(t, v.PublicKey), Rules{AllowTestAddresses: true}, now)
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if c.UserAgent != v.UserAgent || uint32(c.Features) != v.Features || len(c.Protocols) != len(v.Protocols) || c.Signature.UpdatedAt.Unix() != v.UpdatedAt {
			t.Errorf("%s: decoded %+v", v.Name, c)
		}
		for i, p := range v.Protocols {
			if string(c.Protocols[i]) != p || !c.Supports(c.Protocols[i]) {
				t.Errorf("%s: protocol %q, want %q", v.Name, c.Protocols[i], p)
			}
		}
		for i, a := range texts(c.Addresses) {
			if a != v.Texts[i] {
				t.Errorf("%s: address %s, want %s", v.Name, a, v.Texts[i])
			}
		}
		frame, err := EncodeFrame(c)
		if err != nil || hex.EncodeToString(frame) != v.Frame {
			t.Errorf("%s: encoded %x (%v), want %s", v.Name, frame, err, v.Frame)
		}
	}
}

func TestMultiaddrsOfRust(t *testing.T) {
	for _, v := range load[modernVectors](t, "modern.json").Multiaddrs {
		if v.Error != "" {
			continue
		}
		a, err := decodeAddress(unhex(t, v.Bytes))
		if err != nil {
			t.Errorf("%s: %v", v.Input, err)
		} else if a.String() != v.Text {
			t.Errorf("%s: %s", v.Input, a)
		}
	}
}

func TestRecordedFrames(t *testing.T) {
	v := load[modernVectors](t, "modern.json").Session
	if len(v.Frames) != 2 {
		t.Fatalf("%d identity frames in the recorded session", len(v.Frames))
	}
	for _, f := range v.Frames {
		k := v.A
		if f.Dir == "B>A" {
			k = v.B
		}
		frame := unhex(t, f.Hex)
		c, err := DecodeMessage(frame[3:], key(t, k), Rules{AllowTestAddresses: true}, now)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := EncodeFrame(c); err != nil || hex.EncodeToString(again) != f.Hex {
			t.Errorf("%s: encodes as %x, %v", f.Dir, again, err)
		}
	}
}

func TestSeedMessagesOfRust(t *testing.T) {
	for _, v := range load[seedVectors](t, "seed.json").Messages {
		c, err := decodeSeed(unhex(t, v.Message), key(t, v.PublicKey), Rules{AllowTestAddresses: true})
		if err != nil {
			t.Errorf("%s: %v", v.Name, err)
			continue
		}
		if got := hex.EncodeToString(encodeSeed(c)); got != v.Message {
			t.Errorf("%s: encoded %s, want %s", v.Name, got, v.Message)
		}
		if c.UserAgent != v.UserAgent || uint32(c.Features) != v.Features || len(c.Addresses) != len(v.Addresses) {
			t.Errorf("%s: decoded %+v", v.Name, c)
		}
	}
}
