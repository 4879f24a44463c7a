package rpc

import (
	"bytes"
	"errors"
	"io"
	"os"
	"testing"
	"testing/iotest"

	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

func frameOf(n int) []byte {
	return append(tariproto.AppendFrameHeader(nil, n), bytes.Repeat([]byte{byte(n)}, n)...)
}

// Frames come out as they went in, in whatever pieces they arrive.
func TestFrames(t *testing.T) {
	sizes := []int{0, 1, 3, 4, 100, readSize - 4, readSize, readSize + 1, keepSize - 1, keepSize, keepSize + 1, 300_000, 5, 0, 7}
	var stream []byte
	for _, n := range sizes {
		stream = append(stream, frameOf(n)...)
	}
	for name, pieces := range map[string]func(io.Reader) io.Reader{
		"whole":          func(r io.Reader) io.Reader { return r },
		"halves":         iotest.HalfReader,
		"with the end":   iotest.DataErrReader,
		"with pauses":    func(r io.Reader) io.Reader { return &pausing{r: r} },
		"single bytes":   iotest.OneByteReader,
		"odd, in threes": func(r io.Reader) io.Reader { return &pausing{r: r, most: 3} },
	} {
		for _, way := range []string{"next", "take", "skip"} {
			f := frames{r: pieces(bytes.NewReader(stream)), limit: 1 << 20}
			var kept [][]byte
			for _, n := range sizes {
				body, err := get(&f, way)
				switch {
				case err != nil:
					t.Fatalf("%s, %s: frame of %d: %v", name, way, n, err)
				case way == "skip" && len(body) != min(n, 6), way != "skip" && len(body) != n:
					t.Fatalf("%s, %s: frame of %d has %d", name, way, n, len(body))
				}
				if way == "take" {
					kept = append(kept, body)
				}
			}
			for i, b := range kept {
				if !bytes.Equal(b, frameOf(sizes[i])[4:]) {
					t.Errorf("%s: a taken frame of %d changed", name, sizes[i])
				}
			}
			if _, err := get(&f, way); err != io.EOF {
				t.Errorf("%s, %s: the end is %v", name, way, err)
			}
			if f.release(); len(f.buf) > keepSize {
				t.Errorf("%s, %s: %d bytes are kept", name, way, len(f.buf))
			}
		}
	}
}

// get tries again after a pause, as a caller may.
func get(f *frames, way string) (b []byte, err error) {
	for {
		switch way {
		case "next":
			b, err = f.next()
		case "take":
			b, err = f.take()
		case "skip":
			b, err = f.skip(6)
		}
		if !errors.Is(err, os.ErrDeadlineExceeded) {
			return b, err
		}
	}
}

// pausing reports a passed deadline before each read.
type pausing struct {
	r      io.Reader
	most   int
	paused bool
}

func (p *pausing) Read(b []byte) (int, error) {
	if p.paused = !p.paused; p.paused {
		return 0, os.ErrDeadlineExceeded
	}
	if p.most > 0 {
		b = b[:min(len(b), p.most)]
	}
	return p.r.Read(b)
}

func TestFrameEnds(t *testing.T) {
	for _, c := range []struct {
		stream string
		want   error
	}{
		{"", io.EOF},
		{"\x00", io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x05", io.ErrUnexpectedEOF},
		{"\x00\x00\x00\x05abcd", io.ErrUnexpectedEOF},
	} {
		for _, way := range []string{"next", "take", "skip"} {
			f := frames{r: bytes.NewReader([]byte(c.stream)), limit: 100}
			_, err := get(&f, way)
			if way == "skip" && err == nil {
				_, err = f.next()
			}
			if err != c.want {
				t.Errorf("%q, %s: %v", c.stream, way, err)
			}
		}
	}
	f := frames{r: bytes.NewReader(frameOf(101)), limit: 100}
	var tooLarge *tariproto.FrameSizeError
	if _, err := f.next(); !errors.As(err, &tooLarge) || tooLarge.Size != 101 {
		t.Error(err)
	}
}

// A payload in place is the same as one that was written first.
func TestAppendWith(t *testing.T) {
	for _, n := range []int{0, 1, 100, 70_000} {
		m := wrapperspb.Bytes(make([]byte, n))
		got, err := appendWith([]byte("before"), response{ID: 300, Flags: flagFIN}, m, 1<<20)
		if err != nil {
			t.Fatal(err)
		}
		want := appendFrame([]byte("before"), response{ID: 300, Flags: flagFIN, Payload: payload(n)})
		if !bytes.Equal(got, want) {
			t.Errorf("%d: %x, want %x", n, got, want)
		}
		size := len(want) - len("before") - headSize
		if _, err := appendWith(nil, response{ID: 300, Flags: flagFIN}, m, size); err != nil {
			t.Errorf("%d into as many: %v", n, err)
		}
		if b, err := appendWith([]byte("x"), response{ID: 300, Flags: flagFIN}, m, size-1); !is[*tariproto.FrameSizeError](err) || string(b) != "x" {
			t.Errorf("%d into one fewer: %q, %v", n, b, err)
		}
	}
}
