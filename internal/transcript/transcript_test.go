package transcript

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

var example = []Flow{
	{Initiator, []byte("\x00hello")},
	{Responder, bytes.Repeat([]byte{7}, 70)},
	{Initiator, []byte("bye")},
}

func TestFormat(t *testing.T) {
	var text bytes.Buffer
	if err := Format(&text, "two\nlines", example); err != nil {
		t.Fatal(err)
	}
	sevens := strings.Repeat("07", 32)
	want := "# two\n# lines\n> 0068656c6c6f\n< " + sevens + "\n< " + sevens + "\n< 070707070707\n> 627965\n"
	if text.String() != want {
		t.Errorf("text is\n%s\nwant\n%s", &text, want)
	}
	flows, err := Parse(&text)
	if err != nil || !reflect.DeepEqual(flows, example) {
		t.Errorf("parsed %v, %v", flows, err)
	}
}

func TestParse(t *testing.T) {
	flows, err := Parse(strings.NewReader("\n#c\n  >00\n> 01 \n\n< 02\n"))
	if want := []Flow{{Initiator, []byte{0, 1}}, {Responder, []byte{2}}}; err != nil || !reflect.DeepEqual(flows, want) {
		t.Errorf("parsed %v, %v", flows, err)
	}
	for _, bad := range []string{"00", "> 0", "> xx", "? 00", "> 00 # comment"} {
		if _, err := Parse(strings.NewReader("> 00\n" + bad)); err == nil || !strings.Contains(err.Error(), "line 2") {
			t.Errorf("Parse(%q) = %v, want an error at line 2", bad, err)
		}
	}
}

func TestSaveLoad(t *testing.T) {
	path := filepath.Join(t.TempDir(), "x.transcript")
	if err := Save(path, "", example); err != nil {
		t.Fatal(err)
	}
	flows, err := Load(path)
	if err != nil || !reflect.DeepEqual(flows, example) {
		t.Errorf("loaded %v, %v", flows, err)
	}
	if _, err := Load(path + ".none"); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestRecordAndReplay records one conversation from both ends and plays it to each side.
func TestRecordAndReplay(t *testing.T) {
	a, b := net.Pipe()
	client, server := Record(a, Initiator), Record(b, Responder)
	done := make(chan error, 1)
	go func() { done <- serve(server) }()
	if err := ask(client); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Fatal(err)
	}
	flows := client.Flows()
	if want := []Flow{{Initiator, []byte("ping")}, {Responder, []byte("pong")}}; !reflect.DeepEqual(flows, want) {
		t.Errorf("client recorded %v", flows)
	}
	if other := server.Flows(); !reflect.DeepEqual(other, flows) {
		t.Errorf("server recorded %v", other)
	}
	for side, role := range map[Side]func(net.Conn) error{Initiator: ask, Responder: serve} {
		replay := NewReplay(flows, side)
		if err := role(replay); err != nil {
			t.Errorf("%c: %v", side, err)
		}
		if n, err := replay.Read(make([]byte, 1)); n != 0 || err != io.EOF {
			t.Errorf("%c: at the end read %d, %v", side, n, err)
		}
		if err := replay.Done(); err != nil {
			t.Errorf("%c: %v", side, err)
		}
	}
}

func ask(c net.Conn) error {
	if _, err := c.Write([]byte("pi")); err != nil {
		return err
	}
	if _, err := c.Write([]byte("ng")); err != nil {
		return err
	}
	return expect(c, "pong")
}

func serve(c net.Conn) error {
	if err := expect(c, "ping"); err != nil {
		return err
	}
	_, err := c.Write([]byte("pong"))
	return err
}

func expect(r io.Reader, want string) error {
	p := make([]byte, len(want))
	if _, err := io.ReadFull(r, p); err != nil {
		return err
	}
	if string(p) != want {
		return errors.New("read " + string(p))
	}
	return nil
}

// TestReplayRefuses checks that every way to leave the script is an error.
func TestReplayRefuses(t *testing.T) {
	flows := []Flow{{Initiator, []byte("ping")}, {Responder, []byte("pong")}}
	tests := []struct {
		name    string
		write   string
		read    int
		failure string
	}{
		{"another byte", "pinG", 0, "at 0: wrote 70696e47, want 70696e67"},
		{"too much", "pings", 0, "at 0: wrote"},
		{"too little", "pin", 0, "1 bytes not written"},
		{"answer not read", "ping", 0, "1 flows not read"},
		{"answer half read", "ping", 2, "1 flows not read"},
	}
	for _, test := range tests {
		r := NewReplay(flows, Initiator)
		r.Write([]byte(test.write))
		io.ReadFull(r, make([]byte, test.read))
		if err := r.Done(); err == nil || !strings.Contains(err.Error(), test.failure) {
			t.Errorf("%s: %v, want %q", test.name, err, test.failure)
		}
	}
}

// TestReplayWaits ends reads that wait for a turn that does not come.
func TestReplayWaits(t *testing.T) {
	flows := []Flow{{Initiator, []byte("ping")}, {Responder, []byte("pong")}}
	synctest.Test(t, func(t *testing.T) {
		r := NewReplay(flows, Initiator)
		r.SetDeadline(time.Now().Add(time.Second))
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("after the deadline: %v", err)
		}
		if _, err := r.Write([]byte("ping")); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("write after the deadline: %v", err)
		}
		r.SetDeadline(time.Time{})
		time.AfterFunc(time.Second, func() { r.Close() })
		if _, err := r.Read(make([]byte, 1)); !errors.Is(err, net.ErrClosed) {
			t.Errorf("after Close: %v", err)
		}
		if err := r.Done(); err == nil {
			t.Error("a transcript that was not played is done")
		}
	})
}
