package yamux

import (
	"io"
	"net"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	stock "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

// BenchmarkLossAtClose writes 200 messages of 1 KiB and closes the session; the
// metric is how many of them did not arrive. It is what docs/adr/0006 quotes.
func BenchmarkLossAtClose(b *testing.B) {
	const messages = 200
	for _, m := range []struct {
		name string
		mux  network.Multiplexer
	}{
		{"ours", &Muxer{Config{MaxStreams: messages, MaxOpen: messages, CloseTimeout: safety}}},
		{"go-yamux", stock.DefaultTransport},
	} {
		for _, way := range []struct {
			name    string
			streams int
			pause   time.Duration // of the reader, before each message
			reset   bool
		}{
			{"one stream", 1, 0, false},
			{"one stream, slow reader", 1, 100 * time.Microsecond, false},
			{"one stream, then a reset", 1, 0, true},
			{"200 streams", messages, 0, false},
		} {
			b.Run(m.name+"/"+way.name, func(b *testing.B) {
				arrived := 0
				for range b.N {
					arrived += closeAfter(b, m.mux, messages/way.streams, way.streams, way.pause, way.reset)
				}
				b.ReportMetric(messages-float64(arrived)/float64(b.N), "lost/op")
			})
		}
	}
}

func closeAfter(b *testing.B, mux network.Multiplexer, messages, streams int, pause time.Duration, reset bool) int {
	ca, cb := tcpPair(b)
	ca.(*net.TCPConn).SetLinger(-1)
	writer, err := mux.NewConn(ca, false, nil)
	if err != nil {
		b.Fatal(err)
	}
	reader, err := mux.NewConn(cb, true, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer reader.Close()
	arrived := make(chan int)
	go func() {
		counts, accepted, sum := make(chan int, streams), 0, 0
		for {
			st, err := reader.AcceptStream()
			if err != nil {
				break
			}
			accepted++
			go func() {
				n, msg := 0, make([]byte, 1024)
				for ; ; n++ {
					time.Sleep(pause)
					if _, err := io.ReadFull(st, msg); err != nil {
						break
					}
				}
				st.Close()
				counts <- n
			}()
		}
		for range accepted {
			sum += <-counts
		}
		arrived <- sum
	}()
	for range streams {
		st, err := writer.OpenStream(b.Context())
		if err != nil {
			b.Fatal(err)
		}
		for range messages {
			st.Write(make([]byte, 1024))
		}
		if reset {
			st.Reset()
		} else {
			st.Close()
		}
	}
	writer.Close()
	return <-arrived
}
