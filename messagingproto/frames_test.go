package messagingproto

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// pieces gives at most n bytes with each read, or as much as fits if n is 0.
func pieces(data []byte, n int) io.Reader {
	switch n {
	case 0:
		return bytes.NewReader(data)
	case 1:
		return iotest.OneByteReader(bytes.NewReader(data))
	}
	return &pieceReader{data, n}
}

type pieceReader struct {
	data []byte
	n    int
}

func (p *pieceReader) Read(b []byte) (int, error) {
	if len(p.data) == 0 {
		return 0, io.EOF
	}
	n := copy(b[:min(p.n, len(b))], p.data)
	p.data = p.data[n:]
	return n, nil
}

// readAll returns copies of all frames, and how it ended.
func readAll(r io.Reader) (all [][]byte, err error) {
	f := frames{r: r}
	defer f.release()
	for {
		body, err := f.next()
		if err != nil {
			return all, err
		}
		all = append(all, bytes.Clone(body))
	}
}

// cut is what readAll is held against: the plain reading of the rule.
func cut(data []byte) (all [][]byte, err error) {
	for len(data) > 0 {
		if len(data) < 4 {
			return all, io.ErrUnexpectedEOF
		}
		n := binary.BigEndian.Uint32(data)
		if n > 8<<20 {
			return all, &tariproto.FrameSizeError{Size: uint64(n), Max: 8 << 20}
		}
		if uint64(len(data)-4) < uint64(n) {
			return all, io.ErrUnexpectedEOF
		}
		all = append(all, data[4:4+n])
		data = data[4+n:]
	}
	return all, io.EOF
}

func sameFrames(t *testing.T, data []byte, piece int) {
	t.Helper()
	want, wantErr := cut(data)
	got, gotErr := readAll(pieces(data, piece))
	if !sameEnd(gotErr, wantErr) {
		t.Errorf("%d bytes in pieces of %d end with %v, want %v", len(data), piece, gotErr, wantErr)
	}
	if len(got) != len(want) {
		t.Fatalf("%d bytes in pieces of %d: %d frames, want %d", len(data), piece, len(got), len(want))
	}
	for i := range got {
		if !bytes.Equal(got[i], want[i]) {
			t.Fatalf("%d bytes in pieces of %d: frame %d differs", len(data), piece, i)
		}
	}
}

func sameEnd(a, b error) bool {
	sa, okA := errors.AsType[*tariproto.FrameSizeError](a)
	sb, okB := errors.AsType[*tariproto.FrameSizeError](b)
	if okA || okB {
		return okA && okB && *sa == *sb
	}
	return a == b
}

func TestFramesInAnyPieces(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	sizes := []int{0, 1, 3, 4, 5, 1024, 4091, 4092, 4093, 65519, 65520, 65532, 65533, 100_000, 300_000}
	for range 6 {
		var data []byte
		for range 40 {
			size := sizes[rnd.IntN(len(sizes))]
			if rnd.IntN(2) == 0 {
				size = rnd.IntN(200)
			}
			body := make([]byte, size)
			for i := range body {
				body[i] = byte(rnd.Uint32())
			}
			data = append(binary.BigEndian.AppendUint32(data, uint32(size)), body...)
		}
		for _, piece := range []int{0, 7, 1000, 4096, 65519, 1 << 20} {
			sameFrames(t, data, piece)
		}
	}
}

func TestFramesTruncatedAnywhere(t *testing.T) {
	data := append(append(frame("first"), frame("")...), frame("the third one")...)
	for end := range len(data) {
		sameFrames(t, data[:end], 0)
		sameFrames(t, data[:end], 1)
	}
}

func TestLargestFrame(t *testing.T) {
	data := append(frame(string(fill('m', MaxMessage))), frame("after it")...)
	sameFrames(t, data, 0)
	sameFrames(t, data, 65519)
}

// The buffer grows with what arrives, not with what is claimed, and does not
// stay large.
func TestBufferSize(t *testing.T) {
	large := frame(string(fill('m', 1<<20)))
	sent := 0
	r := readerFunc(func(p []byte) (int, error) {
		if sent == len(large) {
			return 0, io.EOF
		}
		n := copy(p, large[sent:min(sent+1000, len(large))])
		sent += n
		return n, nil
	})
	var f frames
	f.r = readerFunc(func(p []byte) (int, error) {
		if len(f.buf) > 4*sent+bigBuffer {
			t.Fatalf("a buffer of %d bytes for %d received", len(f.buf), sent)
		}
		return r.Read(p)
	})
	if body, err := f.next(); err != nil || len(body) != 1<<20 {
		t.Fatal(len(body), err)
	}
	if _, err := f.next(); err != io.EOF {
		t.Fatal(err)
	}
	if len(f.buf) > bigBuffer {
		t.Errorf("the idle stream holds %d bytes", len(f.buf))
	}
	f.release()
}

type readerFunc func([]byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

func TestIdleBufferIsSmall(t *testing.T) {
	var data []byte
	for range 1000 {
		data = append(data, frame("a message among many")...)
	}
	busy := false
	rest := data
	var f frames
	f.r = readerFunc(func(p []byte) (int, error) {
		busy = busy || len(p) > smallBuffer
		n := copy(p, rest)
		if rest = rest[n:]; n == 0 {
			return 0, io.EOF
		}
		return n, nil
	})
	for range 1000 {
		if _, err := f.next(); err != nil {
			t.Fatal(err)
		}
	}
	if !busy {
		t.Error("the buffer of a busy stream did not grow")
	}
	rest = frame("one")
	for range 3 {
		if _, err := f.next(); err != nil {
			t.Fatal(err)
		}
		rest = frame("one more")
	}
	if len(f.buf) != smallBuffer {
		t.Errorf("a quiet stream holds %d bytes", len(f.buf))
	}
	f.release()
}

func FuzzInbound(f *testing.F) {
	f.Fuzz(func(t *testing.T, data []byte, piece byte) {
		sameFrames(t, data, int(piece))
		var r frames
		received := 0
		src := pieces(data, int(piece))
		r.r = readerFunc(func(p []byte) (int, error) {
			if len(r.buf) > 4*received+bigBuffer {
				t.Fatalf("a buffer of %d bytes for %d received", len(r.buf), received)
			}
			n, err := src.Read(p)
			received += n
			return n, err
		})
		for {
			if _, err := r.next(); err != nil {
				break
			}
		}
		r.release()
	})
}
