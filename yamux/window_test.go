package yamux

import (
	"bytes"
	"io"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestAdditiveWire: what a modern peer sees, frame by frame.
func TestAdditiveWire(t *testing.T) {
	s, p := withPeer(t, true, Config{})
	st := open(t, s)
	write(t, st, "hello") // nothing was sent before
	p.expect(header{typeData, flagSYN, 1, 5}, "hello")
	st.CloseWrite()
	p.expect(header{typeData, flagFIN, 1, 0}, "")

	open(t, s).CloseWrite() // opened and finished: one frame
	p.expect(header{typeData, flagSYN | flagFIN, 3, 0}, "")

	p.send(frame(typeWindowUpdate, flagSYN, 2, 0)) // the other way round
	st = accept(t, s)
	write(t, st, "answer")
	p.expect(header{typeData, flagACK, 2, 6}, "answer")
	st.Reset()
	p.expect(header{typeData, flagRST, 2, 0}, "")

	p.send(data(flagSYN, 4, "x"))
	accept(t, s).ResetWithError(0x1002)
	p.expect(header{typeWindowUpdate, flagRST, 4, 0x1002}, "")

	p.send(frame(typePing, flagSYN, 0, 0xdac2e9c6))
	p.expect(header{typePing, flagACK, 0, 0xdac2e9c6}, "")
}

// TestAbsoluteWire: what a seed peer sees.
func TestAbsoluteWire(t *testing.T) {
	s, p := withPeer(t, true, Config{Window: Absolute})
	st := open(t, s)
	p.expect(header{typeWindowUpdate, flagSYN, 1, initialWindow}, "") // at once
	write(t, st, "hello")
	p.expect(header{typeData, 0, 1, 5}, "hello")
	// The peer may send what was announced, and no more.
	p.send(data(flagACK, 1, strings.Repeat("x", initialWindow)))
	want(t, st, strings.Repeat("x", initialWindow))
	st.Reset()
	open(t, s).CloseWrite()
	for { // past the credit for stream 1
		h, _ := p.next()
		if h.stream == 3 {
			break
		}
	}
	p.expect(header{typeData, flagFIN, 3, 0}, "")
}

// credit reads data frames of a stream until the session stops to send, which
// a ping behind it shows, and returns how many bytes came.
func (p *peer) credit(stream uint32) int {
	p.t.Helper()
	n := 0
	for {
		h, body := p.next()
		if h.kind == typeData && h.stream == stream {
			n += len(body)
		}
		if h.kind == typePing {
			return n
		}
	}
}

// TestSendCredit: how much a session sends on a stream announced in each way
// before it waits, and that it uses up any further credit to the last byte.
func TestSendCredit(t *testing.T) {
	for _, tc := range []struct {
		name     string
		rule     WindowRule
		announce []byte
		want     int
	}{
		{"additive, data", Additive, data(flagSYN, 1, "x"), initialWindow},
		{"additive, 0", Additive, frame(typeWindowUpdate, flagSYN, 1, 0), initialWindow},
		{"additive, 1000", Additive, frame(typeWindowUpdate, flagSYN, 1, 1000), initialWindow + 1000},
		{"absolute, data", Absolute, data(flagSYN, 1, "x"), initialWindow},
		{"absolute, 4 MiB", Absolute, frame(typeWindowUpdate, flagSYN, 1, 4<<20), 4 << 20},
		{"absolute, 1000", Absolute, frame(typeWindowUpdate, flagSYN, 1, 1000), 1000},
		{"absolute, 0", Absolute, frame(typeWindowUpdate, flagSYN, 1, 0), 0},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := withPeer(t, false, Config{Window: tc.rule, KeepAlive: -1})
				p.send(tc.announce)
				st := accept(t, s)
				go st.Write(make([]byte, 5<<20))
				synctest.Wait()
				p.send(frame(typePing, flagSYN, 0, 1))
				if n := p.credit(1); n != tc.want {
					t.Errorf("sent %d, want %d", n, tc.want)
				}
				p.send(frame(typeWindowUpdate, 0, 1, 7))
				synctest.Wait()
				p.send(frame(typePing, flagSYN, 0, 2))
				if n := p.credit(1); n != 7 {
					t.Errorf("with 7 more, sent %d", n)
				}
			})
		})
	}
}

