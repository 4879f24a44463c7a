package noise

import (
	"context"
	"fmt"
	"io"
	"net"
	"testing"
)

// BenchmarkHandshake is both sides of a handshake, on one core each if there are two.
func BenchmarkHandshake(b *testing.B) {
	for name, params := range dialects {
		b.Run(name, func(b *testing.B) {
			client, server := Config{Params: params, Static: newKey(b)}, Config{Params: params, Static: newKey(b)}
			b.ReportAllocs()
			for b.Loop() {
				x, y := net.Pipe()
				c, s := shake(context.Background(), x, y, client, server)
				if c.err != nil || s.err != nil {
					b.Fatal(c.err, s.err)
				}
				x.Close()
				y.Close()
			}
		})
	}
}

// BenchmarkRecords sends frames one way over TCP on the loopback interface.
func BenchmarkRecords(b *testing.B) {
	for _, size := range []int{64, 1024, 16 << 10, MaxPlaintext, 1 << 20} {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			x, y := tcpPair(b)
			client, server := newPair(b, x, y)
			done := make(chan error, 1)
			go func() {
				// One read at a time into a buffer of the size that a muxer uses.
				p := make([]byte, 64<<10)
				for {
					if _, err := server.Read(p); err != nil {
						done <- err
						return
					}
				}
			}()
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := client.Write(p); err != nil {
					b.Fatal(err)
				}
			}
			client.Close()
			if err := <-done; err != io.EOF {
				b.Fatal(err)
			}
		})
	}
}
