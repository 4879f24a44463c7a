package yamux

import (
	"fmt"
	"io"
	"testing"
)

// lendingPipe lends what arrives in pieces of at most size bytes, all in the same place.
type lendingPipe struct {
	*pipeEnd
	piece []byte
}

func (l *lendingPipe) Next() ([]byte, error) {
	clear(l.piece) // what was lent is not good any more
	n, err := l.Read(l.piece)
	return l.piece[:n], err
}

func (l *lendingPipe) Buffered() bool {
	l.in.mu.Lock()
	defer l.in.mu.Unlock()
	return len(l.in.buf) > 0
}

// TestLentPieces: wherever frames are cut, and whether the reader waits or comes later, all arrives; and what came before half a
// header is not held back.
func TestLentPieces(t *testing.T) {
	for _, size := range []int{1, 2, 5, headerSize - 1, headerSize, headerSize + 1, 30, 70_000} {
		for _, waits := range []bool{true, false} {
			t.Run(fmt.Sprint(size, waits), func(t *testing.T) {
				a, b := pipe(wide)
				s := start(t, &lendingPipe{a, make([]byte, size)}, false, Config{CloseTimeout: safety})
				defer s.Close()
				defer b.Close()
				p := &peer{t, b}
				p.send(data(flagSYN, 1, "hello"))
				st := accept(t, s)
				want(t, st, "hello")

				body, next := string(pattern(1, 100_000)), data(0, 1, "the next")
				got := make([]byte, len(body))
				read := make(chan error, 1)
				reader := func() { _, err := io.ReadFull(st, got); read <- err }
				if waits {
					go reader()
				}
				p.send(data(0, 1, body), next[:headerSize-3])
				if !waits {
					go reader()
				}
				if err := <-read; err != nil || string(got) != body {
					t.Fatal("not what was sent", err)
				}
				p.send(next[headerSize-3:], data(flagFIN, 1, "the end"))
				want(t, st, "the next"+"the end")
				wantEnd(t, st, io.EOF)
			})
		}
	}
}

// TestReadersTogether: of several that read at the same time each byte reaches one, and all get something or the end.
func TestReadersTogether(t *testing.T) {
	c, s := pair(t, Config{})
	st := open(t, c)
	write(t, st, "x")
	other := accept(t, s)
	want(t, other, "x")
	const total = 1 << 20
	counts := make(chan int)
	for range 4 {
		go func() {
			n := 0
			for p := make([]byte, 1000); ; {
				k, err := other.Read(p)
				n += k
				if err != nil {
					counts <- n
					return
				}
			}
		}()
	}
	msg := make([]byte, 1<<12)
	for range total / len(msg) {
		st.Write(msg)
	}
	st.CloseWrite()
	sum := 0
	for range 4 {
		sum += <-counts
	}
	if sum != total {
		t.Errorf("%d bytes of %d", sum, total)
	}
}

// TestWaitKeepsNothing: while nothing comes, nothing that was lent is kept alive, not even by a slice of no length.
func TestWaitKeepsNothing(t *testing.T) {
	var in input
	waits := 0
	in = newInput(nil, func() bool { return false }, func() {})
	in.from = lend(func() ([]byte, error) {
		if waits++; in.rest != nil {
			t.Error("what was lent before is still there")
		}
		return make([]byte, headerSize), nil
	})
	for range 3 {
		if _, err := in.header(); err != nil {
			t.Fatal(err)
		}
	}
	if waits != 3 {
		t.Errorf("waited %d times", waits)
	}
}

// lend is a lender that never has anything yet.
type lend func() ([]byte, error)

func (l lend) Next() ([]byte, error) { return l() }
func (lend) Buffered() bool          { return false }
