package rpc

import (
	"errors"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
)

var (
	errBudget = errors.New("more elements than the method allows, or nested too deeply")
	errPrefix = errors.New("not the message that the method has")
)

// decode reads a payload into m if it stays within the budget, and allocates
// nothing if it does not.
func decode(payload []byte, m proto.Message, budget int) error {
	w := walk{left: budget}
	if !w.message(payload, m.ProtoReflect().Descriptor(), 0) {
		return errBudget
	}
	options := proto.UnmarshalOptions{
		DiscardUnknown: true,
		Resolver:       new(protoregistry.Types), // no extensions: they were not counted
		RecursionLimit: maxNesting + 1,
	}
	if options.Unmarshal(payload, m) != nil {
		return errPrefix // the decoder's own words quote what the peer sent
	}
	return nil
}

// walk counts what decoding would allocate, as tari_comms does: messages in a
// message, elements of repeated strings and bytes, entries of maps, and of
// repeated numbers the bytes when they are packed and else the elements.
type walk struct{ left int }

// message counts one message's fields and says whether the budget holds. It
// stops where the message is malformed; decoding will say so.
func (w *walk) message(b []byte, d protoreflect.MessageDescriptor, depth int) bool {
	if depth > maxNesting {
		return false
	}
	fields := d.Fields()
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return true
		}
		b = b[n:]
		size := protowire.ConsumeFieldValue(num, typ, b)
		if size < 0 {
			return true
		}
		if field := fields.ByNumber(num); field != nil && !w.field(field, typ, b[:size], depth) {
			return false
		}
		b = b[size:]
	}
	return true
}

// field counts one field; value is all of it but the tag.
func (w *walk) field(field protoreflect.FieldDescriptor, typ protowire.Type, value []byte, depth int) bool {
	inner := field.Message()
	switch typ {
	case protowire.BytesType:
		content, _ := protowire.ConsumeBytes(value)
		switch {
		case inner != nil: // of a map field it is the entry, which has a message in it or not
			return w.charge(1) && w.message(content, inner, depth+1)
		case !field.IsList():
			return true
		case field.Kind() == protoreflect.StringKind || field.Kind() == protoreflect.BytesKind:
			return w.charge(1)
		}
		return w.charge(len(content))
	case protowire.StartGroupType:
		if inner == nil {
			return true
		}
		content, _ := protowire.ConsumeGroup(field.Number(), value)
		return w.charge(1) && w.message(content, inner, depth+1)
	}
	return !field.IsList() || w.charge(1)
}

func (w *walk) charge(n int) bool {
	w.left -= n
	return w.left >= 0
}
