package rpc

import (
	"bytes"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/descriptorpb"
	"google.golang.org/protobuf/types/known/fieldmaskpb"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

// nested is a structpb.ListValue in a Value in a ListValue, depth messages deep.
func nested(depth int) []byte {
	var b []byte
	for i := range depth {
		num := protowire.Number(1) // values of a ListValue
		if i%2 == 0 {
			num = 6 // list_value of a Value
		}
		b = prost.AppendBytes(nil, num, b)
	}
	return b
}

// elements counts what decode counts, in a decoded message; a packed number
// counts as one at least.
func elements(m proto.Message) int {
	n := 0
	m.ProtoReflect().Range(func(f protoreflect.FieldDescriptor, v protoreflect.Value) bool {
		inner := func(v protoreflect.Value) { n += 1 + elements(v.Message().Interface()) }
		switch {
		case f.IsMap():
			v.Map().Range(func(_ protoreflect.MapKey, v protoreflect.Value) bool {
				n++
				if f.MapValue().Message() != nil {
					inner(v)
				}
				return true
			})
		case f.IsList():
			for i := range v.List().Len() {
				if f.Message() != nil {
					inner(v.List().Get(i))
				} else {
					n++
				}
			}
		case f.Message() != nil:
			inner(v)
		}
		return true
	})
	return n
}

// What each kind of field costs.
func TestBudgetCounts(t *testing.T) {
	must := func(m proto.Message) []byte {
		b, err := proto.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	file := func(f func(*descriptorpb.FileDescriptorProto)) []byte {
		m := &descriptorpb.FileDescriptorProto{}
		f(m)
		return must(m)
	}
	value := structpb.NewStringValue
	for name, c := range map[string]struct {
		b    []byte
		m    proto.Message
		want int
	}{
		"nothing":            {nil, new(structpb.Struct), 0},
		"a large string":     {must(wrapperspb.String(string(make([]byte, 100_000)))), new(wrapperspb.StringValue), 0},
		"strings":            {must(&fieldmaskpb.FieldMask{Paths: []string{"a", "", "c"}}), new(fieldmaskpb.FieldMask), 3},
		"messages":           {must(&structpb.ListValue{Values: []*structpb.Value{value("a"), value("b")}}), new(structpb.ListValue), 2},
		"a map of messages":  {must(&structpb.Struct{Fields: map[string]*structpb.Value{"a": value("a"), "b": value("b")}}), new(structpb.Struct), 4},
		"a message":          {file(func(f *descriptorpb.FileDescriptorProto) { f.Options = &descriptorpb.FileOptions{} }), new(descriptorpb.FileDescriptorProto), 1},
		"it twice":           {bytes.Repeat([]byte{0x42, 0}, 2), new(descriptorpb.FileDescriptorProto), 2},
		"numbers":            {file(func(f *descriptorpb.FileDescriptorProto) { f.PublicDependency = []int32{1, 2, 300} }), new(descriptorpb.FileDescriptorProto), 3},
		"packed numbers":     {must(&descriptorpb.SourceCodeInfo_Location{Path: []int32{1, 2, 300}}), new(descriptorpb.SourceCodeInfo_Location), 4},
		"an unknown field":   {prost.AppendBytes(nil, 999, make([]byte, 1000)), new(structpb.Struct), 0},
		"a number for a map": {[]byte{0x08, 1}, new(structpb.Struct), 0},
	} {
		if err := decode(c.b, c.m.ProtoReflect().New().Interface(), c.want, false); err != nil {
			t.Errorf("%s: with a budget of %d: %v", name, c.want, err)
		}
		if err := decode(c.b, c.m.ProtoReflect().New().Interface(), c.want-1, false); c.want > 0 && err != errBudget {
			t.Errorf("%s: with a budget of %d: %v", name, c.want-1, err)
		}
	}
	for depth, want := range map[int]error{99: nil, 101: errBudget, 10_000: errBudget} {
		b := nested(depth)
		m := proto.Message(new(structpb.Value))
		if depth%2 == 0 {
			m = new(structpb.ListValue)
		}
		if err := decode(b, m, 1<<20, false); err != want {
			t.Errorf("%d messages deep: %v", depth, err)
		}
	}
	if err := decode([]byte{0xff}, new(structpb.Struct), 1, false); err != errPrefix {
		t.Error(err)
	}
}
