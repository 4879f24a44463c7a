package yamux

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"sync"
	"testing"
	"time"
)

// TestWhoReads: whoever reads for a session, in whatever order they come and are ended, each stream gets what was sent on it, once, and then
// its end.
func TestWhoReads(t *testing.T) {
	for name, connect := range map[string]func(testing.TB) (net.Conn, net.Conn){
		"Noise": sealedPair,
		"TCP":   tcpPair, // where no Read reads
	} {
		t.Run(name, func(t *testing.T) {
			for range 10 {
				seed := rand.Uint64()
				crowd(t, seed, connect)
				if t.Failed() {
					t.Fatalf("seed %d", seed)
				}
			}
		})
	}
}

// crowd is a connection with up to five streams from either side, used both ways at once.
func crowd(t *testing.T, seed uint64, connect func(testing.TB) (net.Conn, net.Conn)) {
	a, b := connect(t)
	r := rand.New(rand.NewPCG(seed, 0))
	cfg := Config{CloseTimeout: safety, Backlog: 2 + r.IntN(5)}
	ends := [2]*Session{start(t, a, true, cfg), start(t, b, false, cfg)}
	var all sync.WaitGroup
	for side, from := range ends {
		to := ends[1-side]
		streams := r.IntN(6)
		for i := range streams {
			all.Go(func() {
				st := open(t, from)
				write(t, st, string([]byte{byte(2*i + side)}))
				exchange(t, st, seed+uint64(2*i+side), 0)
			})
		}
		again := r.IntN(2) == 0
		all.Go(func() {
			for range streams {
				st := accept(t, to)
				all.Go(func() {
					var id [1]byte
					if _, err := io.ReadFull(st, id[:]); err != nil {
						t.Error(err)
						return
					}
					exchange(t, st, seed+uint64(id[0]), 1)
				})
			}
			if again {
				go to.AcceptStream() // ends with the session
			}
		})
	}
	all.Wait()
	all.Go(func() { ends[0].Close() })
	all.Go(func() { ends[1].Close() })
	all.Wait()
}

// exchange sends and receives on a stream what its seed says, each in pieces of any size.
func exchange(t *testing.T, st *Stream, seed uint64, side int) {
	r := rand.New(rand.NewPCG(seed, uint64(side)+1))
	sent := [2][]byte{pattern(int(seed), 100_000), pattern(int(seed)+1, 100_000)}
	var both sync.WaitGroup
	both.Go(func() { inPieces(t, st, sent[side], rand.New(rand.NewPCG(seed, uint64(side)+3))) })
	var got []byte
	buf := make([]byte, 70<<10)
	for {
		n := 1 + r.IntN(64)
		if r.IntN(2) == 0 {
			n = large + r.IntN(60<<10)
		}
		if r.IntN(5) == 0 {
			st.SetReadDeadline(time.Now().Add(time.Duration(r.IntN(300)-100) * time.Microsecond))
		}
		n, err := st.Read(buf[:n])
		got = append(got, buf[:n]...)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			st.SetReadDeadline(time.Now().Add(safety))
			continue
		}
		if err != nil {
			if err != io.EOF || !bytes.Equal(got, sent[1-side]) {
				t.Errorf("%d bytes of %d, the same as was sent: %v, %v", len(got), len(sent[1-side]), bytes.Equal(got, sent[1-side]), err)
			}
			break
		}
		if r.IntN(50) == 0 {
			time.Sleep(time.Duration(r.IntN(1500)) * time.Microsecond)
		}
	}
	both.Wait()
}

func inPieces(t *testing.T, st *Stream, all []byte, r *rand.Rand) {
	for len(all) > 0 {
		n := 1 + r.IntN(50)
		if r.IntN(2) == 0 {
			n = 1 + r.IntN(40_000)
		}
		n, err := st.Write(all[:min(n, len(all))])
		if err != nil {
			t.Error(err)
			return
		}
		all = all[n:]
	}
	st.CloseWrite()
}
