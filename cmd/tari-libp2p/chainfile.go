package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os"

	"github.com/tari-libp2p/tari-libp2p/basenode"
)

// keptPoints is how many of the last blocks of a file a cursor is told: as many as a node says in one answer whether they are on its
// chain.
const keptPoints = 1000

// chainFile is a file of lines of headers or blocks, which grows.
type chainFile struct {
	*os.File
	points []basenode.Point // the last blocks in it, the highest last
}

// openChainFile opens a file to append to, and makes it if it is not there. What was written of a line when a program was killed
// is cut off.
func openChainFile(name, event string) (*chainFile, error) {
	f, err := os.OpenFile(name, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, notWritten(name, err)
	}
	c := &chainFile{File: f}
	if err := c.read(name, event); err != nil {
		f.Close()
		return nil, err
	}
	return c, nil
}

// read reads the whole lines, and stays behind the last one.
func (c *chainFile) read(name, event string) error {
	in, end := bufio.NewReaderSize(c, 1<<16), int64(0)
	for number := 1; ; number++ {
		line, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			break // what is there is no whole line
		}
		if err != nil {
			return notRead(name, err)
		}
		end += int64(len(line))
		var e chainLine
		if err := json.Unmarshal(line, &e); err != nil || e.Schema != schema || e.Event != event && e.Event != eventRollback {
			return usagef("%s: line %d is not one of those that \"%ss --json\" prints", quote(name), number, event)
		}
		if !c.take(e) {
			return usagef("%s: line %d does not follow on the one before", quote(name), number)
		}
	}
	if err := c.Truncate(end); err != nil {
		return notWritten(name, err)
	}
	_, err := c.Seek(end, io.SeekStart)
	return err
}

// chainLine is what matters of a line.
type chainLine struct {
	Schema int `json:"schema"`
	chainEvent
	Prev basenode.Hash `json:"prev_hash"`
}

// take notes a line and says whether it follows on the one before.
func (c *chainFile) take(l chainLine) bool {
	p := basenode.Point{Height: l.Height, Hash: l.Hash}
	if l.Event == eventRollback {
		for len(c.points) > 0 && c.last().Height > p.Height {
			c.points = c.points[:len(c.points)-1]
		}
		if len(c.points) > 0 {
			return c.last() == p
		}
	} else if len(c.points) > 0 && c.last() != (basenode.Point{Height: p.Height - 1, Hash: l.Prev}) {
		return false
	}
	if c.points = append(c.points, p); len(c.points) > 2*keptPoints {
		c.points = append(c.points[:0], c.points[len(c.points)-keptPoints:]...)
	}
	return true
}

func (c *chainFile) last() basenode.Point { return c.points[len(c.points)-1] }
