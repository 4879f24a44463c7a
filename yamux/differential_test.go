package yamux

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	stock "github.com/libp2p/go-libp2p/p2p/muxer/yamux"
)

// TestAgainstGoYamux plays random schedules between our muxer and go-yamux, in
// both roles, and between two of go-yamux, and compares what arrives on each
// stream.
func TestAgainstGoYamux(t *testing.T) {
	ours := &Muxer{Config{CloseTimeout: safety}}
	pairs := map[string][2]network.Multiplexer{
		"ours dials":  {ours, stock.DefaultTransport},
		"stock dials": {stock.DefaultTransport, ours},
		"both ours":   {ours, ours},
	}
	for seed := range uint64(4) {
		oracle := play(t, seed, stock.DefaultTransport, stock.DefaultTransport)
		for name, muxers := range pairs {
			got := play(t, seed, muxers[0], muxers[1])
			if len(got) != len(oracle) {
				t.Errorf("%s, schedule %d: %d results, want %d", name, seed, len(got), len(oracle))
			}
			for k, v := range oracle {
				if got[k] != v {
					t.Fatalf("%s, schedule %d: %s is %s, want %s", name, seed, k, got[k], v)
				}
			}
		}
	}
}

// play opens streams from both ends, each with its own script of writes, reads
// and half-closes drawn from seed, and returns what each reader got.
func play(t *testing.T, seed uint64, a, b network.Multiplexer) map[string]string {
	t.Helper()
	ca, cb := tcpPair(t)
	dialer, err := a.NewConn(ca, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	listener, err := b.NewConn(cb, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	results := map[string]string{}
	record := func(key string, r io.Reader) {
		h := fnv.New64a()
		n, err := io.Copy(h, r)
		mu.Lock()
		defer mu.Unlock()
		results[key] = fmt.Sprintf("%d bytes %x, %v", n, h.Sum64(), err)
	}
	var accepting, running sync.WaitGroup
	for side, conn := range []network.MuxedConn{dialer, listener} {
		accepting.Go(func() {
			for {
				st, err := conn.AcceptStream()
				if err != nil {
					return
				}
				running.Add(1)
				go func() {
					defer running.Done()
					respond(st, func(key string, r io.Reader) { record(fmt.Sprintf("%d accepts %s", side, key), r) })
				}()
			}
		})
	}
	var opening sync.WaitGroup
	for side, conn := range []network.MuxedConn{dialer, listener} {
		for i := range 12 {
			opening.Go(func() {
				st, err := conn.OpenStream(context.Background())
				if err != nil {
					t.Errorf("open: %v", err)
					return
				}
				st.SetDeadline(time.Now().Add(safety))
				key := fmt.Sprintf("%d/%d", side, i)
				rnd := rand.New(rand.NewPCG(seed, uint64(side*1000+i)))
				var reading sync.WaitGroup
				reading.Go(func() { record(key+" opener", st) })
				fmt.Fprintf(st, "%8s", key)
				for range rnd.IntN(20) {
					st.Write(pattern(i, rnd.IntN(1<<rnd.IntN(18))))
				}
				st.CloseWrite()
				reading.Wait()
				st.Close()
			})
		}
	}
	opening.Wait()
	running.Wait()
	dialer.Close()
	listener.Close()
	accepting.Wait()
	return results
}

// respond reads the name of a stream, sends back all that follows with its bits
// turned over, and records it.
func respond(st network.MuxedStream, record func(string, io.Reader)) {
	defer st.Close()
	st.SetDeadline(time.Now().Add(safety))
	var key [8]byte
	if _, err := io.ReadFull(st, key[:]); err != nil {
		record("nameless", bytes.NewReader(nil))
		return
	}
	record(string(key[:]), io.TeeReader(st, inverter{st}))
	st.CloseWrite()
}

type inverter struct{ io.Writer }

func (w inverter) Write(p []byte) (int, error) {
	turned := make([]byte, len(p))
	for i, c := range p {
		turned[i] = ^c
	}
	return w.Writer.Write(turned)
}

// TestGoYamuxResets: resets with codes pass between both implementations.
func TestGoYamuxResets(t *testing.T) {
	a, b := tcpPair(t)
	ours, err := (&Muxer{Config{CloseTimeout: safety}}).NewConn(a, false, nil)
	if err != nil {
		t.Fatal(err)
	}
	theirs, err := stock.DefaultTransport.NewConn(b, true, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, way := range [][2]network.MuxedConn{{ours, theirs}, {theirs, ours}} {
		for _, code := range []network.StreamErrorCode{0, 0x1003} {
			st, err := way[0].OpenStream(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			write(t, st, "x")
			other, err := way[1].AcceptStream()
			if err != nil {
				t.Fatal(err)
			}
			want(t, other, "x")
			st.ResetWithError(code)
			wantEnd(t, other, network.ErrReset)
			if code != 0 { // else go-yamux has no more to say
				wantEnd(t, other, &network.StreamError{Remote: true, ErrorCode: code})
			}
		}
	}
	ours.CloseWithError(0x1006)
	if _, err = theirs.AcceptStream(); !errors.Is(err, &network.ConnError{Remote: true, ErrorCode: 0x1006}) {
		t.Errorf("go-yamux says %v", err)
	}
	theirs.Close()
}
