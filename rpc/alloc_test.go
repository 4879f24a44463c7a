//go:build !race

package rpc

import (
	"bytes"
	"io"
	"runtime"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// allocated is what f allocates in all.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// Messages of 6 MiB that would decode into many times that are refused before
// they are decoded.
func TestDecodeBombs(t *testing.T) {
	const size = 6 << 20
	entry := []byte{0x0a, 2, 0x0a, 0}
	for name, c := range map[string]struct {
		b []byte
		m proto.Message
	}{
		"empty messages":        {bytes.Repeat([]byte{0x0a, 0}, size/2), new(structpb.ListValue)},
		"nested 10,000 deep":    {nested(10_000), new(structpb.ListValue)},
		"a million map entries": {bytes.Repeat(entry, 1<<20), new(structpb.Struct)},
		"packed numbers":        {prost.AppendBytes(nil, 1, bytes.Repeat([]byte{1}, size)), new(descriptorpb.SourceCodeInfo_Location)},
		"unpacked numbers":      {bytes.Repeat([]byte{0x08, 1}, size/2), new(descriptorpb.SourceCodeInfo_Location)},
		"empty strings":         {bytes.Repeat([]byte{0x32, 0}, size/2), new(descriptorpb.SourceCodeInfo_Location)},
	} {
		if got := allocated(func() {
			if err := decode(c.b, c.m, defaultBudget, false); err != errBudget {
				t.Errorf("%s: %v", name, err)
			}
		}); got > 1<<20 {
			t.Errorf("%s: %d bytes allocated", name, got)
		}
	}
	// Unknown fields are not kept.
	b := bytes.Repeat(append(prost.AppendBytes(nil, 999, nil), 0xc0, 0x3e, 1), size/8)
	if got := allocated(func() {
		if err := decode(b, new(structpb.Struct), defaultBudget, false); err != nil {
			t.Error(err)
		}
	}); got > 1<<20 {
		t.Errorf("unknown fields: %d bytes allocated", got)
	}
}

// A length alone makes nobody allocate what it announces, and a frame that comes
// byte by byte no more than one that comes at once.
func TestFramesTrustNoLength(t *testing.T) {
	for _, c := range []struct{ arrived, announced, atMost int }{
		{0, 8 << 20, 4 * keepSize},
		{1, 8 << 20, 4 * keepSize},
		{keepSize, 8 << 20, 8 * keepSize},
		{8 << 20, 8 << 20, 5 * 8 << 20},
	} {
		in := append(tariproto.AppendFrameHeader(nil, c.announced), make([]byte, c.arrived)...)
		for _, most := range []int{0, 1000} {
			f := frames{r: &pausing{r: bytes.NewReader(in), most: most}, limit: 8 << 20}
			if got := allocated(func() {
				_, err := get(&f, "take")
				if (err == nil) != (c.arrived == c.announced) || err != nil && err != io.ErrUnexpectedEOF {
					t.Error(err)
				}
			}); got > uint64(c.atMost) {
				t.Errorf("%d of %d bytes, %d at a time: %d allocated", c.arrived, c.announced, most, got)
			}
		}
	}
}

// An item costs its reader nothing but the message, its writer nothing.
func TestItemAllocations(t *testing.T) {
	item, head := wrapperspb.Bytes(make([]byte, 1000)), response{ID: 7}
	buf, err := appendWith(nil, head, item, 1<<20)
	if err != nil {
		t.Fatal(err)
	}
	if n := testing.AllocsPerRun(100, func() { buf, _ = appendWith(buf[:0], head, item, 1<<20) }); n > 0 {
		t.Errorf("%v to write an item", n)
	}
	in := bytes.NewReader(buf)
	f := frames{r: in, limit: 1 << 20}
	if n := testing.AllocsPerRun(100, func() {
		in.Seek(0, io.SeekStart)
		b, err := f.next()
		if err == nil {
			_, err = parseResponse(b)
		}
		if err != nil {
			t.Fatal(err)
		}
	}); n > 1 {
		t.Errorf("%v to read an item", n)
	}
	payload, err := proto.Marshal(item)
	if err != nil {
		t.Fatal(err)
	}
	lent := new(wrapperspb.BytesValue)
	if n := testing.AllocsPerRun(100, func() {
		if err := decode(payload, lent, defaultBudget, true); err != nil || len(lent.Value) != 1000 {
			t.Fatal(err, len(lent.Value))
		}
	}); n > 1 { // reflection boxes the slice
		t.Errorf("%v to decode an item that is lent", n)
	}
}
