package noise

import (
	"bytes"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"testing"
	"testing/iotest"

	"golang.org/x/net/nettest"
)

// tcpPair returns both ends of a connection on the loopback interface.
func tcpPair(t testing.TB) (dialed, accepted net.Conn) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	dialed, err = net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	accepted, err = listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dialed.Close(); accepted.Close() })
	return dialed, accepted
}

// TestNetConn holds Conn to what net.Conn promises, over a connection that buffers and over one that does not.
func TestNetConn(t *testing.T) {
	for name, dial := range map[string]func() (a, b net.Conn){
		"tcp":  func() (a, b net.Conn) { return tcpPair(t) },
		"pipe": net.Pipe,
	} {
		t.Run(name, func(t *testing.T) {
			nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
				a, b := dial()
				c, s := shake(t.Context(), a, b, Config{Static: newKey(t)}, Config{Static: newKey(t)})
				return c.conn, s.conn, func() { a.Close(); b.Close() }, errors.Join(c.err, s.err)
			})
		})
	}
}

// keyed returns a sender and a receiver that share a key.
func keyed(secret byte) (*sender, *receiver) {
	k := [32]byte(bytes.Repeat([]byte{secret}, 32))
	tx := &sender{}
	tx.key.set(k)
	conn := newConn(nil)
	conn.rx.key.set(k)
	return tx, &conn.rx
}

// writes collects what is written, one slice a write.
type writes struct {
	net.Conn
	all [][]byte
}

func (w *writes) Write(p []byte) (int, error) {
	w.all = append(w.all, bytes.Clone(p))
	return len(p), nil
}

// sizes of writes around every limit.
var writeSizes = []int{
	1, 2, 100, smallBuffer - HeaderSize - Overhead - 1, smallBuffer - HeaderSize - Overhead, smallBuffer - HeaderSize - Overhead + 1,
	smallBuffer, MaxPlaintext - 1, MaxPlaintext, MaxPlaintext + 1, 2*MaxPlaintext - 1, 2 * MaxPlaintext, 2*MaxPlaintext + 1, 1 << 20,
}

// TestWriteFrames checks how a write is cut: frames as large as can be, four of the largest in a write, none empty.
func TestWriteFrames(t *testing.T) {
	for _, size := range writeSizes {
		tx, _ := keyed(1)
		w := &writes{}
		n, err := tx.write(w, make([]byte, size))
		if n != size || err != nil {
			t.Fatalf("write of %d: %d, %v", size, n, err)
		}
		if want := (size + 4*MaxPlaintext - 1) / (4 * MaxPlaintext); len(w.all) != want {
			t.Errorf("write of %d: %d writes, want %d", size, len(w.all), want)
		}
		left := size
		for stream := bytes.Join(w.all, nil); len(stream) > 0; {
			body := int(binary.BigEndian.Uint16(stream))
			if want := min(left, MaxPlaintext) + Overhead; body != want {
				t.Errorf("write of %d: a frame of %d with %d to go, want %d", size, body, left, want)
			}
			left -= body - Overhead
			stream = stream[HeaderSize+body:]
		}
		if left != 0 {
			t.Errorf("write of %d: frames carry %d less", size, left)
		}
	}
	tx, _ := keyed(1)
	w := &writes{}
	if n, err := tx.write(w, nil); n != 0 || err != nil || len(w.all) != 0 {
		t.Errorf("write of nothing: %d, %v, %d writes", n, err, len(w.all))
	}
}

// TestReadSizes reads frames of many sizes through readers that return one byte, half, or all that they are asked for, into
// buffers smaller and larger than the frames. Frames of length 0 and frames without plaintext come in between.
func TestReadSizes(t *testing.T) {
	tx, _ := keyed(2)
	w := &writes{}
	var plain []byte
	for _, size := range writeSizes {
		p := make([]byte, size)
		rand.Read(p)
		plain = append(plain, p...)
		if _, err := tx.write(w, p); err != nil {
			t.Fatal(err)
		}
		writeFrame(t, &Conn{inner: w, tx: sender{key: key{aead: tx.key.aead, next: tx.key.next}}}, nil)
		tx.key.next++
		w.all = append(w.all, []byte{0, 0, 0, 0})
	}
	stream := bytes.Join(w.all, nil)
	readers := map[string]func(io.Reader) io.Reader{
		"all":  func(r io.Reader) io.Reader { return r },
		"half": iotest.HalfReader,
		"byte": iotest.OneByteReader,
		"err":  iotest.DataErrReader,
	}
	for name, reader := range readers {
		for _, size := range []int{1, 1000, MaxPlaintext, 1 << 20} {
			if name == "byte" && size == 1 {
				continue // as slow as it sounds, and nothing new
			}
			_, rx := keyed(2)
			got := readAll(t, rx, &scripted{r: reader(bytes.NewReader(stream))}, size)
			if !bytes.Equal(got, plain) {
				t.Errorf("%s, reads of %d: plaintext differs (%d bytes, want %d)", name, size, len(got), len(plain))
			}
			if rx.big != nil {
				t.Errorf("%s, reads of %d: the big buffer is not given back", name, size)
			}
		}
	}
}

