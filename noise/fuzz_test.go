package noise

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// chunked is a reader that returns size bytes at most.
type chunked struct {
	r    io.Reader
	size int
}

func (c *chunked) Read(p []byte) (int, error) { return c.r.Read(p[:min(len(p), c.size)]) }

const fuzzSecret = 9

// FuzzRecords compares the receiver, whose bytes come in chunks and which is read into buffers of some size, with the obvious way
// to do the same with all bytes at hand.
func FuzzRecords(f *testing.F) {
	f.Fuzz(func(t *testing.T, stream []byte, chunk, size uint16) {
		want, wantErr := decodeAll(stream)
		_, rx := keyed(fuzzSecret)
		c := &scripted{r: &chunked{bytes.NewReader(stream), int(chunk) + 1}}
		p := make([]byte, int(size)+1)
		var got []byte
		var err error
		for err == nil {
			var n int
			n, err = rx.read(c, p)
			got = append(got, p[:n]...)
			if n == 0 && err == nil {
				t.Fatal("read nothing, without an error")
			}
		}
		if !bytes.Equal(got, want) || err != wantErr {
			t.Errorf("read %x, %v, want %x, %v", got, err, want, wantErr)
		}
	})
}

func decodeAll(stream []byte) (plain []byte, err error) {
	_, rx := keyed(fuzzSecret)
	for number := uint64(0); len(stream) > 0; {
		if len(stream) < HeaderSize {
			return plain, io.ErrUnexpectedEOF
		}
		size := int(binary.BigEndian.Uint16(stream))
		stream = stream[HeaderSize:]
		switch {
		case size == 0:
			continue
		case size > len(stream):
			return plain, io.ErrUnexpectedEOF
		case size < Overhead:
			return plain, ErrShortFrame
		}
		nonce := binary.LittleEndian.AppendUint64(make([]byte, 4), number)
		p, err := rx.key.aead.Open(nil, nonce, stream[:size], nil)
		if err != nil {
			return plain, ErrBadTag
		}
		plain = append(plain, p...)
		stream = stream[size:]
		number++
	}
	return plain, io.EOF
}

// FuzzServer feeds a responder with all that an initiator sends. The keys are a vector's, so that an honest initiator is within reach.
func FuzzServer(f *testing.F) {
	vectors := handshakeVectors(f)
	f.Fuzz(func(t *testing.T, stream []byte, pattern byte) {
		v := vectors[int(pattern)%len(vectors)]
		_, cfg := v.configs(t)
		fuzzHandshake(t, Server, cfg, stream, len(v.Messages[1]))
	})
}

// FuzzClient feeds an initiator with all that a responder sends.
func FuzzClient(f *testing.F) {
	vectors := handshakeVectors(f)
	f.Fuzz(func(t *testing.T, stream []byte, pattern byte) {
		v := vectors[int(pattern)%len(vectors)]
		cfg, _ := v.configs(t)
		honest, _ := vectorStreams(v)
		fuzzHandshake(t, Client, cfg, stream, len(honest))
	})
}

// fuzzHandshake checks that a handshake ends with a key or with a *HandshakeError, and says no more than an honest one would.
func fuzzHandshake(t *testing.T, side func(context.Context, net.Conn, Config) (*Conn, error), cfg Config, stream []byte, says int) {
	c := &scripted{r: bytes.NewReader(stream)}
	conn, err := side(context.Background(), c, cfg)
	if said := len(bytes.Join(c.all, nil)); said > says {
		t.Errorf("wrote %d bytes, an honest handshake has %d", said, says)
	}
	var failed *HandshakeError
	switch {
	case err == nil:
		if _, err := tarikey.ParsePublicKey(conn.RemoteKey().Bytes()); err != nil {
			t.Errorf("remote key: %v", err)
		}
		for err == nil { // what follows may be anything, but it ends
			_, err = conn.Read(make([]byte, 1000))
		}
	case conn != nil || !errors.As(err, &failed):
		t.Errorf("connection %v, error %v", conn, err)
	}
}

