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
)

// eachField walks a message. The decoder is written out, because what it takes
// must be what prost takes on the Rust side: a known field of the wrong wire type is an
// error there, while Go's generated code skips it.
func eachField(b []byte, visit func(field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		f := field{num: num, typ: typ}
		switch typ {
		case protowire.VarintType:
			f.varint, n = protowire.ConsumeVarint(b)
		case protowire.BytesType:
			f.bytes, n = protowire.ConsumeBytes(b)
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
