package yamux

import (
	"bytes"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

func eachRule(t *testing.T, f func(t *testing.T, cfg Config)) {
	t.Run("additive", func(t *testing.T) { f(t, Config{Window: Additive}) })
	t.Run("absolute", func(t *testing.T) { f(t, Config{Window: Absolute}) })
}

func TestBothWays(t *testing.T) {
	eachRule(t, func(t *testing.T, cfg Config) {
		c, s := pair(t, cfg)
		for _, from := range []*Session{c, s} {
			to := c
			if from == c {
				to = s
			}
			st := open(t, from)
			write(t, st, "question")
			other := accept(t, to)
			want(t, other, "question")
			write(t, other, "answer")
			want(t, st, "answer")
			st.CloseWrite()
			wantEnd(t, other, io.EOF)
			write(t, other, "still open here")
			other.CloseWrite()
			want(t, st, "still open here")
			wantEnd(t, st, io.EOF)
			if _, err := st.Write([]byte("x")); !errors.Is(err, ErrWriteClosed) {
				t.Errorf("write after CloseWrite: %v", err)
			}
			if n := known(from) + known(to); n != 0 {
				t.Errorf("%d streams are still known", n)
			}
		}
	})
}

func known(s *Session) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.streams)
}

// TestPeerSpeaksFirst: a stream that is only read must be announced as well.
func TestPeerSpeaksFirst(t *testing.T) {
	eachRule(t, func(t *testing.T, cfg Config) {
		c, s := pair(t, cfg)
		st := open(t, c)
		go func() {
			other, err := s.AcceptStream()
			if err == nil {
				io.WriteString(other, "welcome")
			}
		}()
		want(t, st, "welcome")
	})
}

// TestResetKeepsData: what arrived before a reset is read before it shows.
func TestResetKeepsData(t *testing.T) {
	eachRule(t, func(t *testing.T, cfg Config) {
		c, s := pair(t, cfg)
		for _, code := range []network.StreamErrorCode{0, 0x1003} {
			st := open(t, c)
			write(t, st, "last words")
			st.ResetWithError(code)
			other := accept(t, s)
			want(t, other, "last words")
			wantEnd(t, other, &network.StreamError{Remote: true, ErrorCode: code})
			wantEnd(t, other, network.ErrReset)
			if _, err := other.Write([]byte("x")); !errors.Is(err, network.ErrReset) {
				t.Errorf("write after a reset: %v", err)
			}
			wantEnd(t, st, &network.StreamError{ErrorCode: code})
			if _, err := st.Write([]byte("x")); !errors.Is(err, network.ErrReset) {
				t.Errorf("write after our reset: %v", err)
			}
		}
		if n := known(c) + known(s); n != 0 {
			t.Errorf("%d streams are still known", n)
		}
	})
}

// TestReadBeforeReset is the same for a reader that waits already.
func TestResetWakesBoth(t *testing.T) {
	c, s := pair(t, Config{})
	st := open(t, c)
	write(t, st, "hi")
	other := accept(t, s)
	want(t, other, "hi")
	errs := make(chan error, 2)
	go func() { _, err := st.Read(make([]byte, 1)); errs <- err }()
	go func() { _, err := st.Write(make([]byte, 1<<20)); errs <- err }() // more than the window
	other.Reset()
	for range 2 {
		if err := <-errs; !errors.Is(err, network.ErrReset) {
			t.Error(err)
		}
	}
}

func TestUnannouncedReset(t *testing.T) {
	s, p := withPeer(t, true, Config{})
	open(t, s).Reset() // the peer never heard of it: no frame
	write(t, open(t, s), "x")
	p.expect(header{typeData, flagSYN, 3, 1}, "x")
}

func TestCloseRead(t *testing.T) {
	c, s := pair(t, Config{})
	st := open(t, c)
	write(t, st, "hi")
	other := accept(t, s)
	want(t, other, "hi")
	blocked := make(chan error)
	go func() { _, err := other.Read(make([]byte, 1)); blocked <- err }()
	other.CloseRead()
	if err := <-blocked; !errors.Is(err, ErrReadClosed) {
		t.Errorf("waiting read: %v", err)
	}
	wantEnd(t, other, ErrReadClosed)
	write(t, st, "nobody reads this")
	write(t, other, "writing still works")
	want(t, st, "writing still works")
}

func TestCloseWriteInterruptsWrite(t *testing.T) {
	c, s := pair(t, Config{})
	st := open(t, c)
	got := make(chan int)
	go func() {
		n, err := st.Write(make([]byte, 1<<20)) // stops at the end of the window
		if !errors.Is(err, ErrWriteClosed) {
			t.Error(err)
		}
		got <- n
	}()
	other := accept(t, s)
	want(t, other, string(make([]byte, 1000))) // so the write has begun
	st.CloseWrite()
	n := <-got
	rest, err := io.ReadAll(other)
	if err != nil || 1000+len(rest) != n {
		t.Errorf("write said %d, the peer got %d: %v", n, 1000+len(rest), err)
	}
}

// TestConcurrentWrites: each Write arrives in one piece.
func TestConcurrentWrites(t *testing.T) {
	c, s := pair(t, Config{})
	st := open(t, c)
	const writers, size = 8, 300_000 // each more than a window
	var wg sync.WaitGroup
	for i := range writers {
		wg.Go(func() { st.Write(bytes.Repeat([]byte{byte(i)}, size)) })
	}
	other := accept(t, s)
	seen := map[byte]bool{}
	for range writers {
		b := make([]byte, size)
		if _, err := io.ReadFull(other, b); err != nil {
			t.Fatal(err)
		}
		if seen[b[0]] || !bytes.Equal(b, bytes.Repeat(b[:1], size)) {
			t.Fatal("writes were mixed")
		}
		seen[b[0]] = true
	}
	wg.Wait()
}

func TestDeadlines(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, Config{KeepAlive: -1})
		st := open(t, c)
		begin := time.Now()
		st.SetReadDeadline(begin.Add(3 * time.Second))
		wantEnd(t, st, errDeadline)
		st.SetWriteDeadline(begin.Add(5 * time.Second))
		if n, err := st.Write(make([]byte, 1<<20)); n != initialWindow || !errors.Is(err, errDeadline) {
			t.Errorf("wrote %d, %v", n, err)
		}
		if d := time.Since(begin); d != 5*time.Second {
			t.Errorf("deadlines passed after %v", d)
		}
		// New deadlines make the stream usable again; past ones act at once.
		st.SetDeadline(time.Time{})
		other := accept(t, s)
		go func() {
			io.CopyN(io.Discard, other, initialWindow)
			io.WriteString(other, "go on")
		}()
		want(t, st, "go on")
		write(t, st, "more")
		st.SetDeadline(time.Now().Add(-1))
		wantEnd(t, st, errDeadline)
		if _, err := st.Write([]byte("x")); !errors.Is(err, errDeadline) {
			t.Errorf("write: %v", err)
		}
	})
}

// TestCloseLingers: a peer that never finishes a stream we closed loses it.
func TestCloseLingers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{KeepAlive: -1})
		p.send(data(flagSYN, 1, "hi"))
		st := accept(t, s)
		st.Close()
		p.expect(header{typeData, flagACK | flagFIN, 1, 0}, "")
		if known(s) != 1 {
			t.Error("the peer may still send")
		}
		begin := time.Now()
		p.expect(header{typeData, flagRST, 1, 0}, "")
		if d := time.Since(begin); d != closeLinger || known(s) != 0 {
			t.Errorf("reset after %v, %d streams known", d, known(s))
		}
	})
}