// TestFloodBothWays moves 64 MiB each way at once, through a pipe that holds
// little, so that each side waits for the other all the time.
func TestFloodBothWays(t *testing.T) {
	eachRule(t, func(t *testing.T, cfg Config) {
		c, s := pairOver(t, cfg, 100_000)
		const streams = 4
		size := 16 << 20 // 64 MiB each way
		if raceDetector {
			size /= 8 // which looks at each byte
		}
		chunk := pattern(1, 1<<18)
		var wg sync.WaitGroup
		flood := func(st io.Writer) {
			for range size / len(chunk) {
				if _, err := st.Write(chunk); err != nil {
					t.Error(err)
					return
				}
			}
		}
		drain := func(st io.Reader) {
			b := make([]byte, len(chunk))
			for range size / len(chunk) {
				if _, err := io.ReadFull(st, b); err != nil || !bytes.Equal(b, chunk) {
					t.Errorf("wrong bytes, %v", err)
					return
				}
			}
		}
		for i := range streams {
			from, to := c, s
			if i%2 == 1 {
				from, to = s, c
			}
			st := open(t, from)
			if cfg.Window == Additive {
				write(t, st, "announce")
			}
			other := accept(t, to)
			if cfg.Window == Additive {
				want(t, other, "announce")
			}
			for _, end := range []*Stream{st, other} {
				wg.Go(func() { flood(end) })
				wg.Go(func() { drain(end) })
			}
		}
		wg.Wait()
	})
}

// TestSeedSender: a Rust seed peer sends only when it has credit, and gives new
// credit only after the last byte of the old.
func TestSeedSender(t *testing.T) {
	s, p := withPeer(t, true, Config{Window: Absolute})
	st := open(t, s)
	go func() {
		st.Write(make([]byte, 10<<20))
		st.CloseWrite()
	}()
	credit, got := initialWindow, 0
	for {
		h, body := p.next()
		if h.has(flagFIN) {
			break
		}
		if h.kind != typeData {
			continue
		}
		got += len(body)
		if credit -= len(body); credit < 0 {
			t.Fatal("more than the credit")
		}
		if credit == 0 {
			credit = 4 << 20
			p.send(frame(typeWindowUpdate, 0, 1, 4<<20))
		}
	}
	if got != 10<<20 {
		t.Errorf("got %d bytes", got)
	}
}

// TestWindowGrows: the window doubles while half of it is read within two round
// trips, up to MaxWindow, and not when the link is slow.
func TestWindowGrows(t *testing.T) {
	const rtt = 100 * time.Millisecond
	full := data(0, 1, strings.Repeat("x", 1<<16))
	window := func(t *testing.T, pause time.Duration, frames int, cfg Config) (largest uint32) {
		synctest.Test(t, func(t *testing.T) {
			cfg.KeepAlive = -1
			s, p := withPeer(t, false, cfg)
			p.send(data(flagSYN, 1, ""))
			st := accept(t, s)
			st.SetDeadline(time.Time{})
			go io.Copy(io.Discard, st)

			credit := make(chan int, 1<<16)
			go func() {
				var b [headerSize]byte
				for {
					if _, err := io.ReadFull(p.conn, b[:]); err != nil {
						return
					}
					switch h, _ := parseHeader(b[:]); h.kind {
					case typePing:
						time.Sleep(rtt)
						p.conn.Write(frame(typePing, flagACK, 0, h.length))
					case typeWindowUpdate:
						credit <- int(h.length)
					}
				}
			}()
			left := initialWindow
			for range frames {
				for left < 1<<16 {
					left += <-credit
				}
				left -= 1 << 16
				p.send(full)
				time.Sleep(pause)
			}
			synctest.Wait()
			st.mu.Lock()
			largest = st.recvMax
			st.mu.Unlock()
			st.Reset()
			if used := s.mem.used; used != 0 {
				t.Errorf("%d bytes were not given back", used)
			}
		})
		return largest
	}
	for _, tc := range []struct {
		name   string
		pause  time.Duration
		frames int
		cfg    Config
		want   uint32
	}{
		{"fast link", time.Millisecond, 600, Config{}, 16 << 20},
		{"at most 3 MiB", time.Millisecond, 200, Config{MaxWindow: 3 << 20}, 3 << 20},
		{"1 MiB of memory", time.Millisecond, 100, Config{ConnectionMemory: 1 << 20}, 1 << 20},
		{"slow link", time.Second, 100, Config{}, initialWindow},
	} {
		if w := window(t, tc.pause, tc.frames, tc.cfg); w != tc.want {
			t.Errorf("%s: window of %d, want %d", tc.name, w, tc.want)
		}
	}
}

