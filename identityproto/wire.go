package identityproto

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// field is one field of a protobuf message.
type field struct {
	num    protowire.Number
	typ    protowire.Type
	bytes  []byte // of a length-delimited field; points into the message
	varint uint64
}

var (
	errFieldType = errors.New("a field has the wrong wire type")
	errUTF8      = errors.New("a string is not UTF-8")
	errNumber    = errors.New("a field has a number above 2^29-1")
	errGroup     = errors.New("a group does not end, or nests too deeply")
)

// eachField walks a message. The decoder is written out, because what it takes
// must be what prost takes on the Rust side: a known field of the wrong wire type is an
// error there, while Go's generated code skips it.
// depth is how many messages this one is inside of.
func eachField(b []byte, depth int, visit func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if num > protowire.MaxValidNumber {
			return errNumber
		}
		b = b[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
		case protowire.StartGroupType:
			var err error
			if n, err = skipGroup(num, b, depth+1); err != nil {
				return err
			}
		default:
			n = protowire.ConsumeFieldValue(num, typ, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := visit(f); err != nil {
			return err
		}
	}
	return nil
}

// maxDepth is how deep prost follows messages and groups into each other.
const maxDepth = 100

// skipGroup finds the end of a group, an old kind of field that nobody sends.
func skipGroup(num protowire.Number, b []byte, depth int) (size int, err error) {
	for {
		inner, typ, n := protowire.ConsumeTag(b[size:])
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		size += n
		switch {
		case inner > protowire.MaxValidNumber:
			return 0, errNumber
		case typ == protowire.EndGroupType && inner == num:
			return size, nil
		case typ == protowire.EndGroupType || depth == maxDepth:
			return 0, errGroup
		case typ == protowire.StartGroupType:
			n, err = skipGroup(inner, b[size:], depth+1)
		default:
			n = protowire.ConsumeFieldValue(inner, typ, b[size:])
		}
		if err != nil {
			return 0, err
		}
		if n < 0 {
			return 0, protowire.ParseError(n)
		}
		size += n
	}
}

// data is the content of a length-delimited field.
func (f field) data() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, errFieldType
	}
	return f.bytes, nil
}

// text is data that has to be UTF-8.
func (f field) text() (string, error) {
	b, err := f.data()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errUTF8
	}
	return string(b), nil
}

// number is the value of a varint field.
func (f field) number() (uint64, error) {
	if f.typ != protowire.VarintType {
		return 0, errFieldType
	}
	return f.varint, nil
}

func appendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// appendVarint leaves a zero out, as proto3 does.
func appendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}
