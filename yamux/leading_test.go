package yamux

import (
	"bytes"
	"errors"
	"io"
	"runtime"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
)

// leaders is how many Reads read for their session.
func leaders() int {
	stacks := make([]byte, 1<<20)
	return strings.Count(string(stacks[:runtime.Stack(stacks, true)]), "yamux.(*Session).readFor(")
}

// led is a session with an AcceptStream that waits, and a stream of ours of which a Read was served.
func led(t *testing.T) (*Session, *peer, *Stream, <-chan *Stream) {
	t.Helper()
	s, p := withPeer(t, true, Config{KeepAlive: -1})
	streams := acceptAll(s)
	synctest.Wait()
	st := open(t, s)
	write(t, st, "?")
	got := reads(st, 10)
	p.send(data(0, 1, "!"))
	if b := <-got; b != "!" {
		t.Fatalf("read %q", b)
	}
	synctest.Wait() // until AcceptStream has left off
	return s, p, st, streams
}

// reads has a goroutine read from a stream, and waits until it waits.
func reads(st *Stream, n int) <-chan string {
	got := make(chan string, 1)
	go func() {
		b := make([]byte, n)
		n, err := st.Read(b)
		if err != nil {
			b = append(b[:n], err.Error()...)
		} else {
			b = b[:n]
		}
		got <- string(b)
	}()
	synctest.Wait()
	return got
}

// TestReadLeads: who comes back for more reads for itself, and nobody is started or woken for it.
func TestReadLeads(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, st, _ := led(t)
		began := time.Now()
		for range 5 {
			got := reads(st, 10)
			if leaders() != 1 || readers() != 0 {
				t.Fatalf("%d Reads and %d others read", leaders(), readers())
			}
			p.send(data(0, 1, "more"))
			if b := <-got; b != "more" {
				t.Fatalf("read %q", b)
			}
		}
		if d := time.Since(began); d != 0 {
			t.Errorf("took %v", d)
		}
		time.Sleep(time.Hour)
		synctest.Wait()
		if leaders() != 0 || readers() != 0 || !s.reading.Load() {
			t.Errorf("later %d Reads and %d others read, and AcceptStream does: %v", leaders(), readers(), s.reading.Load())
		}
	})
}

// TestReadLeadsForAll: a Read that reads serves all others meanwhile, at once.
func TestReadLeadsForAll(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, st, streams := led(t)
		began := time.Now()
		first := reads(st, 10)
		other := open(t, s)
		write(t, other, "?")
		second := reads(other, 10)
		p.send(data(flagSYN, 2, "theirs"))
		want(t, <-streams, "theirs")
		p.send(frame(typePing, flagSYN, 0, 7))
		p.send(data(0, 3, "second"))
		if b := <-second; b != "second" {
			t.Fatalf("read %q", b)
		}
		second = reads(other, 10)
		p.send(data(0, 1, "first")) // and now AcceptStream reads for the other
		if b := <-first; b != "first" {
			t.Fatalf("read %q", b)
		}
		synctest.Wait()
		if leaders() != 0 {
			t.Error("one that is served reads")
		}
		p.send(data(0, 3, "again"))
		if b := <-second; b != "again" || time.Since(began) != 0 {
			t.Errorf("read %q after %v", b, time.Since(began))
		}
		for {
			if h, _ := p.next(); h.kind == typePing {
				if h.flags != flagACK || h.length != 7 {
					t.Errorf("ping answered with %+v", h)
				}
				return
			}
		}
	})
}

// TestReadLeadsBesideAnIdleOne: a stream on which nothing comes for a while does not keep the Reads of another from reading, also if it
// is its Read that reads at first, and does not wait long for its own bytes.
func TestReadLeadsBesideAnIdleOne(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		_, p, st, _ := led(t)
		other := open(t, st.s)
		write(t, other, "?")
		idle := reads(other, 10)
		leader := func(want *Stream) {
			t.Helper()
			got := reads(st, 10)
			if st.s.leader != want || leaders() != 1 {
				t.Errorf("%d Reads read, that of the busy stream: %v", leaders(), st.s.leader == st)
			}
			p.send(data(0, 1, "!"))
			if b := <-got; b != "!" {
				t.Fatalf("read %q", b)
			}
			synctest.Wait()
		}
		leader(other)
		leader(other) // it may be busy as well
		time.Sleep(patience)
		leader(other)
		leader(st)
		leader(st)
		for _, wait := range []time.Duration{0, time.Second} { // and while the busy one does not come back
			time.Sleep(wait)
			began := time.Now()
			p.send(data(0, 3, "late"))
			if b := <-idle; b != "late" || time.Since(began) > reliefSoon {
				t.Errorf("read %q after %v", b, time.Since(began))
			}
			idle = reads(other, 10)
		}
		p.conn.Close()
		<-idle
	})
}

