package terminal

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Style is how a piece of text looks.
type Style int

// The styles. What has no colour is told by the text as well.
const (
	Plain Style = iota
	Bold
	Dim
	Reverse
	Good // green
	Warn // yellow
	Bad  // red
	Mark // cyan
)

// sgr is the sequence that a style begins with; what colour alone makes is left out where there is none.
var sgr = []string{
	Plain: "", Bold: "\x1b[1m", Dim: "\x1b[2m", Reverse: "\x1b[7m",
	Good: "\x1b[32m", Warn: "\x1b[33m", Bad: "\x1b[31m", Mark: "\x1b[36m",
}

// Span is a piece of a line in one style.
type Span struct {
	Text  string
	Style Style
}

// Line is one line of a screen. Each character of it takes one column: see Clean.
type Line []Span

// Text is a line in one style.
func Text(style Style, format string, args ...any) Line {
	return Line{{fmt.Sprintf(format, args...), style}}
}

// String is the line without its styles.
func (l Line) String() string {
	var b strings.Builder
	for _, s := range l {
		b.WriteString(Clean(s.Text))
	}
	return b.String()
}

// Width is how many columns the line takes.
func (l Line) Width() (n int) {
	for _, s := range l {
		n += utf8.RuneCountInString(Clean(s.Text))
	}
	return n
}

// Cut is the line in at most width columns; that something is missing shows.
func (l Line) Cut(width int) Line {
	if l.Width() <= width {
		return l
	}
	var out Line
	for _, s := range l {
		text := Clean(s.Text)
		n := utf8.RuneCountInString(text)
		if n >= width {
			return append(out, Span{Cut(text+"…", width), s.Style}) // there is more, in this piece or the next
		}
		out, width = append(out, Span{text, s.Style}), width-n
	}
	return out
}

// Cut is text, as Clean has it, in at most width columns, ending in "…" if something is missing.
func Cut(text string, width int) string {
	runes := []rune(Clean(text))
	switch {
	case len(runes) <= width:
		return string(runes)
	case width <= 0:
		return ""
	}
	return string(runes[:width-1]) + "…"
}

// ours are the characters beyond ASCII that the views of this program use. Each takes one column everywhere.
const ours = "…·─▁▂▃▄▅▆▇█"

// Clean replaces every character that is not printable ASCII, or one of a few that this program uses, by its escape: text
// of strangers can neither command a terminal nor push a column aside.
func Clean(text string) string {
	clean := true
	for i := range len(text) {
		clean = clean && text[i] >= ' ' && text[i] <= '~'
	}
	if clean {
		return text
	}
	var b strings.Builder
	for len(text) > 0 {
		r, size := utf8.DecodeRuneInString(text)
		switch {
		case r == utf8.RuneError && size == 1:
			fmt.Fprintf(&b, `\x%02x`, text[0])
		case r >= ' ' && r <= '~' || strings.ContainsRune(ours, r):
			b.WriteRune(r)
		case r > 0xffff:
			fmt.Fprintf(&b, `\U%08x`, r)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
		text = text[size:]
	}
	return b.String()
}

// styled is the line with the sequences of its styles.
func (l Line) styled(colour bool) string {
	var b strings.Builder
	for _, s := range l {
		begin := sgr[s.Style]
		if s.Style >= Good && !colour {
			begin = ""
		}
		b.WriteString(begin)
		b.WriteString(Clean(s.Text))
		if begin != "" {
			b.WriteString("\x1b[m")
		}
	}
	return b.String()
}
