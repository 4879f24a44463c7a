// Package prost reads and writes protobuf messages as Rust's prost does, which
// tari_comms uses: what it takes and refuses is what a Rust peer takes and
// refuses. The decoder is written out, because a known field of the wrong wire type is an
// error there, while Go's generated code skips it.
package prost

import (
	"errors"
	"unicode/utf8"

	"google.golang.org/protobuf/encoding/protowire"
)

// Field is one field of a protobuf message.
type Field struct {
	Num    protowire.Number
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

// Each calls visit with the fields of a message in their order, until one of
// them fails. depth is how many messages this one is inside of.
func Each(b []byte, depth int, visit func(Field) error) error {
	for len(b) > 0 {
		num, typ, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if num > protowire.MaxValidNumber {
			return errNumber
		}
		b = b[n:]
		f := Field{Num: num, typ: typ}
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

// Data is the content of a length-delimited field.
func (f Field) Data() ([]byte, error) {
	if f.typ != protowire.BytesType {
		return nil, errFieldType
	}
	return f.bytes, nil
}

// Text is Data that has to be UTF-8.
func (f Field) Text() (string, error) {
	b, err := f.Data()
	if err != nil {
		return "", err
	}
	if !utf8.Valid(b) {
		return "", errUTF8
	}
	return string(b), nil
}

// Number is the value of a varint field.
func (f Field) Number() (uint64, error) {
	if f.typ != protowire.VarintType {
		return 0, errFieldType
	}
	return f.varint, nil
}

// Numbers appends the values of a repeated varint field to dst, packed or not.
func (f Field) Numbers(dst []uint64) ([]uint64, error) {
	if f.typ == protowire.VarintType {
		return append(dst, f.varint), nil
	}
	b, err := f.Data()
	for err == nil && len(b) > 0 {
		v, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return nil, protowire.ParseError(n)
		}
		dst, b = append(dst, v), b[n:]
	}
	return dst, err
}

// AppendBytes appends a length-delimited field, also an empty one.
func AppendBytes(b []byte, num protowire.Number, v []byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
}

// AppendVarint appends a varint field. It leaves a zero out, as proto3 does.
func AppendVarint(b []byte, num protowire.Number, v uint64) []byte {
	if v == 0 {
		return b
	}
	return protowire.AppendVarint(protowire.AppendTag(b, num, protowire.VarintType), v)
}