// TestLeaderLeavesOff: whatever ends a Read ends one that reads as well, at once, wherever it is in a frame; nothing is lost.
func TestLeaderLeavesOff(t *testing.T) {
	for name, end := range map[string]func(s *Session, st *Stream) string{
		"deadline": func(_ *Session, st *Stream) string { st.SetReadDeadline(time.Now()); return errDeadline.Error() },
		"deadline in time": func(_ *Session, st *Stream) string {
			st.SetReadDeadline(time.Now().Add(time.Millisecond))
			return errDeadline.Error()
		},
		"CloseRead": func(_ *Session, st *Stream) string { st.CloseRead(); return ErrReadClosed.Error() },
		"Reset":     func(_ *Session, st *Stream) string { st.Reset(); return (&network.StreamError{}).Error() },
	} {
		t.Run(name, func(t *testing.T) {
			next := data(0, 1, "payload")
			for at := range next {
				synctest.Test(t, func(t *testing.T) {
					s, p, st, streams := led(t)
					got := reads(st, 10)
					p.send(next[:min(at, headerSize)]) // a body that has begun would end the Read
					synctest.Wait()
					if leaders() != 1 {
						t.Fatal("does not read")
					}
					began := time.Now()
					why := end(s, st)
					if b := <-got; b != why || time.Since(began) > time.Millisecond {
						t.Fatalf("at %d: read %q after %v, want %q", at, b, time.Since(began), why)
					}
					p.send(next[min(at, headerSize):], data(flagSYN, 2, "theirs"))
					want(t, <-streams, "theirs")
					if strings.HasPrefix(name, "deadline") {
						st.SetReadDeadline(time.Time{})
						want(t, st, "payload")
					}
				})
			}
		})
	}
}

// TestLeaderSeesTheEnd: the end of the session while a Read reads.
func TestLeaderSeesTheEnd(t *testing.T) {
	for name, end := range map[string]func(s *Session, p *peer){
		"the connection ends": func(_ *Session, p *peer) { p.conn.Close() },
		"GoAway":              func(_ *Session, p *peer) { p.send(frame(typeGoAway, 0, 0, goAwayNormal)); p.conn.Close() },
		"a breach":            func(_ *Session, p *peer) { p.send(data(0, 0, "stream 0")); p.goAway(); p.conn.Close() },
		"Close": func(s *Session, p *peer) {
			done := make(chan error)
			go func() { done <- s.Close() }()
			p.goAway()
			p.conn.Close()
			if err := <-done; err != nil {
				p.t.Error(err)
			}
		},
		"a failure": func(s *Session, _ *peer) { s.fail(errors.New("test")) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p, st, streams := led(t)
				began := time.Now()
				got := reads(st, 10)
				if leaders() != 1 {
					t.Fatal("does not read")
				}
				end(s, p)
				if b := <-got; b == "" {
					t.Errorf("read %q", b)
				}
				if _, more := <-streams; more || !s.IsClosed() {
					t.Error("the session goes on")
				}
				<-s.finished
				if d := time.Since(began); d != 0 {
					t.Errorf("took %v", d)
				}
			})
		})
	}
}

// TestLeaderDoesNotHoldUpAccept: while a Read takes its time with what it got, or does not come back, others have the connection soon.
func TestLeaderDoesNotHoldUpAccept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p, _, streams := led(t)
		began := time.Now()
		p.send(data(flagSYN, 2, "theirs"))
		want(t, <-streams, "theirs")
		if d := time.Since(began); d > reliefSoon {
			t.Errorf("a stream of the peer after %v", d)
		}

		st := open(t, s)
		write(t, st, "?")
		p.send(data(0, 3, "!"))
		want(t, st, "!")
		began = time.Now()
		p.send(frame(typeWindowUpdate, 0, 3, initialWindow))
		write(t, st, string(make([]byte, 2*initialWindow-1))) // waits for the peer, and so at once
		if d := time.Since(began); d != 0 {
			t.Errorf("credit after %v", d)
		}
	})
}

// TestLeaderAndBacklog: streams that nobody accepts stop the reading, and not for ever, also if it is a Read that reads.
func TestLeaderAndBacklog(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, p := withPeer(t, true, Config{KeepAlive: -1, Backlog: 2})
		st := open(t, s)
		write(t, st, "?")
		got := reads(st, 10)
		if leaders() != 1 {
			t.Fatal("does not read")
		}
		p.send(data(flagSYN, 2, "2"), data(flagSYN, 4, "4"), data(0, 1, "!"))
		synctest.Wait()
		select {
		case b := <-got:
			t.Fatalf("read %q past streams that nobody accepted", b)
		default:
		}
		want(t, accept(t, s), "2")
		if b := <-got; b != "!" {
			t.Errorf("read %q", b)
		}
		want(t, accept(t, s), "4")
	})
}

