package yamux

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"io"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// recorded is a session between two Rust peers; A dialed.
type recorded struct {
	frames []recordedFrame
	// What a reader gets of each stream: "A 3" is what A sent on stream 3.
	streams map[string][]byte
}

type recordedFrame struct {
	from byte
	header
	body []byte
}

func readRecorded(t testing.TB, name string) *recorded {
	f, err := os.Open("testdata/" + name + ".frames")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	r := &recorded{streams: map[string][]byte{}}
	unhex := func(s string) []byte {
		b, err := hex.DecodeString(s)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	all := map[string][]byte{}
	for lines := bufio.NewScanner(f); lines.Scan(); {
		w := append(strings.Fields(lines.Text()), "", "", "")
		switch {
		case w[0] == "#":
		case w[1] == "stream" && w[3] == "...":
			r.streams[w[0]+" "+w[2]] = all[w[0]+" "+w[2]]
		case w[1] == "stream":
			r.streams[w[0]+" "+w[2]] = unhex(w[3])
		default:
			h, err := parseHeader(unhex(w[1]))
			if err != nil {
				t.Fatal(err)
			}
			fr := recordedFrame{from: w[0][0], header: h}
			if h.kind == typeData {
				fr.body = make([]byte, h.length)
				copy(fr.body, unhex(w[2]))
				key := w[0] + " " + strconv.Itoa(int(h.stream))
				all[key] = append(all[key], fr.body...)
			}
			r.frames = append(r.frames, fr)
		}
	}
	if len(r.frames) < 30 || len(r.streams) < 10 {
		t.Fatalf("%d frames, %d streams", len(r.frames), len(r.streams))
	}
	return r
}

// TestReplay plays one side of a recorded session to ours, which takes the other
// role, and compares what each stream carried. The player keeps to our windows.
func TestReplay(t *testing.T) {
	for name, rule := range map[string]WindowRule{"modern": Additive, "seed": Absolute} {
		for _, from := range []byte{'A', 'B'} {
			t.Run(name+" "+string(from), func(t *testing.T) {
				replay(t, readRecorded(t, name), rule, from)
			})
		}
	}
}

func replay(t *testing.T, r *recorded, rule WindowRule, from byte) {
	s, p := withPeer(t, from == 'B', Config{Window: rule})
	w := &windows{left: map[uint32]int{}}
	w.cond.L = &w.mu
	go w.follow(p.conn)

	// Streams that our side opened in the recording are opened first.
	streams := map[uint32]*Stream{}
	last := uint32(0)
	for _, f := range r.frames {
		if s.ours(f.stream) {
			last = max(last, f.stream)
		}
	}
	for range (last + 1) / 2 {
		st := open(t, s)
		streams[st.id] = st
	}
	played := make(chan error, 1)
	go func() {
		for _, f := range r.frames {
			if f.from != from {
				continue
			}
			w.take(f.stream, len(f.body))
			if _, err := p.conn.Write(append(appendHeader(nil, f.header), f.body...)); err != nil {
				played <- err
				return
			}
		}
		played <- p.conn.(*pipeEnd).shut() // the recording ends here
	}()
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string][]byte{}
	collect := func(st *Stream) {
		wg.Go(func() {
			b, _ := io.ReadAll(st)
			mu.Lock()
			defer mu.Unlock()
			got[string(from)+" "+strconv.Itoa(int(st.id))] = b
		})
	}
	for _, st := range streams {
		collect(st)
	}
	for {
		st, err := s.AcceptStream()
		if err != nil {
			break
		}
		collect(st.(*Stream))
	}
	if err := <-played; err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	compared := 0
	for key, want := range r.streams {
		if key[0] != from {
			continue
		}
		compared++
		if !bytes.Equal(got[key], want) {
			t.Errorf("%s: %d bytes %.80x, want %d bytes %.80x", key, len(got[key]), got[key], len(want), want)
		}
	}
	if compared < 5 {
		t.Errorf("compared %d streams", compared)
	}
}

// shut ends what is sent, as a closed connection does, but reads on.
func (p *pipeEnd) shut() error {
	p.out.mu.Lock()
	defer p.out.mu.Unlock()
	p.out.ended = true
	p.out.cond.Broadcast()
	return nil
}

// windows is how much a session lets its peer send on each stream.
type windows struct {
	mu    sync.Mutex
	cond  sync.Cond
	left  map[uint32]int // beyond initialWindow
	ended bool
}

// follow reads what the session sends.
func (w *windows) follow(r io.Reader) {
	in := bufio.NewReader(r)
	var b [headerSize]byte
	for {
		_, err := io.ReadFull(in, b[:])
		h, _ := parseHeader(b[:])
		w.mu.Lock()
		if err != nil {
			w.ended = true
			w.cond.Broadcast()
			w.mu.Unlock()
			return
		}
		if h.kind == typeWindowUpdate && h.flags&(flagSYN|flagRST) == 0 {
			w.left[h.stream] += int(h.length)
			w.cond.Broadcast()
		}
		w.mu.Unlock()
		if h.kind == typeData {
			in.Discard(int(h.length))
		}
	}
}

func (w *windows) take(stream uint32, n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	for !w.ended && w.left[stream]+initialWindow < n {
		w.cond.Wait()
	}
	w.left[stream] -= n
}
