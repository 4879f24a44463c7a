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

// noExtensions keeps extensions from being decoded: they were not counted.
var noExtensions = new(protoregistry.Types)

// decoding is how the protobuf library decodes.
var decoding = proto.UnmarshalOptions{DiscardUnknown: true, Resolver: noExtensions, RecursionLimit: maxNesting + 1}

// decode reads a payload into m if it stays within the budget, and allocates
// nothing if it does not.
//
// The protobuf library copies all that it reads. If the payload stays as it is
// for as long as m is used, and most of it is the value of one field, as with a
// block, then m gets that value where it lies.
func decode(payload []byte, m proto.Message, budget int, stays bool) error {
	d := m.ProtoReflect().Descriptor()
	w := walk{left: budget}
	if !w.message(payload, d, 0) {
		return errBudget
	}
	if stays {
		if v, found := findBulk(payload, d); found {
			return v.decode(payload, m)
		}
	}
	if decoding.Unmarshal(payload, m) != nil {
		return errPrefix // the decoder's own words quote what the peer sent
	}
	return nil
}

// bulk is the field of bytes that most of a message is: payload[start:end], its
// tag and its length included.
type bulk struct {
	field      protoreflect.FieldDescriptor
	value      []byte
	start, end int
}

// findBulk finds it among a message's own fields. It is none that comes again
// behind it, or that another field may replace.
func findBulk(payload []byte, d protoreflect.MessageDescriptor) (v bulk, found bool) {
	for at := 0; at < len(payload); {
		num, typ, n := protowire.ConsumeField(payload[at:])
		if n < 0 {
			return bulk{}, false
		}
		if v.field != nil && num == v.field.Number() {
			return bulk{}, false
		}
		if typ == protowire.BytesType && n > len(payload)/2 {
			v.field = d.Fields().ByNumber(num)
			_, _, tag := protowire.ConsumeTag(payload[at:])
			v.value, _ = protowire.ConsumeBytes(payload[at+tag:])
			v.start, v.end = at, at+n
		}
		at += n
	}
	f := v.field
	return v, f != nil && f.Kind() == protoreflect.BytesKind && !f.IsList() && f.ContainingOneof() == nil
}

// decode reads what is before the value and what is behind it, and sets it.
func (v bulk) decode(payload []byte, m proto.Message) error {
	parts := decoding
	parts.AllowPartial = true
	if parts.Unmarshal(payload[:v.start], m) != nil {
		return errPrefix
	}
	parts.Merge = true
	if v.end < len(payload) && parts.Unmarshal(payload[v.end:], m) != nil {
		return errPrefix
	}
	m.ProtoReflect().Set(v.field, protoreflect.ValueOfBytes(v.value[:len(v.value):len(v.value)]))
	if proto.CheckInitialized(m) != nil {
		return errPrefix
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
