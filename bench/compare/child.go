package main

import (
	"bufio"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/pprof"
	"slices"
	"sync"
	"time"
)

// command is a line that a child reads; it answers each by one line of answer. The Rust child, in rust/, does the same.
//
//	expect    N                    answers when N messages have arrived since the last one
//	messages  To, N, Size          N messages, answered when all are in the socket
//	bulk      To, N                N bytes in chunks of 64 KiB on one stream, answered when the other end has them
//	rtt       To, N                N times 64 bytes there and back on one stream, after a hundred to warm up
//	calls     To, N                N calls of RPC with 64 bytes, after a hundred to warm up
//	items     To, N, Size          a call of RPC that streams N items
//	connect   To, N, Parallel      N connections, each with a stream, a byte there and back, and its end; so many dialers at a time
//	reach     To, N, Parallel      N connections without a stream, each ended at once, of so many dialers in turn
//	first     To                   how long the first of these takes until the byte is back
//	idle      To, N                N more connections, each of an identity of its own and with an open stream, that stay
//	get       N, Size              N peers by their node ids, from a peer book of Size peers, which is filled before
//	closest   N, Size              N times the 20 closest to one of them
//	quit
type command struct {
	Cmd      string `json:"cmd"`
	To       string `json:"to,omitempty"`
	N        int    `json:"n,omitempty"`
	Size     int    `json:"size,omitempty"`
	Parallel int    `json:"parallel,omitempty"`
}

// answer has seconds. The first line of a child is one too, with At, if it listens.
type answer struct {
	OK      bool    `json:"ok"`
	Error   string  `json:"error,omitempty"`
	At      string  `json:"at,omitempty"`
	Seconds float64 `json:"seconds,omitempty"`
	P50     float64 `json:"p50,omitempty"`
	P99     float64 `json:"p99,omitempty"`
}