// TestSeeds checks that the fuzz tests have seeds; with -update it writes them anew, from the vectors.
func TestSeeds(t *testing.T) {
	if *update {
		writeSeeds(t)
	}
	for _, name := range []string{"FuzzRecords", "FuzzServer", "FuzzClient"} {
		seeds, err := filepath.Glob(filepath.Join("testdata", "fuzz", name, "*"))
		if err != nil || len(seeds) < 50 {
			t.Errorf("%s has %d seeds, %v, want 50 at least", name, len(seeds), err)
		}
	}
}

func writeSeeds(t *testing.T) {
	records := hostile(sealedStream(t))
	for i, stream := range records {
		seedFile(t, "FuzzRecords", i, "[]byte(%q)\nuint16(%d)\nuint16(%d)\n", stream, []int{0, 1, 16, 65535}[i%4], []int{0, 30, 65535}[i%3])
	}
	servers, clients := 0, 0
	for pattern, v := range handshakeVectors(t) {
		fromClient, fromServer := vectorStreams(v)
		for _, stream := range hostile(fromClient) {
			seedFile(t, "FuzzServer", servers, "[]byte(%q)\nbyte('\\x%02x')\n", stream, pattern)
			servers++
		}
		for _, stream := range hostile(fromServer) {
			seedFile(t, "FuzzClient", clients, "[]byte(%q)\nbyte('\\x%02x')\n", stream, pattern)
			clients++
		}
	}
}

func seedFile(t *testing.T, test string, number int, format string, args ...any) {
	t.Helper()
	folder := filepath.Join("testdata", "fuzz", test)
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	text := "go test fuzz v1\n" + fmt.Sprintf(format, args...)
	if err := os.WriteFile(filepath.Join(folder, fmt.Sprintf("seed-%03d", number)), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

// sealedStream is some good frames, among them frames of length 0 and one without plaintext.
func sealedStream(t *testing.T) []byte {
	t.Helper()
	tx, _ := keyed(fuzzSecret)
	w := &writes{}
	for _, size := range []int{1, 20, 300} {
		if _, err := tx.write(w, bytes.Repeat([]byte{byte(size)}, size)); err != nil {
			t.Fatal(err)
		}
		w.all = append(w.all, []byte{0, 0})
	}
	nonce, err := tx.key.advance()
	if err != nil {
		t.Fatal(err)
	}
	w.all = append(w.all, tx.key.aead.Seal([]byte{0, Overhead}, nonce, nil, nil))
	if _, err := tx.write(w, []byte("the end")); err != nil {
		t.Fatal(err)
	}
	return bytes.Join(w.all, nil)
}

// hostile returns an honest stream and what a bad peer could make of it.
func hostile(honest []byte) [][]byte {
	out := [][]byte{honest, {}, append(bytes.Clone(honest), 0), append(bytes.Clone(honest), honest...)}
	for i := 1; i <= 20; i++ { // cut short
		out = append(out, honest[:len(honest)*i/21])
	}
	for i := range 20 { // damaged
		bad := bytes.Clone(honest)
		bad[len(honest)*i/20] ^= 1 << (i % 8)
		out = append(out, bad)
	}
	for _, size := range []uint16{0, 1, 15, 16, 31, 32, 33, 63, 64, 96, 97, 0x8000, 0xffff} { // another length
		bad := bytes.Clone(honest)
		binary.BigEndian.PutUint16(bad, size)
		out = append(out, bad, append(make([]byte, 2*int(size%7)), honest...))
	}
	for _, fill := range []byte{0x00, 0x01, 0x7f, 0xff} { // points that are none
		bad := bytes.Clone(honest)
		for i := HeaderSize; i < min(HeaderSize+32, len(bad)); i++ {
			bad[i] = fill
		}
		out = append(out, bad)
	}
	return out
}