// TestWindowStays: the second stream of a session does not have to find out again how far its window may grow. Counted are round trips of
// a link that takes as much at once as the windows let through.
func TestWindowStays(t *testing.T) {
	const rtt, size = 100 * time.Millisecond, 64 << 20
	synctest.Test(t, func(t *testing.T) {
		near, nearer := pipe(wide - 1)
		further, far := pipe(wide - 1)
		go delay(further, nearer, rtt/2)
		go delay(nearer, further, rtt/2)
		cfg := Config{KeepAlive: -1}
		c, s := start(t, near, true, cfg), start(t, far, false, cfg)
		transfer := func() time.Duration {
			st := open(t, c)
			go st.Write(make([]byte, size))
			other := accept(t, s)
			other.SetDeadline(time.Time{})
			began := time.Now()
			if _, err := io.CopyN(io.Discard, other, size); err != nil {
				t.Error(err)
			}
			took := time.Since(began)
			st.Reset()
			other.Reset()
			return took
		}
		first, second := transfer(), transfer()
		t.Logf("%d MiB in %v, then in %v", size>>20, first, second)
		const started = 2 * reliefSoon // until somebody reads on either side, since nobody calls AcceptStream again
		if first > 11*rtt+started || second > 6*rtt+started {
			t.Errorf("%d MiB took %v, then %v; want 11 and 6 round trips of %v at most", size>>20, first, second, rtt)
		}
		if s.mem.used != 0 {
			t.Errorf("%d bytes were not given back", s.mem.used)
		}
		near.Close()
		c.Close()
		s.Close()
		time.Sleep(rtt) // until nothing is under way
	})
}

// delay carries what comes from one end to another, each byte so much later, until the one ends.
func delay(from, to *pipeEnd, by time.Duration) {
	type piece struct {
		data []byte
		due  time.Time
	}
	under := make(chan piece, 1<<16)
	go func() {
		for p := range under {
			time.Sleep(time.Until(p.due))
			to.Write(p.data)
		}
		to.Close()
	}()
	defer close(under)
	for {
		data := make([]byte, 64<<10)
		n, err := from.Read(data)
		if err != nil {
			return
		}
		under <- piece{data[:n], time.Now().Add(by)}
	}
}

// TestCoalescing: small writes that wait together leave in one frame.
func TestCoalescing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1) // holds one byte: everything else waits
		s := start(t, a, true, Config{KeepAlive: -1})
		p := &peer{t, b}
		st := open(t, s)
		write(t, st, "first")
		synctest.Wait()
		for range 1000 {
			write(t, st, "0123456789")
		}
		st.CloseWrite()
		p.expect(header{typeData, flagSYN, 1, 5}, "first")
		p.expect(header{typeData, 0, 1, 10000}, strings.Repeat("0123456789", 1000))
		p.expect(header{typeData, flagFIN, 1, 0}, "")
		if n := a.out.writes; n != 2 {
			t.Errorf("%d writes to the connection, want 2", n)
		}
		b.Close()
		s.Close()
	})
}

func TestBuffer(t *testing.T) {
	var b buffer
	var all []byte
	for i := range 500 {
		p := pattern(i, i*i%5000+1)
		all = append(all, p...)
		b.write(p)
	}
	if b.size != len(all) {
		t.Fatalf("size %d, want %d", b.size, len(all))
	}
	memory := 0
	for _, c := range b.chunks {
		memory += cap(c)
	}
	if memory > 2*len(all)+minChunk {
		t.Errorf("%d bytes take %d", len(all), memory)
	}
	got := make([]byte, 0, len(all))
	for i := 1; b.size > 0; i++ {
		p := make([]byte, i%7000)
		got = append(got, p[:b.read(p)]...)
	}
	if !bytes.Equal(got, all) {
		t.Error("other bytes came out")
	}
	b.write(all)
	b.discard()
	if b.size != 0 || b.read(make([]byte, 1)) != 0 {
		t.Error("bytes left")
	}
	var single buffer // a peer that sends single bytes
	memory = 0
	for range 10000 {
		single.write([]byte{1})
	}
	for _, c := range single.chunks {
		memory += cap(c)
	}
	if memory > 10000+minChunk {
		t.Errorf("10,000 single bytes take %d", memory)
	}
}

// TestForwardPeer: a peer that sends on a stream of ours before we announced it
// still gets its credit by a frame of its own.
func TestForwardPeer(t *testing.T) {
	for rule, window := range map[WindowRule]uint32{Additive: 0, Absolute: initialWindow} {
		s, p := withPeer(t, true, Config{Window: rule})
		st := open(t, s)
		p.send(data(0, 1, strings.Repeat("x", initialWindow)), frame(typePing, flagSYN, 0, 1))
		var updates []header
		for {
			h, _ := p.next()
			if h.kind == typeWindowUpdate {
				updates = append(updates, h)
			}
			if h.has(flagACK) { // the pong: all of the data is there
				want(t, st, strings.Repeat("x", initialWindow))
			}
			if len(updates) == 2 {
				break
			}
		}
		if updates[0] != (header{typeWindowUpdate, flagSYN, 1, window}) ||
			updates[1] != (header{typeWindowUpdate, 0, 1, initialWindow}) {
			t.Errorf("%+v", updates)
		}
	}
}
