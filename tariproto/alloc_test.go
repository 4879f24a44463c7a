//go:build !race

package tariproto

import (
	"bytes"
	"math"
	"runtime"
	"testing"
)

func TestFramesDoNotAllocate(t *testing.T) {
	in := bytes.NewReader(frameOf(body(1000)))
	buf := make([]byte, 1000)
	if n := testing.AllocsPerRun(100, func() {
		in.Seek(0, 0)
		if _, err := ReadFrame(in, buf, 0); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("ReadFrame into a buffer: %v allocations", n)
	}
	var out bytes.Buffer
	out.Grow(2000)
	if n := testing.AllocsPerRun(100, func() {
		out.Reset()
		if err := WriteFrame(&out, buf); err != nil {
			t.Fatal(err)
		}
	}); n > 0.5 { // a collection may empty the pool
		t.Errorf("WriteFrame: %v allocations", n)
	}
}

// A length prefix alone must not make us allocate what it announces.
func TestReadFrameTrustsNoLength(t *testing.T) {
	for _, c := range []struct {
		arrived, announced int
		atMost             uint64
	}{
		{0, MaxFrame, 2 * growStep},
		{1, math.MaxInt32, 2 * growStep},
		{growStep, MaxFrame, 5 * growStep},
		{4 * growStep, MaxFrame, 20 * growStep},
	} {
		in := bytes.NewReader(append(AppendFrameHeader(nil, c.announced), make([]byte, c.arrived)...))
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := ReadFrame(in, nil, math.MaxInt32)
		runtime.ReadMemStats(&after)
		if err == nil {
			t.Fatal("a frame that never arrived")
		}
		if got := after.TotalAlloc - before.TotalAlloc; got > c.atMost {
			t.Errorf("%d of %d bytes: allocated %d, want at most %d", c.arrived, c.announced, got, c.atMost)
		}
	}
}
