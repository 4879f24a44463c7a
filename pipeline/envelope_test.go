package pipeline

import (
	"bytes"
	"context"
	"encoding/hex"
	"errors"
	"slices"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
)

func TestEnvelope(t *testing.T) {
	tests := []struct {
		name  string
		parts []string
		hex   string
	}{
		{"none", nil, ""},
		{"one, empty", []string{""}, "0a00"},
		{"header and message", []string{"\x08\x01", "hello"}, "0a0208010a0568656c6c6f"},
	}
	for _, tt := range tests {
		var parts [][]byte
		for _, p := range tt.parts {
			parts = append(parts, []byte(p))
		}
		b := AppendEnvelope(nil, parts...)
		if hex.EncodeToString(b) != tt.hex {
			t.Errorf("%s: %x", tt.name, b)
		}
		got, err := ParseEnvelope(b)
		if err != nil || !slices.EqualFunc(got, parts, bytes.Equal) {
			t.Errorf("%s: got %q, %v", tt.name, got, err)
		}
	}
}

func TestEnvelopeBad(t *testing.T) {
	flood := bytes.Repeat([]byte{0x0a, 0}, MaxParts+1)
	if parts, err := ParseEnvelope(flood[2:]); err != nil || len(parts) != MaxParts {
		t.Errorf("%d parts: %v", len(parts), err)
	}
	for name, b := range map[string][]byte{
		"too many parts":     flood,
		"wrong wire type":    {0x08, 1},
		"cut in a part":      {0x0a, 5, 'h'},
		"cut in a length":    {0x0a, 0x80},
		"field number 0":     {0x02, 0},
		"group without end":  {0x13},
		"huge length":        {0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f},
		"text, not protobuf": []byte("hello, world"),
	} {
		if parts, err := ParseEnvelope(b); !errors.Is(err, ErrEnvelope) {
			t.Errorf("%s: got %q, %v", name, parts, err)
		}
	}
	if parts, err := ParseEnvelope([]byte{0x10, 7, 0x0a, 1, 'x'}); err != nil || len(parts) != 1 {
		t.Errorf("with a field that is not ours: %q, %v", parts, err)
	}
}

func TestPackUnpack(t *testing.T) {
	var got Message
	h := Chain(func(_ context.Context, m Message) error { got = m; return nil }, Pack, Unpack)
	if err := h(t.Context(), msg("p", "hello")); err != nil || string(got.Body) != "\x0a\x05hello" || len(got.Parts) != 1 || string(got.Parts[0]) != "hello" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := h(t.Context(), Message{Parts: [][]byte{[]byte("h"), []byte("m")}}); err != nil || len(got.Parts) != 2 || string(got.Parts[1]) != "m" {
		t.Errorf("got %q, %v", got, err)
	}
	if err := Unpack(nothing)(t.Context(), msg("p", "hello, world")); !errors.Is(err, ErrEnvelope) {
		t.Errorf("got %v", err)
	}
}

func FuzzParseEnvelope(f *testing.F) {
	f.Add([]byte{})
	f.Add(AppendEnvelope(nil, []byte("header"), []byte("message")))
	f.Add([]byte{0x10, 7, 0x0a, 1, 'x'})
	f.Add([]byte{0x13, 0x14})
	f.Add([]byte{0x0a, 0xff, 0xff, 0xff, 0xff, 0x0f})
	f.Fuzz(func(t *testing.T, b []byte) {
		parts, err := ParseEnvelope(b)
		if err != nil {
			if !errors.Is(err, ErrEnvelope) {
				t.Errorf("got %v", err)
			}
			return
		}
		size := 0
		for _, p := range parts {
			size += len(p) + 1 + protowire.SizeVarint(uint64(len(p)))
		}
		again := AppendEnvelope(nil, parts...)
		if len(again) != size || len(again) > len(b) {
			t.Errorf("%d bytes became %d", len(b), len(again))
		}
		if got, err := ParseEnvelope(again); err != nil || !slices.EqualFunc(got, parts, bytes.Equal) {
			t.Errorf("got %q, %v, want %q", got, err, parts)
		}
	})
}
