package yamux

import (
	"io"
	"net"
	"sync/atomic"
	"testing"

	"github.com/tari-libp2p/tari-libp2p/noise"
)

// countingConn counts what goes out, and in how many writes.
type countingConn struct {
	net.Conn
	writes, bytes atomic.Int64
}

func (c *countingConn) Write(p []byte) (int, error) {
	if len(p) > 0 { // else it goes on with one that is counted
		c.writes.Add(1)
	}
	c.bytes.Add(int64(len(p)))
	return c.Conn.Write(p)
}

// countingTrier also counts what is written without waiting: as a write what takes anything.
type countingTrier struct {
	*countingConn
	try tryWriter
}

func (c *countingTrier) TryWrite(p []byte) (int, bool, error) {
	n, sent, err := c.try.TryWrite(p)
	if n > 0 {
		c.writes.Add(1)
		c.bytes.Add(int64(n))
	}
	return n, sent, err
}

// TestFullFrames: writes of 64 KiB, which do not fit into a frame that fits into a Noise frame, leave in full frames nevertheless
// while the connection is busy: not in two writes each.
func TestFullFrames(t *testing.T) {
	a, b := tcpPair(t)
	counted := &countingConn{Conn: a}
	sealed, other := seal(t, counted, b)
	fullFrames(t, counted, sealed, other, 2*(headerSize+noise.HeaderSize+noise.Overhead))
}

// TestFullFramesAtOnce is the same for a connection that takes what it can without waiting, which is counted above it.
func TestFullFramesAtOnce(t *testing.T) {
	sealed, other := sealedPair(t)
	counted := &countingConn{Conn: sealed}
	fullFrames(t, counted, &countingTrier{counted, sealed.(tryWriter)}, other, 2*headerSize)
}

// fullFrames writes and counts; around is how much may come with 64 KiB.
func fullFrames(t *testing.T, counted *countingConn, a, b net.Conn, around int64) {
	t.Helper()
	c, s := start(t, a, true, Config{}), start(t, b, false, Config{})
	defer s.Close()
	defer c.Close()
	st := open(t, c)
	const count, size = 1000, 64 << 10
	go func() {
		msg := make([]byte, size)
		for range count {
			st.Write(msg)
		}
		st.CloseWrite()
	}()
	if n, err := io.Copy(io.Discard, accept(t, s)); n != count*size || err != nil {
		t.Fatal(n, err)
	}
	if perWrite := float64(counted.writes.Load()) / count; perWrite > 1.1 {
		t.Errorf("%.2f writes to the connection for 64 KiB, want 1.1 at most", perWrite)
	}
	if n := counted.bytes.Load() - count*size; n > around*count*11/10 {
		t.Errorf("%d bytes around the data, want two headers for 64 KiB at most", n)
	}
}
