package seeds

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
)

// maxFile is the largest file that is read, in bytes.
const maxFile = 8 << 20

// Read reads seeds from a file: one PUBKEY::ADDRESS[::ADDRESS…] a line, empty
// lines and lines that begin with # being nothing; or a JSON array of such
// strings. Quotes and a comma around a line are allowed, so that the list of a
// Tari node's configuration can be pasted. Lines that are no peers are in
// Source.Bad with their numbers. Internal addresses count: the file is ours. The error is that the whole cannot be read.
func Read(r io.Reader, name string) (Source, error) {
	s := Source{Name: name}
	text, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return s, fmt.Errorf("seeds: %w", err)
	}
	if len(text) > maxFile {
		return s, fmt.Errorf("seeds: the file is larger than %d bytes", maxFile)
	}
	if trimmed := bytes.TrimSpace(text); bytes.HasPrefix(trimmed, []byte{'['}) {
		var list []string
		if json.Unmarshal(trimmed, &list) == nil {
			s.take(list, true)
			return s, nil
		}
	}
	lines := bufio.NewScanner(bytes.NewReader(text))
	lines.Buffer(nil, 64<<10)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		line = strings.Trim(strings.TrimSuffix(line, ","), `"'`)
		if line == "" || line == "[" || line == "]" || strings.HasPrefix(line, "#") {
			continue
		}
		if len(s.Peers)+len(s.Bad) == MaxRecords {
			s.Dropped++
			continue
		}
		s.add(number, line, true)
	}
	if err := lines.Err(); err != nil {
		return s, errors.New("seeds: the file has a line of more than 64 KiB")
	}
	return s, nil
}