// readAll reads to a clean end, size bytes at most at a time.
func readAll(t *testing.T, rx *receiver, c net.Conn, size int) []byte {
	t.Helper()
	var got []byte
	p := make([]byte, size)
	for {
		n, err := rx.read(c, p)
		got = append(got, p[:n]...)
		if err == io.EOF {
			return got
		}
		if err != nil {
			t.Fatal(err)
		}
		if n == 0 {
			t.Fatal("read nothing, without an error")
		}
	}
}

// TestReadAhead reads frames that came together with one read each, and asks the connection once.
func TestReadAhead(t *testing.T) {
	tx, rx := keyed(3)
	w := &writes{}
	for _, word := range []string{"one", "two", "three"} {
		tx.write(w, []byte(word))
	}
	count := &counter{r: bytes.NewReader(bytes.Join(w.all, nil))}
	c := &scripted{r: count}
	p := make([]byte, 100)
	if n, err := rx.read(c, p[:3]); string(p[:n]) != "one" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if n, err := rx.read(c, p); string(p[:n]) != "twothree" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if count.n != 1 {
		t.Errorf("%d reads underneath, want 1", count.n)
	}
}

// TestBusyReader reads a stream of small frames: the big buffer takes over, so that it is not a read underneath for each 4 KiB.
func TestBusyReader(t *testing.T) {
	tx, rx := keyed(3)
	w := &writes{}
	for range 1000 {
		tx.write(w, make([]byte, 1000))
	}
	count := &counter{r: bytes.NewReader(bytes.Join(w.all, nil))}
	if got := readAll(t, rx, &scripted{r: count}, 1000); len(got) != 1_000_000 {
		t.Errorf("read %d bytes", len(got))
	}
	if count.n > 20 {
		t.Errorf("%d reads underneath for a megabyte, want at most 20", count.n)
	}
}

type counter struct {
	r io.Reader
	n int
}

func (c *counter) Read(p []byte) (int, error) { c.n++; return c.r.Read(p) }

// TestBadFrames checks how reading ends: what came before is delivered, and the error stays.
func TestBadFrames(t *testing.T) {
	tx, _ := keyed(4)
	w := &writes{}
	tx.write(w, []byte("good"))
	tx.write(w, bytes.Repeat([]byte("more"), 20))
	tx.write(w, []byte("and the last"))
	good, next, last := w.all[0], w.all[1], w.all[2]
	flipped := bytes.Clone(next)
	flipped[len(flipped)-1] ^= 1
	tests := []struct {
		name string
		tail []byte
		want error
	}{
		{"end", nil, io.EOF},
		{"end after a frame of length 0", []byte{0, 0}, io.EOF},
		{"cut in the header", next[:1], io.ErrUnexpectedEOF},
		{"cut after the header", next[:2], io.ErrUnexpectedEOF},
		{"cut before the last byte", next[:len(next)-1], io.ErrUnexpectedEOF},
		{"cut in the largest frame", []byte{0xff, 0xff, 1, 2, 3}, io.ErrUnexpectedEOF},
		{"tag", flipped, ErrBadTag},
		{"replayed", good, ErrBadTag},
		{"the next one dropped", last, ErrBadTag},
		{"two swapped", append(bytes.Clone(last), next...), ErrBadTag},
		{"one byte", []byte{0, 1, 9}, ErrShortFrame},
		{"fifteen bytes", append([]byte{0, 15}, make([]byte, 15)...), ErrShortFrame},
		{"sixteen bytes", append([]byte{0, 16}, make([]byte, 16)...), ErrBadTag},
	}
	for _, test := range tests {
		for _, size := range []int{1, 4, 100} {
			_, rx := keyed(4)
			c := &scripted{r: bytes.NewReader(append(bytes.Clone(good), test.tail...))}
			p := make([]byte, size)
			var got []byte
			var err error
			for err == nil {
				var n int
				n, err = rx.read(c, p)
				got = append(got, p[:n]...)
			}
			if string(got) != "good" || err != test.want {
				t.Errorf("%s, reads of %d: %q, %v, want %v", test.name, size, got, err, test.want)
			}
			c.r = bytes.NewReader(next) // the frame that would have been right
			if n, again := rx.read(c, p); test.want != io.EOF && test.want != io.ErrUnexpectedEOF && (n != 0 || again != err) {
				t.Errorf("%s: then read %d, %v, want the same error", test.name, n, again)
			}
		}
	}
}

