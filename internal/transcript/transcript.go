// Package transcript records what two sides of a connection say and plays it back against one of them, so that a
// conversation with a real peer can be tested without that peer. Make a [Recorder] once, [Save] its flows, and in the test
// [Load] them into a [Replay].
//
// A transcript is a text file, which diffs well:
//
//	# comments
//	> 00
//	> 0020c2a0394cab5ff3b6b51335386d8f     the initiator's bytes, in hex
//	< 006014e30a1d1ade0402fcdf0441a1ef     the responder's
//
// Lines of one side that follow each other are one flow: where one write ends and the next begins is not kept.
package transcript

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"strings"
)

// Side is whose bytes a flow holds, by the mark in the file.
type Side byte

// The two sides. The initiator is who dialed.
const (
	Initiator Side = '>'
	Responder Side = '<'
)

// Flow is what one side says before the other one speaks.
type Flow struct {
	From  Side
	Bytes []byte
}

// lineBytes is how many bytes Format puts on a line.
const lineBytes = 32

// Format writes flows as text, under a comment that may have several lines.
func Format(w io.Writer, comment string, flows []Flow) error {
	var out bytes.Buffer
	for line := range strings.Lines(comment) {
		fmt.Fprintf(&out, "# %s\n", strings.TrimRight(line, "\n"))
	}
	for _, flow := range flows {
		for rest := flow.Bytes; len(rest) > 0; {
			n := min(len(rest), lineBytes)
			fmt.Fprintf(&out, "%c %x\n", flow.From, rest[:n])
			rest = rest[n:]
		}
	}
	_, err := w.Write(out.Bytes())
	return err
}

// Parse reads what Format wrote. Blank lines and comments mean nothing.
func Parse(r io.Reader) ([]Flow, error) {
	var flows []Flow
	lines := bufio.NewScanner(r)
	for number := 1; lines.Scan(); number++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || line[0] == '#' {
			continue
		}
		from := Side(line[0])
		data, err := hex.DecodeString(strings.TrimSpace(line[1:]))
		if err != nil || (from != Initiator && from != Responder) {
			return nil, fmt.Errorf("transcript: line %d is neither > nor < and hex", number)
		}
		flows = join(flows, from, data)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("transcript: %w", err)
	}
	return flows, nil
}

// Load reads a transcript file.
func Load(path string) ([]Flow, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return Parse(bytes.NewReader(text))
}

// Save writes a transcript file, replacing what is there.
func Save(path, comment string, flows []Flow) error {
	var text bytes.Buffer
	if err := Format(&text, comment, flows); err != nil {
		return err
	}
	return os.WriteFile(path, text.Bytes(), 0o644)
}

// join adds bytes to the last flow if it is the same side's, or else as a new flow.
func join(flows []Flow, from Side, data []byte) []Flow {
	if len(data) == 0 {
		return flows
	}
	if n := len(flows); n > 0 && flows[n-1].From == from {
		flows[n-1].Bytes = append(flows[n-1].Bytes, data...)
		return flows
	}
	return append(flows, Flow{from, bytes.Clone(data)})
}