// child runs one stack in this process until its standard input ends.
func child(role, name string) error {
	s, err := stackOf(name)
	if err != nil {
		return err
	}
	w := &worker{stack: s, links: map[string]link{}}
	defer w.close()
	if dir := os.Getenv("BENCH_PROFILES"); dir != "" {
		f, err := os.Create(filepath.Join(dir, fmt.Sprintf("%s-%s-%d.pprof", name, role, os.Getpid())))
		if err != nil {
			return err
		}
		defer f.Close()
		if err := pprof.StartCPUProfile(f); err != nil {
			return err
		}
		defer pprof.StopCPUProfile()
	}
	hello := answer{OK: true}
	if role == "serve" {
		if hello.At, err = s.listen(&w.listener); err != nil {
			return err
		}
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(hello); err != nil {
		return err
	}
	in := json.NewDecoder(bufio.NewReader(os.Stdin))
	for {
		var c command
		if err := in.Decode(&c); errors.Is(err, io.EOF) || c.Cmd == "quit" {
			return nil
		} else if err != nil {
			return err
		}
		a, err := w.do(c)
		if a.OK = err == nil; err != nil {
			a.Error = err.Error()
		}
		if err := out.Encode(a); err != nil {
			return err
		}
	}
}

// worker does what a child is told.
type worker struct {
	stack    stack
	listener listener
	dialers  []dialer
	links    map[string]link // of the first dialer
	idle     []func()
	book     *book // nil: not asked yet
}

func (w *worker) close() {
	for _, l := range w.links {
		l.close()
	}
	for _, end := range w.idle {
		end()
	}
	for _, d := range w.dialers {
		d.close()
	}
	if w.book != nil {
		_ = w.book.Close()
	}
}

func (w *worker) do(c command) (answer, error) {
	switch c.Cmd {
	case "expect":
		for w.listener.received.Load() < int64(c.N) {
			time.Sleep(time.Millisecond)
		}
		w.listener.received.Add(-int64(c.N))
		return answer{}, nil
	case "messages":
		return w.messages(c)
	case "bulk":
		return w.bulk(c)
	case "rtt":
		return w.rtt(c)
	case "calls":
		return w.calls(c)
	case "items":
		return w.items(c)
	case "connect":
		return w.connect(c)
	case "reach":
		return w.reach(c)
	case "first":
		return w.first(c)
	case "idle":
		return w.stay(c)
	case "get":
		return w.ask(c, getNode)
	case "closest":
		return w.ask(c, closest)
	}
	return answer{}, fmt.Errorf("unknown command %q", c.Cmd)
}

// need makes sure of n dialers.
func (w *worker) need(n int) error {
	for len(w.dialers) < n {
		d, err := w.stack.dialer()
		if err != nil {
			return err
		}
		w.dialers = append(w.dialers, d)
	}
	return nil
}

// link is the link to an address, which stays.
func (w *worker) link(to string) (link, error) {
	if l, ok := w.links[to]; ok {
		return l, nil
	}
	if err := w.need(1); err != nil {
		return link{}, err
	}
	l, err := w.dialers[0].dial(context.Background(), to)
	if err == nil {
		w.links[to] = l
	}
	return l, err
}

func (w *worker) messages(c command) (answer, error) {
	l, err := w.link(c.To)
	if err != nil {
		return answer{}, err
	}
	m := make([]byte, c.Size)
	began := time.Now()
	for range c.N {
		if err := l.send(m); err != nil {
			return answer{}, err
		}
	}
	err = l.flush()
	return answer{Seconds: time.Since(began).Seconds()}, err
}

func (w *worker) bulk(c command) (answer, error) {
	l, err := w.link(c.To)
	if err != nil {
		return answer{}, err
	}
	s, err := l.open(sinkProtocol)
	if err != nil {
		return answer{}, err
	}
	defer s.Close()
	data := make([]byte, chunk)
	began := time.Now()
	if _, err := s.Write(binary.BigEndian.AppendUint64(nil, uint64(c.N))); err != nil {
		return answer{}, err
	}
	for left := c.N; left > 0; {
		n, err := s.Write(data[:min(left, chunk)])
		if err != nil {
			return answer{}, err
		}
		left -= n
	}
	_, err = io.ReadFull(s, data[:1])
	return answer{Seconds: time.Since(began).Seconds()}, err
}

func (w *worker) rtt(c command) (answer, error) {
	l, err := w.link(c.To)
	if err != nil {
		return answer{}, err
	}
	s, err := l.open(echoProtocol)
	if err != nil {
		return answer{}, err
	}
	defer s.Close()
	var data [64]byte
	return timed(c.N, func() error {
		if _, err := s.Write(data[:]); err != nil {
			return err
		}
		_, err := io.ReadFull(s, data[:])
		return err
	})
}

func (w *worker) calls(c command) (answer, error) {
	l, err := w.rpcLink(c.To)
	if err != nil {
		return answer{}, err
	}
	data := make([]byte, 64)
	return timed(c.N, func() error { return l.call(data) })
}

func (w *worker) items(c command) (answer, error) {
	l, err := w.rpcLink(c.To)
	if err != nil {
		return answer{}, err
	}
	began := time.Now()
	err = l.items(c.N, c.Size)
	return answer{Seconds: time.Since(began).Seconds()}, err
}

func (w *worker) rpcLink(to string) (link, error) {
	l, err := w.link(to)
	if err == nil && l.call == nil {
		err = errors.New("this stack has no RPC")
	}
	return l, err
}

// timed does something n times, after a hundred to warm up.
func timed(n int, do func() error) (answer, error) {
	const warm = 100
	var all []float64
	for i := range n + warm {
		began := time.Now()
		if err := do(); err != nil {
			return answer{}, err
		}
		if i >= warm {
			all = append(all, time.Since(began).Seconds())
		}
	}
	sum := 0.0
	for _, d := range all {
		sum += d
	}
	slices.Sort(all)
	return answer{Seconds: sum, P50: all[len(all)/2], P99: all[len(all)*99/100]}, nil
}

// once dials, has a byte come back, and returns the link with its open stream.
func once(d dialer, to string) (link, stream, error) {
	l, s, err := d.begin(to, []byte{7})
	if err == nil {
		if _, err = io.ReadFull(s, make([]byte, 1)); err != nil {
			l.close()
		}
	}
	return l, s, err
}

// begin dials and writes to a stream for the echo.
func (d dialer) begin(to string, data []byte) (link, stream, error) {
	if d.first != nil {
		return d.first(context.Background(), to, echoProtocol, data)
	}
	l, err := d.dial(context.Background(), to)
	if err != nil {
		return l, nil, err
	}
	s, err := l.open(echoProtocol)
	if err == nil {
		_, err = s.Write(data)
	}
	if err != nil {
		l.close()
	}
	return l, s, err
}

func (w *worker) connect(c command) (answer, error) {
	parallel := max(1, c.Parallel)
	if err := w.need(parallel); err != nil {
		return answer{}, err
	}
	began := time.Now()
	errs := make([]error, parallel)
	var done sync.WaitGroup
	for i := range parallel {
		done.Go(func() {
			for range c.N / parallel {
				// A Rust peer may end a connection that comes while it still has the one before.
				var l link
				var s stream
				var err error
				for range 10 {
					if l, s, err = once(w.dialers[i], c.To); err == nil {
						break
					}
				}
				if err != nil {
					errs[i] = err
					return
				}
				_ = s.Close()
				l.close()
			}
		})
	}
	done.Wait()
	return answer{Seconds: time.Since(began).Seconds()}, errors.Join(errs...)
}

func (w *worker) first(c command) (answer, error) {
	if err := w.need(1); err != nil {
		return answer{}, err
	}
	began := time.Now()
	l, s, err := once(w.dialers[0], c.To)
	a := answer{Seconds: time.Since(began).Seconds()}
	if err == nil {
		_ = s.Close()
		l.close()
	}
	return a, err
}

func (w *worker) stay(c command) (answer, error) {
	for range c.N {
		d, err := w.stack.dialer()
		if err != nil {
			return answer{}, err
		}
		l, s, err := once(d, c.To)
		if err != nil {
			d.close()
			return answer{}, err
		}
		w.idle = append(w.idle, func() { _ = s.Close(); l.close(); d.close() })
	}
	return answer{}, nil
}
