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

// frameSizes are those of a short message, one of a KiB, and what a frame carries.
var frameSizes = []int{64, 1024, MaxPlaintext}

// BenchmarkSeal makes frames and writes them nowhere.
func BenchmarkSeal(b *testing.B) {
	for _, size := range frameSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tx, _ := keyed(1)
			p := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if _, err := tx.seal(p); err != nil {
					b.Fatal(err)
				}
				tx.giveBack()
			}
		})
	}
}

// BenchmarkOpen opens frames where they lie.
func BenchmarkOpen(b *testing.B) {
	for _, size := range frameSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			tx, rx := keyed(1)
			if _, err := tx.seal(make([]byte, size)); err != nil {
				b.Fatal(err)
			}
			frame, body := tx.unsent[HeaderSize:], make([]byte, size+Overhead)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				copy(body, frame) // opening it in place has destroyed it
				rx.key.next, rx.plain = 0, nil
				rx.open(nil, body)
				if len(rx.plain) != size {
					b.Fatal(rx.err)
				}
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
