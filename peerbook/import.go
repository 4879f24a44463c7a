package peerbook

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"
)

// Bounds of an import.
const (
	maxImportLine   = 256 << 10 // bytes
	maxImportErrors = 100
	importBatch     = 500 // records between syncs
)

// Imported is what became of the lines of an import.
type Imported struct {
	Added  int // peers that were unknown
	Merged int // peers that were known
	Bad    int // lines that changed nothing

	Errors []*LineError // what was wrong with them, the first 100
}

// LineError says what is wrong with a line of an import; the first line is 1.
// It does not repeat the line.
type LineError struct {
	Line int
	Err  error
}

func (e *LineError) Error() string { return fmt.Sprintf("line %d: %v", e.Line, e.Err) }

// Unwrap gives what is wrong.
func (e *LineError) Unwrap() error { return e.Err }

// Import takes in what Export wrote, or a person. Each line is taken whole or
// not at all, and those that are not are reported; a claim counts only if its
// signature holds. What is known already is joined as by Put; a ban counts
// unless ours is longer or the peer was unbanned here more often than there, and
// one of a peer on the allow list only if it was an operator's. Who is a seed,
// protected or allowed is taken from the file too: import what you trust.
//
// It returns an error if reading or the store fails, or if the beginning is not
// that of an export; everything before a failure has been taken. It holds a
// line in memory, not the file, and is on disk when it returns.
func (b *Book) Import(from io.Reader, f Format) (Imported, error) {
	var done Imported
	parse, err := f.parser()
	if err != nil {
		return done, err
	}
	lines := &lineReader{from: bufio.NewReaderSize(from, 64<<10)}
	ticket := uint64(0)
	for {
		line, err := lines.next()
		if errors.Is(err, io.EOF) {
			return done, b.flush(ticket)
		}
		if err != nil && !errors.Is(err, errLongLine) {
			return done, errors.Join(fmt.Errorf("peerbook: import: %w", err), b.flush(ticket))
		}
		var news *Record
		if err == nil {
			news, err = parse(line, lines.number, time.Now())
		}
		switch {
		case errors.Is(err, ErrNoExport):
			return done, err
		case err == nil && news == nil: // the head, or an empty line
			continue
		case err == nil:
			ticket, err = b.takeIn(news, &done)
		}
		if errors.Is(err, ErrClosed) {
			return done, err
		}
		if err != nil {
			done.bad(lines.number, err)
		} else if n := done.Added + done.Merged; n%importBatch == 0 {
			if err := b.flush(ticket); err != nil {
				return done, err
			}
		}
	}
}

func (d *Imported) bad(line int, err error) {
	d.Bad++
	if len(d.Errors) < maxImportErrors {
		d.Errors = append(d.Errors, &LineError{line, err})
	}
}

// takeIn puts one imported record into the book.
func (b *Book) takeIn(news *Record, done *Imported) (ticket uint64, err error) {
	known := false
	ticket, err = b.apply(news.Key, func(old *Record, now time.Time) *Record {
		known = old != nil && old.Removed.IsZero()
		return joinImported(old, news, now)
	})
	switch {
	case err != nil:
	case known:
		done.Merged++
	default:
		done.Added++
	}
	return ticket, err
}

// joinImported gives the record that follows when one is imported.
func joinImported(old, news *Record, now time.Time) *Record {
	if old == nil {
		r := *news
		if r.AddedAt.IsZero() {
			r.AddedAt = rounded(now)
		}
		return &r
	}
	r := *old
	if news.Removed.IsZero() {
		// A person names the peer: if it was removed, this brings it back.
		r.Removed = time.Time{}
		r = *merge(&r, *news, now)
	}
	if !news.AddedAt.IsZero() && news.AddedAt.Before(r.AddedAt) {
		r.AddedAt = news.AddedAt
	}
	switch {
	case news.Ban.Generation < r.Ban.Generation: // from before our last unban
	case r.Allowed && news.Ban.Source != ByOperator:
	case news.Ban.Until.After(r.Ban.Until) || news.Ban.Generation > r.Ban.Generation && r.Ban.Until.IsZero():
		r.Ban = news.Ban
	}
	return &r
}

// ErrNoExport is what Import says when what is wrong is the file, not a line of it.
var ErrNoExport = errors.New("peerbook: import: not an export of peers that this program can read")

// parser reads a line; nil is one that has no peer. Line 1 may be special.
func (f Format) parser() (func(line []byte, number int, now time.Time) (*Record, error), error) {
	switch f {
	case JSON:
		return parseJSONLine, nil
	case CSV:
		return new(csvReader).parse, nil
	}
	return nil, ErrFormat
}

func parseJSONLine(line []byte, number int, now time.Time) (*Record, error) {
	if len(line) == 0 {
		return nil, nil
	}
	var head exportHead
	if number == 1 && json.Unmarshal(line, &head) == nil && head.Format != "" {
		if head.Format != exportName || head.Version != exportVersion {
			return nil, ErrNoExport
		}
		return nil, nil
	}
	var e exportedRecord
	if err := json.Unmarshal(line, &e); err != nil {
		return nil, jsonError(err)
	}
	return e.record(now)
}

// jsonError keeps the bytes of the line out of the message.
func jsonError(err error) error {
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case errors.As(err, &syntax):
		return fmt.Errorf("no JSON, from byte %d", syntax.Offset)
	case errors.As(err, &kind):
		return fmt.Errorf("a JSON %.20s in the wrong place, byte %d", kind.Value, kind.Offset)
	}
	return errors.New("a value that is not of its form")
}

// lineReader gives lines without their ends, and counts them.
type lineReader struct {
	from   *bufio.Reader
	number int
	line   []byte
}

var errLongLine = fmt.Errorf("longer than %d bytes", maxImportLine)

// next returns the next line, valid until the next call; io.EOF at the end, and
// errLongLine for one that it has skipped.
func (l *lineReader) next() ([]byte, error) {
	l.number++
	l.line = l.line[:0]
	long := false
	for {
		part, err := l.from.ReadSlice('\n')
		if long = long || len(l.line)+len(part) > maxImportLine; !long {
			l.line = append(l.line, part...)
		}
		switch {
		case errors.Is(err, bufio.ErrBufferFull):
			continue
		case errors.Is(err, io.EOF) && (len(l.line) > 0 || long), err == nil:
		default:
			return nil, err
		}
		if long {
			return nil, errLongLine
		}
		return trimEnd(l.line), nil
	}
}

func trimEnd(line []byte) []byte {
	for len(line) > 0 && (line[len(line)-1] == '\n' || line[len(line)-1] == '\r') {
		line = line[:len(line)-1]
	}
	return line
}
