package noise

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"testing"
)

// reads is a connection from which each Read gets what one element has.
type reads struct {
	net.Conn
	all [][]byte
}

func (r *reads) Read(p []byte) (int, error) {
	if len(r.all) == 0 {
		return 0, io.EOF
	}
	n := copy(p, r.all[0])
	if r.all[0] = r.all[0][n:]; len(r.all[0]) == 0 {
		r.all = r.all[1:]
	}
	return n, nil
}

// sealFrame is one frame, also an empty one.
func sealFrame(t *testing.T, tx *sender, plain string) []byte {
	t.Helper()
	nonce, err := tx.key.advance()
	if err != nil {
		t.Fatal(err)
	}
	return append([]byte{byte((len(plain) + Overhead) >> 8), byte(len(plain) + Overhead)}, tx.key.aead.Seal(nil, nonce, []byte(plain), nil)...)
}

// TestNext: frames are lent as they came, those that are empty are skipped, and Buffered says whether there is one without waiting.
func TestNext(t *testing.T) {
	tx, rx := keyed(3)
	long := string(bytes.Repeat([]byte("x"), MaxPlaintext))
	half := sealFrame(t, tx, "one")
	together := bytes.Join([][]byte{half[10:], {0, 0}, sealFrame(t, tx, ""), sealFrame(t, tx, "two"), {0, 0}, sealFrame(t, tx, "")}, nil)
	c := &reads{all: [][]byte{half[:10], together, sealFrame(t, tx, long), append(sealFrame(t, tx, "three"), 0, 0)}}
	want := func(plain string, more bool) {
		t.Helper()
		p, err := rx.next(c)
		if err != nil || string(p) != plain {
			t.Fatalf("got %.20q, %v, want %.20q", p, err, plain)
		}
		if got := rx.buffered(); got != more {
			t.Fatalf("after %.20q: buffered %v", plain, got)
		}
	}
	if rx.buffered() {
		t.Error("buffered before anything was read")
	}
	want("one", true)
	want("two", false)
	want(long, false)
	p := make([]byte, 2)
	if n, err := rx.read(c, p); n != 2 || err != nil || string(p) != "th" {
		t.Fatal(n, err)
	}
	if !rx.buffered() {
		t.Error("half a frame is buffered")
	}
	want("ree", false)
	if p, err := rx.next(c); err != io.EOF {
		t.Errorf("%q, %v at the end", p, err)
	}
}

// TestNextBadFrame: what came before a bad frame is delivered, then the error, for good.
func TestNextBadFrame(t *testing.T) {
	tx, rx := keyed(3)
	good, bad := sealFrame(t, tx, "good"), sealFrame(t, tx, "bad")
	bad[5] ^= 1
	c := &reads{all: [][]byte{append(good, bad...)}}
	if p, err := rx.next(c); string(p) != "good" || err != nil {
		t.Fatalf("%q, %v", p, err)
	}
	for range 2 {
		if !rx.buffered() {
			t.Error("an error does not wait")
		}
		if p, err := rx.next(c); p != nil || !errors.Is(err, ErrBadTag) {
			t.Fatalf("%q, %v", p, err)
		}
	}
}

// TestEndGivesBuffersBack: a connection that has ended, in the middle of a large frame too, keeps no buffer, whoever still has it; one whose
// deadline has passed keeps what it needs to go on.
func TestEndGivesBuffersBack(t *testing.T) {
	for name, c := range map[string]struct {
		size  int
		error error
		final bool
	}{
		"between frames":         {0, io.EOF, true},
		"in a frame":             {100, io.ErrUnexpectedEOF, true},
		"in a large frame":       {MaxPlaintext, io.ErrUnexpectedEOF, true},
		"reset in a large frame": {MaxPlaintext, net.ErrClosed, true},
		"deadline":               {MaxPlaintext, os.ErrDeadlineExceeded, false},
	} {
		t.Run(name, func(t *testing.T) {
			tx, rx := keyed(4)
			r := &reads{all: [][]byte{sealFrame(t, tx, string(make([]byte, smallBuffer)))}}
			if c.size > 0 {
				r.all = append(r.all, sealFrame(t, tx, string(make([]byte, c.size)))[:c.size])
			}
			conn := &endsWith{r, c.error}
			if _, err := rx.next(conn); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the same, the second time too
				if _, err := rx.next(conn); !errors.Is(err, c.error) {
					t.Fatalf("%v, want %v", err, c.error)
				}
				if kept := rx.small != nil || rx.big != nil || rx.buf != nil || rx.plain != nil; kept == c.final {
					t.Errorf("a buffer is kept: %v", kept)
				}
			}
		})
	}
}

// endsWith ends a connection with an error; io.ErrUnexpectedEOF is for the receiver to find out.
type endsWith struct {
	*reads
	err error
}

func (e *endsWith) Read(p []byte) (int, error) {
	n, err := e.reads.Read(p)
	if err != nil && e.err != io.ErrUnexpectedEOF {
		err = e.err
	}
	return n, err
}
