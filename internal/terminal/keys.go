package terminal

import (
	"bytes"
	"unicode/utf8"
)

// Key is a key that was pressed: the character, or a name below.
type Key string

// The keys that are no characters.
const (
	Up       Key = "up"
	Down     Key = "down"
	PageUp   Key = "page up"
	PageDown Key = "page down"
	Home     Key = "home"
	End      Key = "end"
	Tab      Key = "tab"
	Escape   Key = "escape"
	Enter    Key = "enter"
	CtrlC    Key = "ctrl-c"
	CtrlL    Key = "ctrl-l"
)

// sequences are what terminals send for keys, in both of the modes that cursor keys have.
var sequences = map[string]Key{
	"\x1b[A": Up, "\x1bOA": Up, "\x1b[B": Down, "\x1bOB": Down,
	"\x1b[5~": PageUp, "\x1b[6~": PageDown,
	"\x1b[H": Home, "\x1bOH": Home, "\x1b[1~": Home, "\x1b[7~": Home,
	"\x1b[F": End, "\x1bOF": End, "\x1b[4~": End, "\x1b[8~": End,
}

var controls = map[byte]Key{'\t': Tab, '\r': Enter, '\n': Enter, 0x03: CtrlC, 0x0c: CtrlL}

// maxSequence is how many bytes of a sequence are waited for, in case its end never comes.
const maxSequence = 32

// keyReader makes keys of bytes.
type keyReader struct{ rest []byte }

// read takes what was typed; nothing means that for a moment nothing came, so that an Escape on its own is one.
func (k *keyReader) read(typed []byte) (keys []Key) {
	k.rest = append(k.rest, typed...)
	for len(k.rest) > 0 {
		key, n := next(k.rest)
		if n == 0 && len(typed) > 0 && len(k.rest) < maxSequence {
			return keys // the end of it is under way
		}
		if n == 0 {
			key, n = Escape, 1
		}
		k.rest = k.rest[n:]
		if key != "" {
			keys = append(keys, key)
		}
	}
	return keys
}

// next is the first key of b and its length, 0 if it is not all there. What means nothing to us has no name.
func next(b []byte) (Key, int) {
	switch {
	case b[0] == 0x1b:
		n := sequenceLength(b)
		return sequences[string(b[:n])], n
	case b[0] < ' ' || b[0] == 0x7f:
		return controls[b[0]], 1
	case !utf8.FullRune(b):
		return "", 0
	}
	_, n := utf8.DecodeRune(b)
	return Key(b[:n]), n
}

// sequenceLength is the length of the escape sequence that b begins with: ESC [ … and a letter or ~, or ESC and one character.
func sequenceLength(b []byte) int {
	switch {
	case len(b) < 2 || b[1] == 'O' && len(b) < 3:
		return 0
	case b[1] == 'O':
		return 3
	case b[1] != '[':
		return 2
	}
	end := bytes.IndexFunc(b[2:], func(r rune) bool { return r >= '@' && r <= '~' })
	if end < 0 {
		return 0
	}
	return 2 + end + 1
}
