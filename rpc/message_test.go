package rpc

import (
	"encoding/hex"
	"encoding/json"
	"os"
	"reflect"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/internal/prost"
)

func vectors(t testing.TB) map[string][]byte {
	raw, err := os.ReadFile("testdata/messages.json")
	if err != nil {
		t.Fatal(err)
	}
	var texts map[string]string
	if err := json.Unmarshal(raw, &texts); err != nil {
		t.Fatal(err)
	}
	delete(texts, "note")
	out := map[string][]byte{}
	for name, text := range texts {
		if out[name], err = hex.DecodeString(text); err != nil {
			t.Fatal(err)
		}
	}
	return out
}

// TestMessagesOfRust reads what prost wrote, and writes it again.
func TestMessagesOfRust(t *testing.T) {
	v := vectors(t)
	bob := prost.AppendVarint(prost.AppendBytes(nil, 1, []byte("Bob")), 2, 3)
	for name, c := range map[string]struct {
		want  message
		parse func([]byte) (message, error)
	}{
		"rpc_session_v0":              {hello{[]uint32{0}}, func(b []byte) (message, error) { return parseHello(b) }},
		"rpc_session_v0_v1":           {hello{[]uint32{0, 1}}, func(b []byte) (message, error) { return parseHello(b) }},
		"rpc_session_reply_accept_v0": {helloReply{}, func(b []byte) (message, error) { return parseHelloReply(b) }},
		"rpc_session_reply_accept_v1": {helloReply{Accepted: 1}, func(b []byte) (message, error) { return parseHelloReply(b) }},
		"rpc_session_reply_reject_2":  {helloReply{Rejected: true, Reason: RejectServerFull}, func(b []byte) (message, error) { return parseHelloReply(b) }},
		"rpc_request":                 {request{ID: 1, Method: 1, Deadline: 60, Payload: bob}, func(b []byte) (message, error) { return parseRequest(b) }},
		"rpc_response_fin":            {response{ID: 1, Flags: flagFIN, Payload: []byte("xyz")}, func(b []byte) (message, error) { return parseResponse(b) }},
	} {
		got, err := c.parse(v[name])
		if err != nil || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: read %+v, %v", name, got, err)
		}
		if b := c.want.append(nil); hex.EncodeToString(b) != hex.EncodeToString(v[name]) {
			t.Errorf("%s: wrote %x, want %x", name, b, v[name])
		}
		delete(v, name)
	}
	// Payloads: a field or two each.
	for name, want := range map[string][]byte{
		"say_hello_request_payload": bob,
		"string_message_hello":      prost.AppendBytes(nil, 1, []byte("hello")),
		"u32_message_7":             prost.AppendVarint(nil, 1, 7),
		"u64_message_1024":          prost.AppendVarint(nil, 1, 1024),
		"unit_message":              nil,
	} {
		if hex.EncodeToString(v[name]) != hex.EncodeToString(want) {
			t.Errorf("%s: wrote %x, want %x", name, want, v[name])
		}
		delete(v, name)
	}
	if len(v) != 0 {
		t.Errorf("vectors without a test: %v", v)
	}
}

func TestRefused(t *testing.T) {
	for name, b := range map[string][]byte{
		"undefined flag": {0x18, 4},
		"wrong type":     {0x0a, 1, 0},
		"cut":            {0x08},
	} {
		if _, err := parseRequest(b); err == nil {
			t.Errorf("request, %s: accepted", name)
		}
		if _, err := parseResponse(b); err == nil {
			t.Errorf("response, %s: accepted", name)
		}
	}
	if _, err := parseHelloReply(nil); err == nil {
		t.Error("a reply that says nothing is accepted")
	}
	if _, err := parseHello([]byte{0x0a, 2, 0}); err == nil {
		t.Error("a cut session is accepted")
	}
}

// FuzzMessages: what is read means the same when it is written and read again.
func FuzzMessages(f *testing.F) {
	for _, b := range vectors(f) {
		f.Add(b)
		for i := range b {
			f.Add(b[:i])
		}
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRequest(b); err == nil {
			again, err := parseRequest(r.append(nil))
			if err != nil || again.ID != r.ID || again.Deadline != r.Deadline || string(again.Payload) != string(r.Payload) {
				t.Errorf("%+v is read again as %+v, %v", r, again, err)
			}
		}
		if r, err := parseResponse(b); err == nil {
			again, err := parseResponse(r.append(nil))
			if err != nil || again.Status != r.Status || string(again.Payload) != string(r.Payload) {
				t.Errorf("%+v is read again as %+v, %v", r, again, err)
			}
		}
		if r, err := parseHelloReply(b); err == nil {
			if again, err := parseHelloReply(r.append(nil)); err != nil || again != r {
				t.Errorf("%+v is read again as %+v, %v", r, again, err)
			}
		}
		if s, err := parseHello(b); err == nil {
			if again, err := parseHello(s.append(nil)); err != nil || !reflect.DeepEqual(again, s) && len(s.Versions) > 0 {
				t.Errorf("%+v is read again as %+v, %v", s, again, err)
			}
		}
	})
}
