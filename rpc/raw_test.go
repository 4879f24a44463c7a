package rpc

import (
	"context"
	"fmt"
	"testing"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// Calls by bytes: of a unary method one answer, of a streaming one each item, the empty ones too; the error is the last.
func TestRaw(t *testing.T) {
	bubble(t, ServerConfig{}, func(t *testing.T, h *harness) {
		c := h.connect("alice", ClientConfig{})
		encode := func(m proto.Message) []byte {
			b, err := proto.Marshal(m)
			if err != nil {
				t.Fatal(err)
			}
			return b
		}
		for _, one := range []struct {
			method  uint32
			payload []byte
			want    []string
			code    Code
		}{
			{echo.Number, encode(wrapperspb.Bytes([]byte("hello"))), []string{"\x0a\x05hello"}, OK},
			{echo.Number, nil, nil, OK},
			{count.Number, encode(wrapperspb.UInt64(3)), []string{"", "\x08\x01", "\x08\x02"}, OK},
			{refuse.Number, encode(wrapperspb.UInt32(uint32(NotFound))), nil, NotFound},
			{missing.Number, nil, nil, UnsupportedMethod},
			{echo.Number, make([]byte, rulesOf(Modern).request), nil, General}, // not sent
		} {
			var got []string
			var failed error
			for p, err := range (Raw{one.method}).Call(context.Background(), c, one.payload) {
				if failed = err; err == nil {
					got = append(got, string(p))
				}
			}
			if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", one.want) || CodeOf(failed) != one.code {
				t.Errorf("method %d: %q, %v", one.method, got, failed)
			}
		}
		for range (Raw{count.Number}).Call(context.Background(), c, nil) { // counts for ever
			break
		}
		works(t, c)
	})
}
