package main

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

// A stranger's text must not reach the terminal as anything but printable characters.
func TestEscape(t *testing.T) {
	for _, c := range []struct{ in, want string }{
		{"plain\ttext\n", "plain\ttext\n"},
		{"grüße 世界 😀\n", "grüße 世界 😀\n"},
		{"\x1b[2J", `\u001b[2J`},
		{"\u009b2J", `\u009b2J`},
		{"\x7f\x00\r", `\u007f\u0000\u000d`},
		{"a\u202eb", `a\u202eb`},
		{"\xff\xfe", `\xff\xfe`},
		{"\U000e0041", `\udb40\udc41`},
		{"\u2028", `\u2028`},
	} {
		if got := string(escape([]byte(c.in))); got != c.want {
			t.Errorf("escape(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}

func TestPrinterJSON(t *testing.T) {
	var buf bytes.Buffer
	p := &printer{w: &buf}
	text := "\x1b[31m\u009b\x7f\u202e\u2028\U000e0041 世 \xff"
	if err := p.json(struct {
		A string `json:"a"`
	}{text}); err != nil {
		t.Fatal(err)
	}
	if err := p.json(struct{}{}); err != nil {
		t.Fatal(err)
	}
	lines := strings.Split(strings.TrimSuffix(buf.String(), "\n"), "\n")
	if len(lines) != 2 || lines[1] != `{"schema":1}` {
		t.Fatalf("lines: %q", lines)
	}
	if lines[0] != string(escape([]byte(lines[0]))) {
		t.Errorf("unprintable characters left: %q", lines[0])
	}
	var back struct {
		Schema int
		A      string
	}
	if err := json.Unmarshal([]byte(lines[0]), &back); err != nil {
		t.Fatal(err)
	}
	if want := strings.ToValidUTF8(text, "\ufffd"); back.A != want || back.Schema != 1 {
		t.Errorf("got %+q, schema %d; want %+q", back.A, back.Schema, want)
	}
}

func TestPreview(t *testing.T) {
	for _, c := range []struct {
		in   string
		want string
	}{
		{"", `""`},
		{"hello", `"hello"`},
		{"two\nlines\x1b", `"two\nlines\x1b"`},
		{"\x00\xff", `hex 00ff`},
		{strings.Repeat("a", 200), `"` + strings.Repeat("a", 200) + `"`},
		{strings.Repeat("a", 201), `"` + strings.Repeat("a", 200) + `"…`},
		{strings.Repeat("a", 199) + "世", `"` + strings.Repeat("a", 199) + `"…`},
		{strings.Repeat("\xff", 201), "hex " + strings.Repeat("ff", 197) + "…"},
	} {
		if got := preview([]byte(c.in)); got != c.want {
			t.Errorf("preview(%q) = %q, want %q", c.in, got, c.want)
		}
	}
}
