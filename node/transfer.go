package node

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
)

// Imported is what became of the lines of an import.
type Imported struct {
	Added  int       `json:"added"`  // peers that were unknown
	Merged int       `json:"merged"` // peers that were known
	Bad    int       `json:"bad"`    // lines that changed nothing
	Errors []BadLine `json:"errors"` // why, the first 100
}

// BadLine says what is wrong with a line of an import; the first is 1.
type BadLine struct {
	Line  int    `json:"line"`
	Error string `json:"error"`
}

// importPeers takes peers from an export into the book.
func (n *Node) importPeers(format peerbook.Format, from io.Reader) (Imported, error) {
	done, err := n.Peers.Import(from, format)
	if err != nil {
		if isAny(err, peerbook.ErrFormat, peerbook.ErrNoExport) {
			err = fail(FailUsage, err)
		}
		return Imported{}, err
	}
	out := Imported{Added: done.Added, Merged: done.Merged, Bad: done.Bad, Errors: []BadLine{}}
	for _, e := range done.Errors {
		out.Errors = append(out.Errors, BadLine{e.Line, e.Err.Error()})
	}
	return out, nil
}

// serveExport answers with the book. An error after the first bytes cuts the answer off, which the client sees.
func (n *Node) serveExport(w http.ResponseWriter, r *http.Request) {
	format := peerbook.Format(r.URL.Query().Get("format"))
	out := &started{w: w}
	err := n.Peers.Export(out, format, nil)
	switch {
	case err == nil:
	case out.yes:
		panic(http.ErrAbortHandler)
	default:
		if errors.Is(err, peerbook.ErrFormat) {
			err = fail(FailUsage, err)
		}
		failure := FailureOf(fmt.Errorf("node: export: %w", err))
		w.WriteHeader(failure.Kind.httpStatus())
		_ = json.NewEncoder(w).Encode(failure)
	}
}

// started remembers whether anything was written.
type started struct {
	w   io.Writer
	yes bool
}

func (s *started) Write(p []byte) (int, error) {
	s.yes = true
	return s.w.Write(p)
}
