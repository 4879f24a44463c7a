package crawl

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/internal/filelock"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// journalVersion is that of the lines below.
const journalVersion = 1

// maxLine bounds a line of a journal that is read, in bytes.
const maxLine = 1 << 20

// entry is one line of a journal: one of its fields is set. All that a crawl
// knows follows from its entries, in their order; what one visit brought is
// written at once, its own entry last, so that a visit counts or does not.
type entry struct {
	Head  *head  `json:"crawl,omitempty"` // the first line
	Heard *heard `json:"heard,omitempty"` // a peer, or a newer claim of one that is known
	Seen  *seen  `json:"seen,omitempty"`  // a visit
}

type head struct {
	Version int       `json:"version"`
	Network string    `json:"network"`
	Began   time.Time `json:"began"`
}

// heard numbers peers: the first that a crawl hears of is 0.
type heard struct {
	Key       tarikey.PublicKey `json:"key"`
	Claim     []byte            `json:"claim,omitempty"`     // as identityproto.Claim marshals it
	Addresses []string          `json:"addresses,omitempty"` // of a peer to begin with
}

type seen struct {
	Peer  int   `json:"peer"`
	By    []int `json:"peers,omitempty"` // that it told of
	Visit Visit `json:"visit"`
}

// claim reads the claim of an entry; nil if there is none. The file is ours, but
// what it says of others is only what they signed.
func (h *heard) claim(now time.Time) (*identityproto.Claim, error) {
	if h.Claim == nil {
		return nil, nil
	}
	var c identityproto.Claim
	if err := c.UnmarshalBinary(h.Claim); err != nil {
		return nil, err
	}
	if c.Key != h.Key {
		return nil, errors.New("a claim of another peer")
	}
	return &c, c.VerifySignature(now)
}

// JournalError is a file that is no journal, not of this crawl, or in use.
type JournalError struct {
	Path string
	Line int // the first is 1; 0: none in particular
	Err  error
}

// Error implements error.
func (e *JournalError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("crawl: %s: %v", e.Path, e.Err)
	}
	return fmt.Sprintf("crawl: %s: line %d: %v", e.Path, e.Line, e.Err)
}

// Unwrap returns the cause.
func (e *JournalError) Unwrap() error { return e.Err }

// journal is the file that entries are appended to. A nil one keeps nothing.
type journal struct{ file *os.File }

// errInUse is a journal to which another crawl writes.
var errInUse = errors.New("another crawl goes on with it")

// openJournal opens a journal or makes one, gives what it has to apply, and cuts
// off what a process that died was in the middle of writing. It is this crawl's
// alone until it is closed.
func openJournal(path string, apply func(entry) error) (*journal, error) {
	file, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	if err := takeJournal(file, apply); err != nil {
		file.Close()
		if wrong, ok := errors.AsType[*JournalError](err); ok {
			wrong.Path = path
		}
		return nil, err
	}
	return &journal{file}, nil
}

func takeJournal(file *os.File, apply func(entry) error) error {
	taken, err := filelock.Take(file)
	if err != nil {
		return err
	}
	if !taken {
		return &JournalError{Err: errInUse}
	}
	whole, err := readJournal(file, apply)
	if err != nil {
		return err
	}
	return file.Truncate(whole)
}

// readJournal returns how many bytes its whole lines have.
func readJournal(from io.Reader, apply func(entry) error) (whole int64, err error) {
	lines := bufio.NewReaderSize(from, maxLine)
	for number := 1; ; number++ {
		line, err := lines.ReadSlice('\n')
		if err == io.EOF {
			return whole, nil
		}
		if err != nil {
			return 0, &JournalError{Line: number, Err: err}
		}
		var e entry
		if err := json.Unmarshal(line, &e); err != nil {
			return 0, &JournalError{Line: number, Err: errors.New("not a line of a crawl")}
		}
		if (e.Head != nil) != (number == 1) {
			return 0, &JournalError{Line: number, Err: errors.New("not the journal of a crawl")}
		}
		if err := apply(e); err != nil {
			return 0, &JournalError{Line: number, Err: err}
		}
		whole += int64(len(line))
	}
}

// append writes entries in one piece.
func (j *journal) append(entries []entry) error {
	if j == nil {
		return nil
	}
	var b bytes.Buffer
	lines := json.NewEncoder(&b)
	for _, e := range entries {
		if err := lines.Encode(e); err != nil {
			return err
		}
	}
	_, err := j.file.Write(b.Bytes())
	return err
}

func (j *journal) close() error {
	if j == nil {
		return nil
	}
	return errors.Join(j.file.Sync(), j.file.Close())
}
