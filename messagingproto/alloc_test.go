//go:build !race

package messagingproto

import (
	"bytes"
	"context"
	"testing"
)

func TestSendAllocatesNothing(t *testing.T) {
	s, stream := newSink(t)
	for _, size := range []int{0, 64, 1 << 10, 60 << 10} {
		m := make([]byte, size)
		send := func() {
			if err := s.Send(context.Background(), "b", m); err != nil {
				t.Fatal(err)
			}
		}
		send()
		// A collection in the middle may empty a pool: hence less than one.
		if n := testing.AllocsPerRun(500, send); n >= 1 {
			t.Errorf("%v allocations for a message of %d bytes", n, size)
		}
	}
	if stream.writes.Load() == 0 {
		t.Error("nothing was written")
	}
}

// Few allocations for a call with many messages, none for each of them.
func TestSendManyAllocatesLittle(t *testing.T) {
	s, _ := newSink(t)
	messages := make([][]byte, 400)
	for i := range messages {
		messages[i] = make([]byte, 256)
	}
	send := func() {
		for i, r := range s.SendMany(context.Background(), "b", messages) {
			if r.Err != nil {
				t.Fatal(i, r.Err)
			}
		}
	}
	send()
	if n := testing.AllocsPerRun(100, send); n > 20 {
		t.Errorf("%v allocations for %d messages", n, len(messages))
	}
}

func TestReceiveAllocatesNothing(t *testing.T) {
	for _, size := range []int{0, 64, 1 << 10, 60 << 10} {
		chunk := bytes.Repeat(frame(string(fill('m', size))), max(1, 100_000/(size+4)))
		rest := chunk
		f := frames{r: readerFunc(func(p []byte) (int, error) {
			if len(rest) == 0 {
				rest = chunk
			}
			n := copy(p, rest)
			rest = rest[n:]
			return n, nil
		})}
		next := func() {
			if body, err := f.next(); err != nil || len(body) != size {
				t.Fatal(len(body), err)
			}
		}
		next()
		if n := testing.AllocsPerRun(5000, next); n >= 1 {
			t.Errorf("%v allocations for a message of %d bytes", n, size)
		}
		f.release()
	}
}
