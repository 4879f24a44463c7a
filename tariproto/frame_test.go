package tariproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"strings"
	"testing"
	"testing/iotest"
)

func body(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func frameOf(b []byte) []byte { return append(AppendFrameHeader(nil, len(b)), b...) }

func TestReadFrame(t *testing.T) {
	for _, size := range []int{0, 1, 3, 4, 5, 1000, growStep - 1, growStep, growStep + 1, 3*growStep + 7, MaxFrame} {
		want := body(size)
		for _, buf := range [][]byte{nil, make([]byte, 2), make([]byte, 0, 5000), make([]byte, growStep+3)} {
			in := bytes.NewReader(append(frameOf(want), "next"...))
			got, err := ReadFrame(in, buf, 0)
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("frame of %d into %d: %d bytes, %v", size, cap(buf), len(got), err)
			}
			if in.Len() != len("next") {
				t.Errorf("frame of %d: %d bytes left, want 4", size, in.Len())
			}
			if size > 0 && cap(buf) >= size && cap(buf) >= headerSize && &got[0] != &buf[:1][0] {
				t.Errorf("frame of %d did not reuse a buffer of %d", size, cap(buf))
			}
		}
	}
}

func TestReadFrameInPieces(t *testing.T) {
	want := body(2000)
	got, err := ReadFrame(iotest.OneByteReader(bytes.NewReader(frameOf(want))), nil, 2000)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

// reads counts how often it is read from.
type reads struct {
	io.Reader
	n int
}

func (r *reads) Read(p []byte) (int, error) { r.n++; return r.Reader.Read(p) }

// What fits in the first step is read in one piece, into whatever room there was.
func TestReadFrameReadsTwice(t *testing.T) {
	for _, size := range []int{1, 100, growStep} {
		in := &reads{Reader: bytes.NewReader(frameOf(body(size)))}
		if _, err := ReadFrame(in, nil, 0); err != nil || in.n != 2 {
			t.Errorf("a frame of %d took %d reads, want the header's and the body's; %v", size, in.n, err)
		}
	}
}

func TestReadFrameCutAtEachByte(t *testing.T) {
	whole := frameOf(body(40))
	for n := range whole {
		want := io.ErrUnexpectedEOF
		if n == 0 {
			want = io.EOF
		}
		if _, err := ReadFrame(bytes.NewReader(whole[:n]), nil, 0); err != want {
			t.Errorf("cut after %d bytes: %v, want %v", n, err, want)
		}
	}
}

func TestReadFrameTooLarge(t *testing.T) {
	for _, c := range []struct {
		size  uint32
		limit int
		ok    bool
	}{
		{10, 10, true},
		{11, 10, false},
		{MaxFrame, 0, true},
		{MaxFrame + 1, 0, false},
		{MaxFrame + 1, -1, false},
		{1 << 31, MaxFrame, false},
		{math.MaxUint32, MaxFrame, false},
		{math.MaxUint32, 10, false},
	} {
		in := bytes.NewReader(append(binary.BigEndian.AppendUint32(nil, c.size), "xy"...))
		_, err := ReadFrame(in, nil, c.limit)
		var tooLarge *FrameSizeError
		if got := !errors.As(err, &tooLarge); got != c.ok {
			t.Errorf("size %d, limit %d: %v", c.size, c.limit, err)
		} else if !c.ok && (tooLarge.Size != uint64(c.size) || in.Len() != 2) {
			t.Errorf("size %d: error says %d, %d bytes left", c.size, tooLarge.Size, in.Len())
		}
	}
}

// writes counts the writes, which are packets below.
type writes struct {
	bytes.Buffer
	n int
}

func (w *writes) Write(p []byte) (int, error) { w.n++; return w.Buffer.Write(p) }

func TestWriteFrame(t *testing.T) {
	for _, c := range []struct{ size, writes int }{
		{0, 1}, {1, 1}, {growStep, 1}, {growStep + 1, 2}, {MaxFrame, 2},
	} {
		var w writes
		b := body(c.size)
		if err := WriteFrame(&w, b); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(w.Bytes(), frameOf(b)) || w.n != c.writes {
			t.Errorf("%d bytes: frame of %d in %d writes, want %d", c.size, w.Len(), w.n, c.writes)
		}
	}
	var w writes
	var tooLarge *FrameSizeError
	if err := WriteFrame(&w, make([]byte, MaxFrame+1)); !errors.As(err, &tooLarge) || w.n != 0 {
		t.Errorf("above the limit: %v after %d writes", err, w.n)
	} else if !strings.Contains(err.Error(), "8388609") {
		t.Errorf("error says %q", err)
	}
}

func TestWriteFrameErrors(t *testing.T) {
	broken := errors.New("broken")
	for after := range 2 {
		left := after
		w := writerFunc(func(p []byte) (int, error) {
			if left == 0 {
				return 0, broken
			}
			left--
			return len(p), nil
		})
		if err := WriteFrame(w, make([]byte, growStep+1)); err != broken {
			t.Errorf("after %d writes: %v", after, err)
		}
	}
}
