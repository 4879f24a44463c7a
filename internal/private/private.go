// Package private opens files that hold a secret, and refuses those that are not ours alone.
package private

import (
	"fmt"
	"os"
)

// Error says that a file with a secret (or what stands in its place) may be read or changed by others, or is no plain file
// of ours. Its text names the cure.
type Error struct {
	Path   string
	Reason string // "is open to others (mode 0644)"
	Cure   string // "chmod 600 /path", or empty
}

func (e *Error) Error() string {
	text := e.Path + " " + e.Reason
	if e.Cure != "" {
		text += "; run: " + e.Cure
	}
	return text
}

// Open opens a file that holds a secret for reading. It refuses a file that group or world can read, a file of another user,
// a symbolic link and anything that is no plain file, with an *Error, and never waits for one that does not answer, such as
// a FIFO. A missing file is fs.ErrNotExist.
func Open(path string) (*os.File, error) {
	f, err := openNoFollow(path)
	if err != nil {
		return nil, err
	}
	info, err := f.Stat()
	if err == nil {
		err = check(path, info)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// notPlain is what stands where a file should.
func notPlain(path string) error {
	return &Error{Path: path, Reason: "is not a plain file", Cure: fmt.Sprintf("mv %s %s", quote(path), quote(path+".old"))}
}
