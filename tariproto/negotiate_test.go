package tariproto

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/libp2p/go-libp2p/core/protocol"
)

// script is a substream whose other end has already said everything.
type script struct {
	in  *bytes.Reader
	out bytes.Buffer
}

func newScript(in string) *script { return &script{in: bytes.NewReader([]byte(in))} }

// Read gives one byte at a time: frames do not arrive in one piece.
func (s *script) Read(p []byte) (int, error)  { return iotest.OneByteReader(s.in).Read(p) }
func (s *script) Write(p []byte) (int, error) { return s.out.Write(p) }

func (s *script) rest() string {
	b, _ := io.ReadAll(s.in)
	return string(b)
}

func known(ids ...protocol.ID) func(protocol.ID) bool {
	return func(id protocol.ID) bool {
		for _, k := range ids {
			if k == id {
				return true
			}
		}
		return false
	}
}

func TestSelect(t *testing.T) {
	two := []protocol.ID{"a", "bc"}
	longest := strings.Repeat("x", maxID)
	for _, c := range []struct {
		name     string
		ids      []protocol.ID
		answers  string
		want     protocol.ID
		err      error
		sent     string
		unread   string
		flagsBad byte
	}{
		{name: "the first", ids: two, answers: "\x01\x00a....", want: "a", sent: "\x01\x00a", unread: "...."},
		{name: "the second", ids: two, answers: "\x00\x04\x02\x00bcX", want: "bc", sent: "\x01\x00a\x02\x00bc", unread: "X"},
		{name: "none", ids: two, answers: "\x00\x04\x00\x04X", err: ErrNotSupported, sent: "\x01\x00a\x02\x00bc\x00\x02", unread: "X"},
		{name: "responder gives up", ids: two, answers: "\x00\x06X", err: ErrTerminated, sent: "\x01\x00a", unread: "X"},
		{name: "terminated", ids: two, answers: "\x00\x02", err: ErrTerminated, sent: "\x01\x00a"},
		{name: "another id means no", ids: two, answers: "\x02\x00bc\x02\x00bc", want: "bc", sent: "\x01\x00a\x02\x00bc"},
		{name: "another id to the last", ids: two[:1], answers: "\x02\x00bc", err: ErrNotSupported, sent: "\x01\x00a\x00\x02"},
		{name: "the id, but not supported", ids: two[:1], answers: "\x01\x04a", err: ErrNotSupported, sent: "\x01\x00a\x00\x02"},
		{name: "an optimistic answer", ids: two, answers: "\x01\x01a", want: "a", sent: "\x01\x00a"},
		{name: "nothing to offer", err: ErrNotSupported, sent: "\x00\x02"},
		{name: "the longest", ids: []protocol.ID{protocol.ID(longest)}, answers: "\xff\x00" + longest, want: protocol.ID(longest), sent: "\xff\x00" + longest},
		{name: "too long", ids: []protocol.ID{"a", protocol.ID(strings.Repeat("x", 256))}, err: ErrIDTooLong},
		{name: "unknown flag", ids: two, answers: "\x01\x08a", flagsBad: 0x08, sent: "\x01\x00a", unread: "a"},
		{name: "closed", ids: two, err: io.EOF, sent: "\x01\x00a"},
		{name: "closed in the header", ids: two, answers: "\x01", err: io.ErrUnexpectedEOF, sent: "\x01\x00a"},
		{name: "closed in the id", ids: two, answers: "\x01\x00", err: io.ErrUnexpectedEOF, sent: "\x01\x00a"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(c.answers)
			got, err := Select(s, c.ids...)
			checkFlags(t, &err, c.flagsBad)
			if got != c.want || !errors.Is(err, c.err) {
				t.Errorf("Select = %q, %v; want %q, %v", got, err, c.want, c.err)
			}
			if s.out.String() != c.sent {
				t.Errorf("sent %q, want %q", s.out.String(), c.sent)
			}
			if rest := s.rest(); rest != c.unread {
				t.Errorf("left %q unread, want %q", rest, c.unread)
			}
		})
	}
}

