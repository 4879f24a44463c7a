package yamux

import (
	"testing"
	"testing/synctest"
	"time"
)

// TestDeadLink: a peer that says nothing is noticed after twice KeepAlive, with
// reads and writes waiting.
func TestDeadLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{})
		p.send(data(flagSYN, 1, "x"))
		st := accept(t, s)
		st.SetDeadline(time.Time{})
		want(t, st, "x")
		begin := time.Now()
		wantEnd(t, st, ErrKeepAlive)
		if d := time.Since(begin); d != 50*time.Second {
			t.Errorf("noticed after %v", d)
		}
		if h, _ := p.next(); h.kind != typePing || h.flags != flagSYN {
			t.Errorf("expected a ping, got %+v", h)
		}
		_, err := s.AcceptStream()
		wantConnError(t, err, false, 0, ErrKeepAlive)
	})
}

// TestIdleLink: two of our sessions with nothing to say live on, and a session
// that hears anything asks nothing.
func TestIdleLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c, s := pair(t, Config{})
		time.Sleep(24 * time.Hour)
		if c.IsClosed() || s.IsClosed() {
			t.Error("an idle connection ended")
		}
	})
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(wide)
		s := start(t, a, true, Config{})
		p := &peer{t, b}
		for range 100 {
			time.Sleep(24 * time.Second)
			p.send(frame(typePing, flagACK, 0, 1))
		}
		if n := len(a.written()); n != 0 || s.IsClosed() {
			t.Errorf("sent %d bytes, closed %v", n, s.IsClosed())
		}
		b.Close()
		s.Close()
	})
}

// TestRTT: it is measured when somebody asks, and not again for a while.
func TestRTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(wide)
		s := start(t, a, true, Config{KeepAlive: -1})
		p := &peer{t, b}
		answer := func() {
			s.MeasureRTT()
			h, _ := p.next()
			time.Sleep(30 * time.Millisecond)
			p.send(frame(typePing, flagACK, 0, h.length))
			synctest.Wait()
		}
		if s.RTT() != 0 {
			t.Error("known before it was measured")
		}
		answer()
		s.MeasureRTT()
		time.Sleep(rttAge)
		s.MeasureRTT()
		if s.RTT() != 30*time.Millisecond || len(a.written()) != headerSize {
			t.Errorf("%v; %d bytes sent", s.RTT(), len(a.written()))
		}
		time.Sleep(time.Millisecond)
		answer()
		b.Close()
		s.Close()
	})
}

func TestKeepAliveOff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(wide)
		s := start(t, a, true, Config{KeepAlive: -1})
		time.Sleep(24 * time.Hour)
		if len(a.written()) != 0 || s.IsClosed() {
			t.Error("something happened")
		}
		b.Close()
		s.Close()
	})
}

// TestHeldBackIsNotSilent: while we do not read, silence is our own doing.
func TestHeldBackIsNotSilent(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, false, Config{Backlog: 1})
		p.send(data(flagSYN, 1, "x"), data(flagSYN, 3, "y"))
		time.Sleep(time.Hour)
		want(t, accept(t, s), "x")
		want(t, accept(t, s), "y")
	})
}

// TestWriteStall: a connection that takes nothing ends after WriteTimeout, even
// if the peer keeps sending; a write with a deadline gives up before.
func TestWriteStall(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1000)
		s := start(t, a, false, Config{})
		p := &peer{t, b}
		stop := make(chan struct{})
		talked := make(chan struct{})
		p.send(data(flagSYN, 1, "x"), data(flagSYN, 3, "y"))
		one, two := accept(t, s), accept(t, s)
		go func() {
			defer close(talked)
			for {
				select {
				case <-stop:
					return
				case <-time.After(10 * time.Second):
					b.Write(data(0, 3, "still here"))
				}
			}
		}()
		write(t, one, "so far all is well")
		synctest.Wait()
		begin := time.Now()
		one.SetWriteDeadline(begin.Add(30 * time.Second))
		two.SetDeadline(time.Time{})
		if _, err := one.Write(make([]byte, 1<<20)); err != errDeadline {
			t.Errorf("write with a deadline: %v", err)
		}
		if d := time.Since(begin); d != 30*time.Second {
			t.Errorf("write with a deadline took %v", d)
		}
		want(t, two, "ystill herestill here") // reading goes on meanwhile
		n, err := two.Write(make([]byte, 1<<20))
		wantConnError(t, err, false, 0, ErrWriteStall)
		if d := time.Since(begin); d != 120*time.Second {
			t.Errorf("ended after %v, %d bytes", d, n)
		}
		close(stop)
		<-talked
		s.Close()
		b.Close()
	})
}

// TestSlowLink: a link that moves is not stalled, however long it takes.
func TestSlowLink(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := pipe(1)
		s := start(t, a, true, Config{KeepAlive: -1})
		st := open(t, s)
		st.SetDeadline(time.Time{})
		done := make(chan struct{})
		go func() {
			defer close(done)
			buf, read, pause := make([]byte, 4000), 0, time.Millisecond
			for {
				if _, err := b.Read(buf); err != nil {
					return
				}
				time.Sleep(pause) // one byte
				if read++; read == 70_000 {
					pause *= 10
				}
			}
		}()
		write(t, st, string(make([]byte, 200_000)))
		time.Sleep(time.Hour) // more than all of it takes
		if s.IsClosed() {
			t.Error("ended")
		}
		s.Close()
		b.Close()
		<-done
	})
}
