package yamux

import (
	"io"
	"net"
	"testing"

	"github.com/libp2p/go-libp2p/core/network"
	stock "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

func benchBoth(b *testing.B, f func(b *testing.B, st, other network.MuxedStream)) {
	for _, m := range []struct {
		name string
		mux  network.Multiplexer
	}{{"ours", &Muxer{}}, {"go-yamux", stock.DefaultTransport}} {
		for name, connect := range map[string]func(testing.TB) (net.Conn, net.Conn){"memory": memoryPair, "TCP": tcpPair, "Noise": sealedPair} {
			b.Run(m.name+"/"+name, func(b *testing.B) { bench(b, m.mux, connect, f) })
		}
	}
}

func memoryPair(testing.TB) (net.Conn, net.Conn) { return net.Pipe() }

func bench(b *testing.B, mux network.Multiplexer, connect func(testing.TB) (net.Conn, net.Conn), f func(b *testing.B, st, other network.MuxedStream)) {
	ca, cb := connect(b)
	c, err := mux.NewConn(ca, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer c.Close()
	s, err := mux.NewConn(cb, true, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer s.Close()
	st, err := c.OpenStream(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	st.Write([]byte("x"))
	other, err := s.AcceptStream()
	if err != nil {
		b.Fatal(err)
	}
	io.ReadFull(other, make([]byte, 1))
	b.ReportAllocs()
	b.ResetTimer()
	f(b, st, other)
	b.StopTimer()
}

// BenchmarkBulk moves 64 KiB writes.
func BenchmarkBulk(b *testing.B) { benchOneWay(b, 64<<10) }

// BenchmarkMessages moves 100-byte writes.
func BenchmarkMessages(b *testing.B) { benchOneWay(b, 100) }

func benchOneWay(b *testing.B, size int) {
	benchBoth(b, func(b *testing.B, st, other network.MuxedStream) {
		b.SetBytes(int64(size))
		go func() {
			msg := make([]byte, size)
			for range b.N {
				st.Write(msg)
			}
		}()
		if _, err := io.CopyN(io.Discard, other, int64(size)*int64(b.N)); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkRoundTrip sends one byte there and back.
func BenchmarkRoundTrip(b *testing.B) {
	benchBoth(b, func(b *testing.B, st, other network.MuxedStream) {
		go io.Copy(other, other)
		buf := []byte{1}
		for range b.N {
			st.Write(buf)
			if _, err := io.ReadFull(st, buf); err != nil {
				b.Fatal(err)
			}
		}
	})
}