func TestAccept(t *testing.T) {
	no := "\x00\x04"
	for _, c := range []struct {
		name       string
		offers     string
		want       protocol.ID
		optimistic bool
		err        error
		sent       string
		unread     string
		flagsBad   byte
	}{
		{name: "negotiated", offers: "\x01\x00adata", want: "a", sent: "\x01\x00a", unread: "data"},
		{name: "optimistic", offers: "\x01\x03adata", want: "a", optimistic: true, unread: "data"},
		{name: "optimistic without terminate", offers: "\x01\x01adata", want: "a", optimistic: true, unread: "data"},
		{name: "optimistic, unknown", offers: "\x01\x03zdata", want: "z", optimistic: true, err: ErrNotSupported, unread: "data"},
		{name: "the third", offers: "\x01\x00x\x00\x00\x02\x00bcX", want: "bc", sent: no + no + "\x02\x00bc", unread: "X"},
		{name: "the fifth", offers: strings.Repeat("\x01\x00x", 4) + "\x01\x00aX", want: "a", sent: strings.Repeat(no, 4) + "\x01\x00a", unread: "X"},
		{name: "five rounds", offers: strings.Repeat("\x01\x00x", 5) + "\x01\x00a", err: ErrNotSupported, sent: strings.Repeat(no, 4) + "\x00\x06", unread: "\x01\x00a"},
		{name: "initiator gives up", offers: "\x01\x00x\x00\x02X", err: ErrTerminated, sent: no, unread: "X"},
		{name: "terminate with an id", offers: "\x01\x02a", err: ErrTerminated},
		{name: "optimistic in the second round", offers: "\x01\x00x\x01\x03aX", want: "a", optimistic: true, sent: no, unread: "X"},
		{name: "the longest id", offers: "\xff\x00" + strings.Repeat("x", 255) + "\x01\x00a", want: "a", sent: no + "\x01\x00a"},
		{name: "unknown flag", offers: "\x01\x80a", flagsBad: 0x80, unread: "a"},
		{name: "all flags", offers: "\x01\xffa", flagsBad: 0xff, unread: "a"},
		{name: "nothing", err: io.EOF},
		{name: "half a header", offers: "\x01", err: io.ErrUnexpectedEOF},
		{name: "half an id", offers: "\x02\x00a", err: io.ErrUnexpectedEOF},
		{name: "closed after a no", offers: "\x01\x00x", err: io.EOF, sent: no},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newScript(c.offers)
			got, optimistic, err := Accept(s, known("a", "bc"))
			checkFlags(t, &err, c.flagsBad)
			if got != c.want || optimistic != c.optimistic || !errors.Is(err, c.err) {
				t.Errorf("Accept = %q, %v, %v; want %q, %v, %v", got, optimistic, err, c.want, c.optimistic, c.err)
			}
			if s.out.String() != c.sent {
				t.Errorf("sent %q, want %q", s.out.String(), c.sent)
			}
			if rest := s.rest(); rest != c.unread {
				t.Errorf("left %q unread, want %q", rest, c.unread)
			}
		})
	}
}

// checkFlags takes an expected *FlagError out of err.
func checkFlags(t *testing.T, err *error, flags byte) {
	t.Helper()
	var bad *FlagError
	if !errors.As(*err, &bad) {
		bad = &FlagError{}
	}
	if bad.Flags != flags {
		t.Errorf("bad flags %#x, want %#x (%v)", bad.Flags, flags, *err)
	}
	if flags != 0 {
		if bad.BanFor() != 2*time.Hour {
			t.Errorf("ban of %v", bad.BanFor())
		}
		*err = nil
	}
}