// TestSlowReadIsReadFor: a Read that leaves more behind than it took, and does not come back in a moment, has another goroutine read
// while it is busy; one that does comes back gets the rest without a copy, and in order.
func TestSlowReadIsReadFor(t *testing.T) {
	for name, pause := range map[string]time.Duration{"fast": 0, "slow": 2 * pace} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, st, _ := led(t)
				all := pattern(1, 10*large)
				const begun = smallRead - headerSize // with that more is read at a time
				p.send(data(0, 1, string(all[:begun])))
				want(t, st, string(all[:begun]))
				first := reads(st, large)
				p.send(data(0, 1, string(all[begun:])))
				rest := append(all[:begun:begun], <-first...)
				time.Sleep(pause)
				rest = append(rest, <-reads(st, large)...)
				if queued := st.received.size > 0; queued != (pause > 0) {
					t.Errorf("%d bytes are queued", st.received.size)
				}
				last := make([]byte, len(all)-len(rest))
				if _, err := io.ReadFull(st, last); err != nil {
					t.Fatal(err)
				}
				if rest = append(rest, last...); !bytes.Equal(rest, all) {
					t.Error("not what was sent")
				}
			})
		})
	}
}

// TestQuickReadGetsTheConnection: an AcceptStream in the midst of reading leaves the connection to a Read that comes back at once for more,
// and keeps it from one that does not.
func TestQuickReadGetsTheConnection(t *testing.T) {
	for name, pause := range map[string]time.Duration{"quick": 0, "slow": 2 * pace} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				_, p, st, streams := led(t)
				time.Sleep(time.Second)              // AcceptStream reads again
				const begun = smallRead - headerSize // with that more is read at a time
				all := pattern(1, begun+10*large)
				first := reads(st, large)
				p.send(data(0, 1, string(all[:begun])))
				got := []byte(<-first)
				time.Sleep(pause)
				second := reads(st, large)
				var frames [][]byte
				for body := range slices.Chunk(all[begun:], large) {
					frames = append(frames, data(0, 1, string(body)))
				}
				p.send(frames...)
				got = append(got, <-second...)
				synctest.Wait()
				if queued := st.received.size > 0; queued != (pause > 0) {
					t.Errorf("%d bytes are queued", st.received.size)
				}
				last := make([]byte, len(all)-len(got))
				if _, err := io.ReadFull(st, last); err != nil {
					t.Fatal(err)
				}
				if got = append(got, last...); !bytes.Equal(got, all) {
					t.Error("not what was sent")
				}
				p.send(data(flagSYN, 2, "theirs"))
				want(t, <-streams, "theirs")
			})
		})
	}
}

// TestLeaderIsKeptAlive: a silent peer is noticed while a Read reads.
func TestLeaderIsKeptAlive(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _ := withPeer(t, true, Config{KeepAlive: time.Second})
		st := open(t, s)
		st.SetDeadline(time.Time{})
		write(t, st, "?")
		if b := <-reads(st, 10); !strings.Contains(b, ErrKeepAlive.Error()) {
			t.Errorf("read %q", b)
		}
	})
}

// TestWaiterWhenAcceptLeaves: who waited for the peer while AcceptStream read is read for soon when that has got a stream and does not come back.
func TestWaiterWhenAcceptLeaves(t *testing.T) {
	bothSides(t, func(t *testing.T, s *Session, p *peer, mine, theirs uint32) {
		accepted := make(chan error)
		go func() {
			_, err := s.AcceptStream()
			accepted <- err
		}()
		synctest.Wait()
		st := open(t, s)
		write(t, st, "?")
		got := reads(st, 10)
		p.send(data(flagSYN, theirs, "x"))
		if err := <-accepted; err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		began := time.Now()
		p.send(data(0, mine, "!"))
		if b := <-got; b != "!" || time.Since(began) > reliefSoon {
			t.Errorf("read %q after %v", b, time.Since(began))
		}
	})
}

// TestReliefIsNotPutOff: who waits again and again, each time for less than it takes, is read for nevertheless.
func TestReliefIsNotPutOff(t *testing.T) {
	bothSides(t, func(t *testing.T, s *Session, p *peer, mine, theirs uint32) {
		p.send(data(flagSYN, theirs, "x"))
		accept(t, s) // and not again
		st := open(t, s)
		write(t, st, string(make([]byte, initialWindow)))
		p.send(frame(typeWindowUpdate, 0, mine, initialWindow))
		began := time.Now()
		for sent := 0; sent == 0 && time.Since(began) < time.Second; {
			st.SetWriteDeadline(time.Now().Add(reliefSoon / 2))
			sent, _ = st.Write([]byte("x"))
		}
		if d := time.Since(began); d > reliefSoon {
			t.Errorf("credit after %v", d)
		}
	})
}

// bothSides is a session of either side, whose connection lends or does not, with the ids of the first streams.
func bothSides(t *testing.T, f func(t *testing.T, s *Session, p *peer, mine, theirs uint32)) {
	for name, client := range map[string]bool{"client": true, "server": false} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, p := withPeer(t, client, Config{KeepAlive: -1})
				if client {
					f(t, s, p, 1, 2)
				} else {
					f(t, s, p, 2, 1)
				}
			})
		})
	}
}
