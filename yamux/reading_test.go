package yamux

import (
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// readers is how many goroutines read for a session that are not in AcceptStream.
func readers() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "yamux.(*Session).run(")
}

// acceptAll calls AcceptStream until it fails.
func acceptAll(s *Session) <-chan *Stream {
	streams := make(chan *Stream, 10)
	go func() {
		defer close(streams)
		for {
			st, err := s.AcceptStream()
			if err != nil {
				return
			}
			streams <- st.(*Stream)
		}
	}()
	return streams
}

// TestAcceptStreamReads: a session with an AcceptStream that waits needs no other goroutine, whatever comes, up to its end.
func TestAcceptStreamReads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{KeepAlive: -1})
		began := time.Now()
		streams := acceptAll(s)
		for id := uint32(1); id < 10; id += 2 {
			p.send(data(flagSYN, id, "one"))
			p.send(data(0, id, "two"))
			st := <-streams
			want(t, st, "onetwo")
			st.Close()
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if n := readers(); n != 0 {
			t.Errorf("%d goroutines read besides", n)
		}
		if d := time.Since(began); d != time.Hour {
			t.Errorf("something waited for %v", d-time.Hour)
		}
		p.conn.Close()
		if _, more := <-streams; more {
			t.Error("a stream after the end")
		}
		if time.Since(began) != time.Hour || !s.IsClosed() {
			t.Error("the end came late")
		}
	})
}

// TestReadNeedsAReader: who waits for the peer is not kept waiting because nobody calls AcceptStream.
func TestReadNeedsAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, true, Config{KeepAlive: -1})
		began := time.Now()
		st := open(t, s)
		write(t, st, "question")
		p.send(data(0, 1, "answer"))
		want(t, st, "answer")
		write(t, st, string(make([]byte, initialWindow-len("question"))))
		p.send(frame(typeWindowUpdate, 0, 1, initialWindow))
		write(t, st, string(make([]byte, initialWindow))) // waits for the window
		if d := time.Since(began); d != 0 || readers() != 1 {
			t.Errorf("after %v, %d goroutines that read", d, readers())
		}
	})
}

// TestReadAwaitsAcceptStream: nor for long if it was called, and does not come back.
func TestReadAwaitsAcceptStream(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{KeepAlive: -1})
		p.send(data(flagSYN, 1, "one"))
		st := accept(t, s)
		began := time.Now()
		want(t, st, "one")
		p.send(data(0, 1, "two"))
		want(t, st, "two")
		if d := time.Since(began); d != reliefSoon || readers() != 1 {
			t.Errorf("after %v, %d goroutines that read", d, readers())
		}
	})
}

// TestHandOver: a goroutine that reads leaves that to an AcceptStream that waits, with the next stream.
func TestHandOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{KeepAlive: -1})
		began := time.Now()
		s.StartReading()
		streams := acceptAll(s)
		synctest.Wait()
		if n := readers(); n != 1 {
			t.Errorf("%d goroutines read at first", n)
		}
		p.send(append(data(flagSYN, 1, "one"), data(flagSYN, 3, "three")...))
		p.send(data(flagFIN, 1, "more"))
		want(t, <-streams, "onemore")
		want(t, <-streams, "three")
		synctest.Wait()
		if d := time.Since(began); d != 0 || readers() != 0 {
			t.Errorf("after %v, %d goroutines that read", d, readers())
		}
	})
}

// TestRelief: a session is read even if nobody calls anything, soon.
func TestRelief(t *testing.T) {
	for name, first := range map[string]func(*testing.T, *Session, *peer){
		"from the start": func(*testing.T, *Session, *peer) {},
		"after a stream": func(t *testing.T, s *Session, p *peer) {
			p.send(data(flagSYN, 1, "one"))
			accept(t, s) // and not again
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := withPeer(t, false, Config{KeepAlive: -1})
				first(t, s, p)
				began := time.Now()
				p.conn.Close()
				for !s.IsClosed() {
					time.Sleep(time.Millisecond)
				}
				if d := time.Since(began); d < reliefAfter || d > reliefAfter+time.Millisecond {
					t.Errorf("noticed the end after %v", d)
				}
			})
		})
	}
}

// TestCloseNeedsAReader: Close waits for the peer's end, also if nobody has read yet.
func TestCloseNeedsAReader(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{KeepAlive: -1})
		began := time.Now()
		done := make(chan error)
		go func() { done <- s.Close() }()
		if code := p.goAway(); code != goAwayNormal {
			t.Errorf("GoAway(%d)", code)
		}
		p.conn.Close()
		if err := <-done; err != nil || time.Since(began) != 0 {
			t.Errorf("%v, after %v", err, time.Since(began))
		}
	})
}
