package rpc

import (
	"bytes"
	"encoding/binary"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/anypb"
	"google.golang.org/protobuf/types/known/structpb"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// FuzzFrames: frames agrees with the simple reader of tariproto, in pieces of
// any size, and takes no more memory than it was sent.
func FuzzFrames(f *testing.F) {
	for _, n := range []int{0, 1, 2, 3, 4, 5, 10, 100, 200, 1000, 1020, 1024, 1025, 2000} {
		f.Add(frameOf(n), byte(n))
		f.Add(append(frameOf(n), frameOf(n/2)...), byte(3))
		f.Add(frameOf(n)[:n/2+2], byte(1))
		f.Add(tariproto.AppendFrameHeader(nil, n<<20), byte(255))
	}
	f.Fuzz(func(t *testing.T, stream []byte, piece byte) {
		const limit = 1 << 16
		ours := frames{r: &pausing{r: bytes.NewReader(stream), most: int(piece)}, limit: limit}
		simple := bytes.NewReader(stream)
		for {
			size := 0
			if rest := stream[len(stream)-simple.Len():]; len(rest) >= headSize {
				size = int(binary.BigEndian.Uint32(rest))
			}
			want, wantErr := tariproto.ReadFrame(simple, nil, limit)
			way := []string{"next", "take", "skip"}[len(want)%3]
			got, err := get(&ours, way)
			if way == "skip" && wantErr == nil {
				want = want[:min(6, len(want))]
			}
			if len(ours.buf) > 4*(keepSize+len(stream)) {
				t.Fatalf("%d bytes of memory for a stream of %d", len(ours.buf), len(stream))
			}
			if wantErr != nil {
				if err == nil || (wantErr == io.EOF) != (err == io.EOF) || (size > limit) != is[*tariproto.FrameSizeError](err) {
					t.Fatalf("%v, want %v", err, wantErr)
				}
				return
			}
			if err != nil || !bytes.Equal(got, want) {
				t.Fatalf("%s: %q, %v, want %q", way, got, err, want)
			}
		}
	})
}

// FuzzDecode: decode takes what the protobuf library takes, as long as there is
// budget, and never panics; what it counts is at least what is there.
func FuzzDecode(f *testing.F) {
	for i := range 13 {
		value := prost.AppendBytes(nil, 2, make([]byte, 10*i)) // of an Any, and before, behind and instead of it a type_url
		url := prost.AppendBytes(nil, 1, make([]byte, i))
		f.Add(slices.Concat(url, value, url), uint16(i))
		f.Add(slices.Concat(value, url, value), uint16(i))
		f.Add(slices.Concat(value, []byte{0xff}), uint16(i))
		f.Add(slices.Concat(value, []byte{0x13, 0x14}), uint16(i))                                // and a group with its number
		name := prost.AppendBytes(nil, 2, prost.AppendBytes([]byte{0x10, 1}, 1, make([]byte, i))) // of an UninterpretedOption, with what is required
		f.Add(slices.Concat(name, prost.AppendBytes(nil, 7, make([]byte, 20*i))), uint16(i))
		s, _ := structpb.NewStruct(map[string]any{"a": i, "b": []any{"x", strings.Repeat("y", i)}, "c": map[string]any{"d": nil}})
		b, _ := proto.MarshalOptions{Deterministic: true}.Marshal(s)
		f.Add(b, uint16(i))
		f.Add(b[:len(b)/2], uint16(100))
		f.Add(bytes.Repeat([]byte{0x0a, 0}, i), uint16(i))
		f.Add(nested(i*10), uint16(1000))
		f.Add(bytes.Repeat([]byte{0x10, 1, 0x50, 1}, i), uint16(i)) // of a FileDescriptorProto: numbers, unpacked
		f.Add(append([]byte{0x52, byte(i)}, make([]byte, i)...), uint16(i))
	}
	f.Fuzz(func(t *testing.T, b []byte, budget uint16) {
		for _, m := range []proto.Message{new(structpb.Struct), new(descriptorpb.FileDescriptorProto), new(anypb.Any), new(descriptorpb.UninterpretedOption)} {
			got := m.ProtoReflect().New().Interface()
			lent, copied := m.ProtoReflect().New().Interface(), decode(b, got, int(budget), false)
			if err := decode(b, lent, int(budget), true); err != copied || !proto.Equal(got, lent) && err == nil {
				t.Fatalf("%T: %v and %v where it lies, %v and %v as a copy", m, lent, err, got, copied)
			}
			err := decode(b, got, int(budget), false)
			if err == errBudget {
				continue
			}
			options := proto.UnmarshalOptions{DiscardUnknown: true, AllowPartial: false}
			if want := options.Unmarshal(b, m); (want == nil) != (err == nil) {
				if err != nil && bytes.Count(b, []byte{0x0a})+bytes.Count(b, []byte{0x0b}) >= 10 {
					continue // nested more deeply than we follow
				}
				t.Fatalf("%T: %v, the library says %v", m, err, want)
			}
			if err == nil && elements(got) > 2*int(budget) { // an entry of a map without its value is one, and makes two
				t.Fatalf("%T: %d elements with a budget of %d", m, elements(got), budget)
			}
		}
	})
}

// FuzzSession: a server outlives whatever a client says after its handshake, and
// a client whatever a server answers.
func FuzzSession(f *testing.F) {
	requests := []message{
		request{ID: 1, Method: echo.Number, Deadline: 1},
		request{ID: 2, Method: count.Number, Deadline: 1, Payload: []byte{8, 9}},
		request{ID: 3, Method: 99, Deadline: 1},
		request{ID: 4},
		request{Flags: flagACK},
		request{ID: 2, Flags: flagFIN},
		request{Flags: 7},
	}
	for _, a := range requests {
		for _, b := range requests {
			whole := appendFrame(appendFrame(nil, a), b)
			f.Add(whole)
			f.Add(whole[:len(whole)-2])
		}
	}
	f.Fuzz(func(t *testing.T, said []byte) {
		said = said[:min(len(said), 60<<10)]
		bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
			h.atMost = 1000
			r := h.shaken("alice")
			r.in.mu.Lock()
			r.in.window = 1 << 30 // it is not read until the end
			r.in.mu.Unlock()
			close(h.unstick)
			if _, err := r.Write(said); err == nil {
				r.CloseWrite()
			}
			for err := error(nil); err == nil; {
				_, err = r.frames.next()
			}
		})
		synctest.Test(t, func(t *testing.T) {
			ours, theirs := streamPair("alice")
			c := newTestClient(ours, ClientConfig{})
			defer c.Close()
			theirs.Write(said)
			theirs.CloseWrite()
			for range 3 {
				for _, err := range count.Call(t.Context(), c, nil) {
					if err != nil {
						break
					}
				}
			}
		})
	})
}
