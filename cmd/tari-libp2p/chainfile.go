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
		var e struct {
			Schema int `json:"schema"`
			chainEvent
		}
		if err := json.Unmarshal(line, &e); err != nil || e.Schema != schema || e.Event != event && e.Event != eventRollback {
			return usagef("%s: line %d is not one of those that \"%ss --json\" prints", quote(name), number, event)
		}
		c.take(e.chainEvent)
	}
	if err := c.Truncate(end); err != nil {
		return notWritten(name, err)
	}
	_, err := c.Seek(end, io.SeekStart)
	return err
}

// take notes a line.
func (c *chainFile) take(e chainEvent) {
	for e.Event == eventRollback && len(c.points) > 0 && c.points[len(c.points)-1].Height > e.Height {
		c.points = c.points[:len(c.points)-1]
	}
	if p := (basenode.Point{Height: e.Height, Hash: e.Hash}); len(c.points) == 0 || c.points[len(c.points)-1] != p {
		c.points = append(c.points, p)
	}
	if len(c.points) > 2*keptPoints {
		c.points = append(c.points[:0], c.points[len(c.points)-keptPoints:]...)
	}
}