// TestQuietConnectionIsSmall checks that the big buffer comes with a large frame and goes with it.
func TestQuietConnectionIsSmall(t *testing.T) {
	tx, rx := keyed(5)
	w := &writes{}
	tx.write(w, make([]byte, MaxPlaintext))
	tx.write(w, []byte("small"))
	p := make([]byte, 100)
	c := &scripted{r: bytes.NewReader(w.all[0])}
	if _, err := rx.read(c, p); err != nil || rx.big == nil {
		t.Errorf("in a large frame: %v, big buffer %v", err, rx.big != nil)
	}
	for left := MaxPlaintext - 100; left > 0; {
		n, err := rx.read(c, p)
		if err != nil {
			t.Fatal(err)
		}
		left -= n
	}
	c.r = bytes.NewReader(w.all[1])
	if n, err := rx.read(c, p); string(p[:n]) != "small" || err != nil || rx.big != nil || len(rx.buf) != smallBuffer {
		t.Errorf("after it: %q, %v, big buffer %v", p[:n], err, rx.big != nil)
	}
	if rx.plain != nil {
		t.Error("the big buffer is given back, and still referred to")
	}
}

// TestKeyUsedUp ends a direction before a nonce comes again.
func TestKeyUsedUp(t *testing.T) {
	tx, rx := keyed(6)
	tx.key.next, rx.key.next = 1<<64-2, 1<<64-2
	w := &writes{}
	if n, err := tx.write(w, []byte("last")); n != 4 || err != nil {
		t.Fatal(n, err)
	}
	for range 2 {
		if n, err := tx.write(w, []byte("more")); n != 0 || err != errExhausted {
			t.Errorf("write: %d, %v, want errExhausted", n, err)
		}
	}
	c := &scripted{r: bytes.NewReader(append(w.all[0], w.all[0]...))}
	p := make([]byte, 100)
	if n, err := rx.read(c, p); string(p[:n]) != "last" || err != nil {
		t.Errorf("read %q, %v", p[:n], err)
	}
	if n, err := rx.read(c, p); n != 0 || err != errExhausted {
		t.Errorf("read %d, %v, want errExhausted", n, err)
	}
}

// limited is a connection that takes some bytes and then fails.
type limited struct {
	writes
	room int
	err  error
}

func (l *limited) Write(p []byte) (int, error) {
	if len(p) <= l.room {
		l.room -= len(p)
		return l.writes.Write(p)
	}
	n, _ := l.writes.Write(p[:l.room])
	l.room = 0
	return n, l.err
}

type expired struct{ error }

func (expired) Timeout() bool   { return true }
func (expired) Temporary() bool { return true }

// TestWriteFails stops a write at every byte of a frame. After a deadline the next write goes on where it was; any other error stays.
func TestWriteFails(t *testing.T) {
	message := []byte("some plaintext")
	whole := HeaderSize + len(message) + Overhead
	for room := range whole {
		tx, rx := keyed(7)
		c := &limited{room: room, err: expired{errors.New("late")}}
		if n, err := tx.write(c, message); n != len(message) || err != c.err {
			t.Fatalf("room for %d: %d, %v", room, n, err)
		}
		c.room = 1 << 20
		if n, err := tx.write(c, []byte("!")); n != 1 || err != nil {
			t.Fatalf("after room for %d: %d, %v", room, n, err)
		}
		got := readAll(t, rx, &scripted{r: bytes.NewReader(bytes.Join(c.all, nil))}, 100)
		if string(got) != string(message)+"!" {
			t.Errorf("room for %d: peer reads %q", room, got)
		}

		tx, _ = keyed(7)
		c = &limited{room: room, err: io.ErrClosedPipe}
		tx.write(c, message)
		c.room = 1 << 20
		if n, err := tx.write(c, message); n != 0 || err != io.ErrClosedPipe {
			t.Errorf("after a failure: %d, %v, want the same error", n, err)
		}
	}
}

// TestCloseWrite ends one half over TCP, and cannot over a pipe.
func TestCloseWrite(t *testing.T) {
	a, b := tcpPair(t)
	client, server := newPair(t, a, b)
	if _, err := client.Write([]byte("bye")); err != nil {
		t.Fatal(err)
	}
	if err := client.CloseWrite(); err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(server); string(got) != "bye" || err != nil {
		t.Errorf("server reads %q, %v", got, err)
	}
	if _, err := server.Write([]byte("still here")); err != nil {
		t.Error(err)
	}
	server.Close()
	if got, err := io.ReadAll(client); string(got) != "still here" || err != nil {
		t.Errorf("client reads %q, %v", got, err)
	}

	x, y := net.Pipe()
	client, _ = newPair(t, x, y)
	if err := client.CloseWrite(); !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("over a pipe: %v", err)
	}
}