func TestWriteErrors(t *testing.T) {
	broken := errors.New("broken")
	fail := struct {
		io.Reader
		io.Writer
	}{strings.NewReader("\x01\x00x"), writerFunc(func([]byte) (int, error) { return 0, broken })}
	if _, err := Select(fail, "a"); !errors.Is(err, broken) {
		t.Errorf("Select: %v", err)
	}
	if _, _, err := Accept(fail, known("a")); !errors.Is(err, broken) {
		t.Errorf("Accept: %v", err)
	}
}

type writerFunc func([]byte) (int, error)

func (f writerFunc) Write(p []byte) (int, error) { return f(p) }

func TestAppendOptimistic(t *testing.T) {
	got, err := AppendOptimistic([]byte("x"), Messaging)
	if want := "x\x09\x03t/msg/0.1"; string(got) != want || err != nil {
		t.Errorf("AppendOptimistic = %q, %v; want %q", got, err, want)
	}
	if _, err := AppendOptimistic(nil, protocol.ID(strings.Repeat("x", 255))); err != nil {
		t.Errorf("255 bytes: %v", err)
	}
	if _, err := AppendOptimistic(nil, protocol.ID(strings.Repeat("x", 256))); !errors.Is(err, ErrIDTooLong) {
		t.Errorf("256 bytes: %v", err)
	}
}

// recorded is one substream between two Rust nodes, each side's bytes whole.
type recorded struct {
	Session   string
	Protocol  protocol.ID
	Initiator string
	Responder string
	Refused   bool // negotiated and not supported
	Framed    bool // u32 frames follow, both ways
}

func recordings(t testing.TB) (all []recorded) {
	t.Helper()
	data, err := os.ReadFile("testdata/substreams.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(data, &all); err != nil {
		t.Fatal(err)
	}
	for i, r := range all {
		initiator, errI := hex.DecodeString(r.Initiator)
		responder, errR := hex.DecodeString(r.Responder)
		if err := errors.Join(errI, errR); err != nil {
			t.Fatal(err)
		}
		all[i].Initiator, all[i].Responder = string(initiator), string(responder)
	}
	return all
}

// What Rust said to Rust, we answer as Rust did, and the frames behind it come
// out of ReadFrame and go back through WriteFrame unchanged.
func TestRecordedSubstreams(t *testing.T) {
	all := recordings(t)
	if len(all) < 10 {
		t.Fatal("recordings are missing")
	}
	for _, r := range all {
		t.Run(r.Session+string(r.Protocol), func(t *testing.T) {
			s := newScript(r.Initiator)
			if r.Refused {
				if _, _, err := Accept(s, known("other")); !errors.Is(err, ErrTerminated) {
					t.Errorf("Accept: %v", err)
				}
				if s.out.String() != r.Responder {
					t.Errorf("answered %q, Rust %q", s.out.String(), r.Responder)
				}
				s = newScript(r.Responder)
				if _, err := Select(s, r.Protocol); !errors.Is(err, ErrNotSupported) || s.out.String() != r.Initiator {
					t.Errorf("Select: %v, sent %q, Rust %q", err, s.out.String(), r.Initiator)
				}
				return
			}
			id, optimistic, err := Accept(s, known(r.Protocol))
			if id != r.Protocol || !optimistic || err != nil || s.out.Len() != 0 {
				t.Fatalf("Accept = %q, %v, %v; answered %q", id, optimistic, err, s.out.String())
			}
			initiator := s.rest()
			opening, err := AppendOptimistic(nil, r.Protocol)
			if err != nil || string(opening)+initiator != r.Initiator {
				t.Errorf("opening %q, %v", opening, err)
			}
			if r.Framed {
				throughFrames(t, initiator)
				throughFrames(t, r.Responder)
			}
		})
	}
}

func throughFrames(t *testing.T, stream string) {
	t.Helper()
	var again bytes.Buffer
	for in := strings.NewReader(stream); ; {
		body, err := ReadFrame(in, nil, 0)
		if err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		if err := WriteFrame(&again, body); err != nil {
			t.Fatal(err)
		}
	}
	if again.String() != stream {
		t.Errorf("frames come back as %q, were %q", again.String(), stream)
	}
}
