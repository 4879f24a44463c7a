package tariproto

import (
	"bytes"
	"errors"
	"io"
	"testing"
)

// FuzzAccept: whatever an initiator offers, Accept answers with frames of the
// table, stays within five rounds and consumes offers only.
func FuzzAccept(f *testing.F) {
	f.Fuzz(func(t *testing.T, offers []byte) {
		s := newScript(string(offers))
		ours := known(Messaging, MessagingSeed, "/nope/1", "")
		id, optimistic, err := Accept(s, ours)
		consumed := offers[:len(offers)-len(s.rest())]
		if err == nil {
			if !ours(id) {
				t.Fatalf("accepted %q", id)
			}
			if !bytes.HasSuffix(consumed, []byte(id)) {
				t.Fatalf("read beyond the offer of %q: %q", id, consumed)
			}
		}
		answers := s.out.Bytes()
		if err == nil && !optimistic {
			echo := append([]byte{byte(len(id)), 0}, id...)
			if !bytes.HasSuffix(answers, echo) {
				t.Fatalf("no echo of %q in %q", id, answers)
			}
			answers = answers[:len(answers)-len(echo)]
		}
		refusals := bytes.Repeat([]byte{0, flagNotSupported}, maxRounds)
		refusals[len(refusals)-1] |= flagTerminate
		if !bytes.HasPrefix(refusals, answers) || len(answers)%2 != 0 {
			t.Fatalf("refused with %q", answers)
		}
	})
}

// FuzzSelect: whatever a responder answers, Select ends with one of the ids it
// offered or with an error, after one frame for each id and one more at most.
func FuzzSelect(f *testing.F) {
	f.Fuzz(func(t *testing.T, answers []byte) {
		s := newScript(string(answers))
		id, err := Select(s, Messaging, MessagingSeed, "/nope/1")
		if err == nil && id != Messaging && id != MessagingSeed && id != "/nope/1" {
			t.Fatalf("selected %q", id)
		}
		if (err == nil) != (id != "") {
			t.Fatalf("%q and %v", id, err)
		}
		all := []byte("\x09\x00t/msg/0.1\x15\x00/tari/messaging/0.1.0\x07\x00/nope/1\x00\x02")
		if !bytes.HasPrefix(all, s.out.Bytes()) {
			t.Fatalf("sent %q", s.out.Bytes())
		}
		if errors.Is(err, ErrNotSupported) && s.out.Len() != len(all) {
			t.Fatalf("gave up early: %q", s.out.Bytes())
		}
		if consumed := answers[:len(answers)-len(s.rest())]; err == nil && !bytes.HasSuffix(consumed, []byte(id)) {
			t.Fatalf("read beyond the answer: %q", consumed)
		}
	})
}

// FuzzReadFrame: ReadFrame agrees with the four lines that it would be if
// nobody lied, never takes more memory than it was sent, and WriteFrame is its
// inverse.
func FuzzReadFrame(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream []byte) {
		const limit = 1 << 20
		in := bytes.NewReader(stream)
		var again bytes.Buffer
		var buf []byte
		for {
			before := in.Len()
			got, err := ReadFrame(in, buf, limit)
			if err != nil {
				checkEnd(t, stream[len(stream)-before:], err, limit)
				break
			}
			if cap(got) > 4*(growStep+len(stream)) {
				t.Fatalf("%d bytes of memory for a stream of %d", cap(got), len(stream))
			}
			if err := WriteFrame(&again, got); err != nil {
				t.Fatal(err)
			}
			buf = got
		}
		if !bytes.HasPrefix(stream, again.Bytes()) {
			t.Fatalf("%q came back as %q", stream, again.Bytes())
		}
	})
}

// checkEnd: err is the right one for a stream that cannot give another frame.
func checkEnd(t *testing.T, rest []byte, err error, limit uint64) {
	t.Helper()
	var size uint64
	if len(rest) >= headerSize {
		size = uint64(rest[0])<<24 | uint64(rest[1])<<16 | uint64(rest[2])<<8 | uint64(rest[3])
	}
	var tooLarge *FrameSizeError
	switch {
	case len(rest) == 0:
		if err != io.EOF {
			t.Fatalf("at the end: %v", err)
		}
	case size > limit:
		if !errors.As(err, &tooLarge) || tooLarge.Size != size {
			t.Fatalf("size %d: %v", size, err)
		}
	case err != io.ErrUnexpectedEOF || (len(rest) >= headerSize && uint64(len(rest)-headerSize) >= size):
		t.Fatalf("frame of %d with %d bytes there: %v", size, len(rest), err)
	}
}
