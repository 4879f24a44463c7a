//go:build linux

package loadtest

import (
	"context"
	"io"
	"math/rand/v2"
	"net"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"github.com/tari-libp2p/tari-libp2p/dialect"
)

// captured is a connection to nowhere that remembers what is written first.
type captured struct {
	net.Conn
	first []byte
}

func (c *captured) Write(p []byte) (int, error) {
	if c.first == nil {
		c.first = append([]byte(nil), p...)
	}
	return len(p), nil
}
func (*captured) Read([]byte) (int, error)         { return 0, io.EOF }
func (*captured) Close() error                     { return nil }
func (*captured) SetDeadline(time.Time) error      { return nil }
func (*captured) SetReadDeadline(time.Time) error  { return nil }
func (*captured) SetWriteDeadline(time.Time) error { return nil }

// firstMessages are n valid beginnings, the wire byte and the first message of Noise, each with a fresh key.
func firstMessages(n dialect.Network, count int) ([][]byte, error) {
	us, err := someone(0)
	if err != nil {
		return nil, err
	}
	var all [][]byte
	for range count {
		c := new(captured)
		_, _ = dialect.Of(n).Upgrade(context.Background(), c, network.DirOutbound, us)
		all = append(all, c.first)
	}
	return all, nil
}

// flood connects from all sources, Count at a time from each, as fast as it can. Kind says what each connection sends:
//
//	hold     a first message, and then nothing until the host closes
//	churn    a first message, until it is answered
//	garbage  bytes of no network
//	full     a whole handshake, and ends it
func flood(w *worker) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	s, err := w.storm(ctx)
	if err != nil {
		return err
	}
	w.say("flooding")
	for command := w.hear(); ; command = w.hear() {
		if command == "end" {
			cancel()
		}
		w.say("flooded", "tried", s.tried.Load(), "answered", s.answered.Load())
		if command == "end" {
			s.Wait()
			return nil
		}
	}
}

// storm is a flood under way; it can be waited for once its context has ended.
type storm struct {
	sync.WaitGroup
	tried, answered atomic.Int64
}

func (w *worker) storm(ctx context.Context) (*storm, error) {
	first, err := firstMessages(w.network, w.Sources)
	if err != nil {
		return nil, err
	}
	s := new(storm)
	for i := range w.Sources * w.Count {
		kind := w.Kind
		if kind == "mixed" {
			kind = []string{"hold", "churn"}[i/w.Sources%2]
		}
		s.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				s.tried.Add(1)
				if w.once(ctx, kind, i, round, first[rand.IntN(len(first))]) {
					s.answered.Add(1)
				}
				if w.Pause > 0 {
					time.Sleep(time.Duration(w.Pause) * time.Millisecond)
				}
			}
		})
	}
	return s, nil
}

// once makes one connection of a flood. It reports whether the host answered.
func (w *worker) once(ctx context.Context, kind string, i, round int, first []byte) bool {
	if kind == "full" {
		s, err := w.meet(ctx, w.source(i), i<<20+round)
		if err == nil {
			s.Close()
		}
		return err == nil
	}
	c, err := dialFrom(ctx, w.source(i), w.host)
	if err != nil {
		return false
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { c.Close() })()
	if kind == "garbage" {
		first = []byte("GET / HTTP/1.1\r\n\r\n")
	}
	if _, err := c.Write(first); err != nil {
		return false
	}
	n, err := c.Read(make([]byte, 1024))
	if err == nil && kind == "hold" {
		_, _ = io.Copy(io.Discard, c)
	}
	return n > 0
}
