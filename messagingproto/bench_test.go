package messagingproto

import (
	"bytes"
	"context"
	"io"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// sinkHost opens streams that take everything at once, so that what is measured
// is this package alone.
type sinkHost struct {
	*fakeHost
	stream sinkStream
}

func (h *sinkHost) NewStream(context.Context, peer.ID, ...protocol.ID) (network.Stream, error) {
	return &h.stream, nil
}

type sinkStream struct {
	fakeStream
	written, writes atomic.Int64
}

func (s *sinkStream) SetWriteDeadline(time.Time) error { return nil }
func (s *sinkStream) Close() error                     { return nil }
func (s *sinkStream) Reset() error                     { return nil }

func (s *sinkStream) Write(p []byte) (int, error) {
	s.written.Add(int64(len(p)))
	s.writes.Add(1)
	return len(p), nil
}

func newSink(t testing.TB) (*Service, *sinkStream) {
	h := &sinkHost{fakeHost: newFakeNet().host("a")}
	h.stream.conn = &fakeConn{local: h.fakeHost, remote: h.fakeHost}
	h.stream.id = protocolUnderTest
	s, err := New(h, Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, &h.stream
}

const protocolUnderTest = tariproto.Messaging

func BenchmarkSend(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10, 1 << 20} {
		b.Run(byteCount(size), func(b *testing.B) {
			s, _ := newSink(b)
			m := make([]byte, size)
			b.SetBytes(int64(size))
			b.ReportAllocs()
			for b.Loop() {
				if err := s.Send(context.Background(), "b", m); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkSendParallel(b *testing.B) {
	s, stream := newSink(b)
	m := make([]byte, 1<<10)
	b.SetBytes(int64(len(m)))
	b.ReportAllocs()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := s.Send(context.Background(), "b", m); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.ReportMetric(float64(stream.writes.Load())/float64(b.N), "writes/op")
}

// sourceStream has so many messages to read.
type sourceStream struct {
	sinkStream
	chunk, rest []byte
	left        int // bytes
}

func (s *sourceStream) Read(p []byte) (int, error) {
	if s.left == 0 {
		return 0, io.EOF
	}
	if len(s.rest) == 0 {
		s.rest = s.chunk
	}
	n := copy(p[:min(len(p), s.left)], s.rest)
	s.rest, s.left = s.rest[n:], s.left-n
	return n, nil
}

func (s *sourceStream) Scope() network.StreamScope { return &network.NullScope{} }

// BenchmarkDeliver cuts messages out of a stream and hands them over.
func BenchmarkDeliver(b *testing.B) {
	for _, size := range []int{64, 1 << 10, 64 << 10} {
		b.Run(byteCount(size), func(b *testing.B) {
			s, _ := newSink(b)
			got := 0
			s.Handle(func(context.Context, peer.ID, []byte) { got++ })
			chunk := bytes.Repeat(frame(string(fill('m', size))), max(1, 128<<10/size))
			stream := &sourceStream{chunk: chunk, left: b.N * (frameHeader + size)}
			b.SetBytes(int64(size))
			b.ReportAllocs()
			b.ResetTimer()
			if err := s.receive("b", new(inboundPeer), stream); err != io.EOF || got != b.N {
				b.Fatal(got, err)
			}
		})
	}
}

func byteCount(n int) string {
	switch {
	case n >= 1<<20:
		return strconv.Itoa(n>>20) + "MiB"
	case n >= 1<<10:
		return strconv.Itoa(n>>10) + "KiB"
	}
	return strconv.Itoa(n) + "B"
}
