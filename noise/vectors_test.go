package noise

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"io"
	"os"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"github.com/tari-libp2p/tari-libp2p/internal/transcript"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// vector is a handshake, and frames after it, as tari_comms computed them.
type vector struct {
	Name      string
	From      string
	Pattern   string
	Prologue  hexBytes
	HashDH    bool `json:"hash_dh"`
	Initiator vectorKeys
	Responder vectorKeys
	Messages  []hexBytes // whole frames, the initiator's first
	Hash      hexBytes   `json:"handshake_hash"`
	Frames    []struct {
		From      string
		Plaintext hexBytes
		Frame     hexBytes
	}
}

type vectorKeys struct {
	Static          hexBytes
	StaticPublic    hexBytes `json:"static_public"`
	Ephemeral       hexBytes
	EphemeralPublic hexBytes `json:"ephemeral_public"`
}

type hexBytes []byte

func (b *hexBytes) UnmarshalText(text []byte) (err error) {
	*b, err = hex.DecodeString(string(text))
	return err
}

func loadVectors(t testing.TB) []vector {
	t.Helper()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Cases []vector }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Cases) == 0 {
		t.Fatal("no vectors")
	}
	return file.Cases
}

// configs returns both sides' configuration with the vector's keys.
func (v vector) configs(t testing.TB) (client, server Config) {
	t.Helper()
	params := Params{Prologue: v.Prologue, HashDH: v.HashDH}
	switch {
	case strings.HasPrefix(v.Pattern, "Noise_XX_"):
		params.Pattern = XX
	case strings.HasPrefix(v.Pattern, "Noise_IX_"):
		params.Pattern = IX
	default:
		t.Fatalf("pattern %q", v.Pattern)
	}
	return v.Initiator.config(t, params), v.Responder.config(t, params)
}

func (k vectorKeys) config(t testing.TB, params Params) Config {
	t.Helper()
	sk, err := tarikey.ParseSecretKey(k.Static)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(sk.Public().Bytes(), k.StaticPublic) {
		t.Fatalf("public key %x, want %x", sk.Public().Bytes(), k.StaticPublic)
	}
	return Config{Params: params, Static: sk, Rand: fixed(k.Ephemeral)}
}

// fixed is a source of randomness that makes tarikey.GenerateKey return the given scalar: 64 bytes are reduced modulo the group
// order, and a canonical scalar behind which only zeros follow is reduced to itself.
func fixed(scalar []byte) io.Reader {
	return bytes.NewReader(append(bytes.Clone(scalar), make([]byte, 32)...))
}

// TestVectors checks every byte of both sides of the handshake, and of the frames after it, against tari_comms.
func TestVectors(t *testing.T) {
	for _, v := range loadVectors(t) {
		t.Run(v.Pattern+" "+v.Name, func(t *testing.T) {
			t.Run("initiator", func(t *testing.T) { v.play(t, true) })
			t.Run("responder", func(t *testing.T) { v.play(t, false) })
		})
	}
}

// play runs one side against the bytes of the other.
func (v vector) play(t *testing.T, initiator bool) {
	var flows []transcript.Flow
	for i, message := range v.Messages {
		flows = append(flows, transcript.Flow{From: [...]transcript.Side{transcript.Initiator, transcript.Responder}[i%2], Bytes: message})
	}
	us, ourName := transcript.Responder, "responder"
	if initiator {
		us, ourName = transcript.Initiator, "initiator"
	}
	var theirs []byte
	for _, frame := range v.Frames {
		from := transcript.Initiator
		if frame.From == "responder" {
			from = transcript.Responder
		}
		flows = append(flows, transcript.Flow{From: from, Bytes: frame.Frame})
		if frame.From != ourName {
			theirs = append(theirs, frame.Plaintext...)
		}
	}
	replay := transcript.NewReplay(flows, us)

	client, server := v.configs(t)
	shake, cfg, remote := Server, server, v.Initiator
	if initiator {
		shake, cfg, remote = Client, client, v.Responder
	}
	conn, err := shake(context.Background(), replay, cfg)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(conn.RemoteKey().Bytes(), remote.StaticPublic) {
		t.Errorf("remote key %s, want %x", conn.RemoteKey(), remote.StaticPublic)
	}
	if !bytes.Equal(conn.binding, v.Hash) {
		t.Errorf("handshake hash %x, want %x", conn.binding, v.Hash)
	}
	for _, frame := range v.Frames {
		if frame.From == ourName {
			writeFrame(t, conn, frame.Plaintext)
		}
	}
	got, err := io.ReadAll(conn)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, theirs) {
		t.Errorf("read %x, want %x", got, theirs)
	}
	if err := replay.Done(); err != nil {
		t.Error(err)
	}
}

// writeFrame writes p as one frame, even where Write would not: tari_comms can send a frame without plaintext, we never do.
func writeFrame(t testing.TB, c *Conn, p []byte) {
	t.Helper()
	if len(p) > 0 {
		if _, err := c.Write(p); err != nil {
			t.Fatal(err)
		}
		return
	}
	nonce, err := c.tx.key.advance()
	if err != nil {
		t.Fatal(err)
	}
	frame := c.tx.key.aead.Seal(binary.BigEndian.AppendUint16(nil, Overhead), nonce, nil, nil)
	if _, err := c.inner.Write(frame); err != nil {
		t.Fatal(err)
	}
}
