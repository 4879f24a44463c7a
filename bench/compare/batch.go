package main

import (
	"bufio"
	"encoding/binary"
	"errors"
	"io"
	"sync"
)

// batcher gives a stream messages: each behind its length in four bytes, as many as there are in one write. It is the
// least that a batching layer can do: no limits, no deadlines, nobody is told what became of a message.
type batcher struct {
	mu      sync.Mutex
	changed sync.Cond
	pending []byte
	writing bool
	closed  bool
	err     error
	done    chan struct{}
}

// maxPending is how much may wait, in bytes.
const maxPending = 1 << 20

func newBatcher(w io.Writer) *batcher {
	b := &batcher{done: make(chan struct{})}
	b.changed.L = &b.mu
	go func() {
		defer close(b.done)
		var spare []byte
		b.mu.Lock()
		defer b.mu.Unlock()
		for {
			for len(b.pending) == 0 && !b.closed {
				b.changed.Wait()
			}
			if len(b.pending) == 0 {
				return
			}
			batch := b.pending
			b.pending, b.writing = spare[:0], true
			b.changed.Broadcast()
			b.mu.Unlock()
			_, err := w.Write(batch)
			b.mu.Lock()
			spare, b.writing = batch, false
			b.changed.Broadcast()
			if err != nil {
				b.err = err
				return
			}
		}
	}()
	return b
}

func (b *batcher) send(message []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for len(b.pending) > maxPending && b.err == nil {
		b.changed.Wait()
	}
	if b.err != nil {
		return b.err
	}
	b.pending = binary.BigEndian.AppendUint32(b.pending, uint32(len(message)))
	b.pending = append(b.pending, message...)
	b.changed.Broadcast()
	return nil
}

func (b *batcher) flush() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	for (len(b.pending) > 0 || b.writing) && b.err == nil {
		b.changed.Wait()
	}
	return b.err
}

// close ends the batcher after what is pending.
func (b *batcher) close() {
	b.mu.Lock()
	b.closed = true
	b.changed.Broadcast()
	b.mu.Unlock()
	<-b.done
}

var errTooLong = errors.New("message of more than 8 MiB")

// receiveBatches lends each message until handle returns.
func receiveBatches(r io.Reader, handle func([]byte)) error {
	in := bufio.NewReaderSize(r, chunk)
	var whole []byte
	for {
		head, err := in.Peek(4)
		if err != nil {
			return err
		}
		n := int(binary.BigEndian.Uint32(head))
		if n > 8<<20 {
			return errTooLong
		}
		_, _ = in.Discard(4)
		if n <= in.Size() {
			message, err := in.Peek(n)
			if err != nil {
				return err
			}
			handle(message)
			_, _ = in.Discard(n)
			continue
		}
		if cap(whole) < n {
			whole = make([]byte, n)
		}
		if _, err := io.ReadFull(in, whole[:n]); err != nil {
			return err
		}
		handle(whole[:n])
	}
}

// batched gives a link messages over a stream that is opened with the first.
func batched(l link) link {
	var b *batcher
	l.send = func(m []byte) error {
		if b == nil {
			s, err := l.open(messageProtocol)
			if err != nil {
				return err
			}
			b = newBatcher(s)
		}
		return b.send(m)
	}
	l.flush = func() error {
		if b == nil {
			return nil
		}
		return b.flush()
	}
	end := l.close
	l.close = func() {
		if b != nil {
			b.close()
		}
		end()
	}
	return l
}
