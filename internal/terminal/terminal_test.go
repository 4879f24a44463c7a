package terminal

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"tari/1.0":          "tari/1.0",
		"\x1b]0;title\x07":  `\u001b]0;title\u0007`,
		"a\nb\tc\r":         `a\u000ab\u0009c\u000d`,
		"\u009b2J":          `\u009b2J`,
		"\x9b2J":            `\x9b2J`,
		"漢字 é":              `\u6f22\u5b57 \u00e9`,
		"\u202eright\u200b": `\u202eright\u200b`,
		"😀":                 `\U0001f600`,
		"cut… ▁█":           "cut… ▁█",
		"\x7f":              `\u007f`,
	} {
		if got := Clean(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

func TestCut(t *testing.T) {
	line := Line{{"abc", Plain}, {"déf", Bold}} // é takes six columns
	if line.Width() != 11 || line.String() != `abcd\u00e9f` {
		t.Errorf("%d, %s", line.Width(), line)
	}
	for width, want := range []string{"", "…", "a…", "ab…", "abc…", "abcd…", `abcd\…`} {
		if got := line.Cut(width); got.String() != want || got.Width() != width {
			t.Errorf("%d: %q", width, got)
		}
	}
	if got := line.Cut(11).String(); got != line.String() {
		t.Error(got)
	}
}

func TestKeys(t *testing.T) {
	for _, c := range []struct {
		typed []string // what a read gives; "" is one that gives nothing
		want  []Key
	}{
		{[]string{"qj?"}, []Key{"q", "j", "?"}},
		{[]string{"\x1b[A\x1bOB\x1b[5~\x1b[6~\x1b[H\x1b[4~"}, []Key{Up, Down, PageUp, PageDown, Home, End}},
		{[]string{"\x1b", "[", "A"}, []Key{Up}},
		{[]string{"\x1b", "", "q"}, []Key{Escape, "q"}},
		{[]string{"\x1bO", ""}, []Key{Escape, "O"}},
		{[]string{"\x1bxq"}, []Key{"q"}},
		{[]string{"\x1b[1;5Cq"}, []Key{"q"}}, // Ctrl-Right means nothing here
		{[]string{"\t\r\x03\x0c\x01\x7f"}, []Key{Tab, Enter, CtrlC, CtrlL}},
		{[]string{"é\xc3", "\xa9"}, []Key{"é", "é"}},
		{[]string{"\xff\xfeq"}, []Key{"\xff", "\xfe", "q"}},
	} {
		var k keyReader
		var got []Key
		for _, typed := range c.typed {
			got = append(got, k.read([]byte(typed))...)
		}
		if !slices.Equal(got, c.want) || len(k.rest) != 0 {
			t.Errorf("%q: %q, %q is left", c.typed, got, k.rest)
		}
	}
	var k keyReader // a sequence without an end is not waited for forever
	for range 10 * maxSequence {
		k.read([]byte("\x1b[1;"))
	}
	if len(k.rest) > maxSequence+4 {
		t.Errorf("%d bytes are kept", len(k.rest))
	}
}

func TestProgress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var none *Progress
		none.Show(1, 2, "x")
		none.End()
		none.Aside(func() {})
		if NewProgress(new(bytes.Buffer), func(string) string { return "xterm" }) != nil {
			t.Error("a bar where there is no terminal")
		}
		var w bytes.Buffer
		width := 90
		p := &Progress{w: &w, width: func() int { return width }}
		p.End() // of nothing
		p.Show(0, 0, "%d of %d", 0, 0)
		p.Show(10, 10, "too soon")
		time.Sleep(barEvery)
		p.Show(10, 30, "10 of 30")
		p.Aside(func() { w.WriteString("aside\n") })
		time.Sleep(barEvery)
		width = 12
		p.Show(50, 30, "more than all")
		p.End()
		want := clearLine + "0 of 0" + clearLine + "[##########....................] 10 of 30" +
			clearLine + "aside\n" + clearLine + "[##########....................] 10 of 30" +
			clearLine + "more than …" + clearLine
		if w.String() != want {
			t.Errorf("%q", w.String())
		}
	})
}

func TestBarText(t *testing.T) {
	for _, c := range []struct {
		width       int
		done, total int64
		want        string
	}{
		{90, 1, 1, "[##############################] x"},
		{90, 1, 3, "[##########....................] x"},
		{90, -1, 3, "[" + strings.Repeat(".", 30) + "] x"},
		{90, 9, 3, "[##############################] x"},
		{90, 1 << 62, 1 << 62, "[##############################] x"},
		{15, 1, 1, "[#####] x"},
		{14, 1, 1, "x"},
		{2, 1, 1, "x"},
		{1, 1, 1, ""},
		{0, 1, 1, ""},
		{90, 1, 0, "x"},
	} {
		if got := barText(c.width, c.done, c.total, "x"); got != c.want {
			t.Errorf("%+v: %q", c, got)
		}
	}
}
