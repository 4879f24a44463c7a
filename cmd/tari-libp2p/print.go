package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
)

// schema is the version of every JSON object that the command prints. Fields may be added within a version.
const schema = 1

// maxShown is how much of a message is shown on one line, in bytes; --json has all of it.
const maxShown = 200

// printer writes whole lines to a terminal or a pipe. Whatever it is given, no control character but tab and newline
// goes through: texts of strangers end here. Safe for concurrent use.
type printer struct {
	mu sync.Mutex
	w  io.Writer
}

// Write escapes what is not printable. p must hold whole characters.
func (p *printer) Write(text []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if _, err := p.w.Write(escape(text)); err != nil {
		return 0, err
	}
	return len(text), nil
}

// raw writes bytes as they are: only for who asked for them.
func (p *printer) raw(b []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, err := p.w.Write(b)
	return err
}

func (p *printer) printf(format string, args ...any) { fmt.Fprintf(p, format, args...) }

// json prints values that marshal to objects as one object on one line, with the schema version first.
func (p *printer) json(values ...any) error {
	line := fmt.Appendf(nil, `{"schema":%d`, schema)
	for _, v := range values {
		body, err := json.Marshal(v)
		if err != nil {
			return err
		}
		if fields := body[1 : len(body)-1]; len(fields) > 0 {
			line = append(append(line, ','), fields...)
		}
	}
	_, err := p.Write(append(line, "}\n"...))
	return err
}

// escape replaces each character that is not printable, and each byte that is no character, by its \u or \x form, which
// keeps JSON valid: outside of strings it has printable characters only. (\x never comes up in JSON, which is UTF-8.)
func escape(text []byte) []byte {
	clean := true
	for _, b := range text {
		if b != '\n' && b != '\t' && (b < 0x20 || b > 0x7e) {
			clean = false
			break
		}
	}
	if clean {
		return text
	}
	out := make([]byte, 0, len(text)+16)
	for len(text) > 0 {
		r, size := utf8.DecodeRune(text)
		switch {
		case r == utf8.RuneError && size == 1:
			out = fmt.Appendf(out, `\x%02x`, text[0])
		case r == '\n' || r == '\t' || unicode.IsPrint(r):
			out = append(out, text[:size]...)
		case r > 0xffff:
			r -= 0x10000
			out = fmt.Appendf(out, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
		text = text[size:]
	}
	return out
}

// quote shows a peer's text on one line: quoted, so that it cannot pass for ours.
func quote(text string) string { return strconv.Quote(text) }

// oneLine shows an error, which may quote a peer, on one line.
func oneLine(err error) string {
	return strings.NewReplacer("\n", "; ", "\r", "").Replace(err.Error())
}

// preview shows a message: as quoted text if it is text, else as hex; the beginning of it if it is long.
func preview(message []byte) string {
	shown, more := message, ""
	if len(shown) > maxShown {
		shown, more = shown[:maxShown], "…"
		for cut := 1; cut < utf8.UTFMax && !utf8.Valid(shown); cut++ { // do not end within a character
			shown = shown[:len(shown)-1]
		}
	}
	if utf8.Valid(shown) {
		return strconv.Quote(string(shown)) + more
	}
	return fmt.Sprintf("hex %x%s", shown, more)
}

// progress is for how far a command is, on standard error. It is nil, which shows nothing, if that is no terminal, or if the command
// prints lines on one meanwhile: they would get mixed up.
func (a *app) progress(lines bool) *terminal.Progress {
	if lines && terminal.Is(a.out.w) {
		return nil
	}
	return terminal.NewProgress(a.err.w, os.Getenv)
}
