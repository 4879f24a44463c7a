package messagingproto

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// reasonsOf counts the reasons of results, 0 for success.
func reasonsOf(results []Result) map[Reason]int {
	count := make(map[Reason]int)
	for _, r := range results {
		count[ReasonOf(r.Err)]++
	}
	return count
}

func numbered(n int) (messages [][]byte, texts []string) {
	for i := range n {
		texts = append(texts, fmt.Sprint("message ", i))
		messages = append(messages, []byte(texts[i]))
	}
	return messages, texts
}

func TestSendMany(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		var stream *fakeStream
		f.hosts["a"].dial = sleepFirst(time.Second) // all are queued by then
		f.hosts["a"].opened = func(_ int, s *fakeStream) { stream = s }
		messages, texts := numbered(400)
		results := a.SendMany(t.Context(), "b", messages)
		synctest.Wait()
		if got := in.all(); !slices.Equal(got, texts) {
			t.Errorf("%d arrived, or in another order", len(got))
		}
		for i, r := range results {
			if r != (Result{Tries: 1}) {
				t.Errorf("message %d: %+v", i, r)
			}
		}
		if len(results) != 400 || stream.out.writes > 3 {
			t.Errorf("%d results, %d writes", len(results), stream.out.writes)
		}
		if got := a.SendMany(t.Context(), "b", nil); len(got) != 0 {
			t.Errorf("no messages, but results: %v", got)
		}
	})
}

// 1,001 messages to a peer that is down: 500 fit into the queue, and each comes
// back with its reason and its cause.
func TestSendManyPeerDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{})
		down := errors.New("connection refused")
		f.hosts["a"].dial = func(ctx context.Context, n int) error {
			_ = sleepFirst(time.Second)(ctx, n)
			return down
		}
		messages, _ := numbered(1001)
		results := a.SendMany(t.Context(), "b", messages)
		for i, r := range results {
			want, cause := DialFailed, down
			if i >= 500 {
				want, cause = QueueFull, errPeerMessages
			}
			if ReasonOf(r.Err) != want || !errors.Is(r.Err, cause) || r.Tries != 0 {
				t.Fatalf("message %d: %+v", i, r)
			}
		}
		st := a.Stats()
		if want := (map[Reason]uint64{DialFailed: 500, QueueFull: 501}); !maps.Equal(st.Failed, want) || st.Queued != 0 || st.Sent != 0 {
			t.Errorf("counted: %+v", st)
		}
	})
}

func TestSendManyCancelled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, _ := twoServices(t, Config{TTL: time.Hour, WriteTimeout: time.Hour})
		f.hosts["b"].SetStreamHandler(tariproto.Messaging, func(network.Stream) {}) // never reads
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		big := fill('x', 100<<10)
		results := a.SendMany(ctx, "b", [][]byte{big, big, big, big, big}) // two fit into the window
		if got, want := reasonsOf(results), (map[Reason]int{0: 2, Cancelled: 3}); !maps.Equal(got, want) {
			t.Errorf("got %v, want %v", got, want)
		}
		if results[2].Tries != 1 || results[3].Tries != 0 {
			t.Errorf("the one that is being written: %+v, one that waits: %+v", results[2], results[3])
		}
		if st := a.Stats(); st.Queued != 1 || st.Failed[Cancelled] != 2 {
			t.Errorf("one is still being written: %+v", st)
		}
		cancel()
		if got := a.SendMany(ctx, "b", [][]byte{big}); ReasonOf(got[0].Err) != Cancelled {
			t.Errorf("with a context that is over: %v", got)
		}
	})
}

// Every peer has its result at its place, and a peer that cannot be reached
// holds up none but the caller.
func TestBroadcast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := newFakeNet()
		a := newService(t, f.host("a"), Config{})
		var to []peer.ID
		var in inbox
		for i := range 20 {
			to = append(to, peerID(fmt.Sprint("peer ", i)))
			if i%4 != 0 { // the others are nowhere
				newService(t, f.host(to[i]), Config{}).Handle(in.take)
			}
		}
		check := func(i int, r Result) {
			t.Helper()
			want := Reason(0)
			if i%4 == 0 {
				want = DialFailed
			}
			if ReasonOf(r.Err) != want {
				t.Errorf("peer %d: %v", i, r.Err)
			}
		}
		for i, r := range a.Broadcast(t.Context(), to, []byte("hello")) {
			check(i, r)
		}
		synctest.Wait()
		if n := len(in.all()); n != 15 {
			t.Errorf("%d peers got it, want 15", n)
		}

		told := make(map[peer.ID]int)
		results := make(chan func(), 20)
		a.BroadcastAsync(to, []byte("again"), func(p peer.ID, r Result) {
			results <- func() { told[p]++; check(slices.Index(to, p), r) }
		})
		a.BroadcastAsync(to, []byte("nobody asks"), nil)
		for range to {
			(<-results)()
		}
		if synctest.Wait(); len(told) != 20 || len(results) != 0 || len(in.all()) != 45 {
			t.Errorf("%d peers answered once, %d more answers, %d messages arrived", len(told), len(results), len(in.all()))
		}
		a.Close()
		a.BroadcastAsync(to[:1], nil, func(_ peer.ID, r Result) {
			if ReasonOf(r.Err) != Closed {
				t.Errorf("after Close: %v", r.Err)
			}
			told["closed"]++
		})
		if told["closed"] != 1 {
			t.Error("after Close: no answer")
		}
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, b, _ := twoServices(t, Config{})
		for range 3 {
			if err := a.Send(t.Context(), "b", []byte("12345")); err != nil {
				t.Fatal(err)
			}
		}
		_ = a.Send(t.Context(), "b", make([]byte, MaxMessage+1))
		f.hosts["a"].dial = sleepFirst(time.Second)
		_ = a.SendAsync("nobody", []byte("123"), nil)
		_ = a.SendAsync("nobody", []byte("4567"), nil)
		synctest.Wait()
		st := a.Stats()
		if st.Sent != 3 || st.SentBytes != 15 || st.Failed[TooLarge] != 1 || st.Queued != 2 || st.QueuedBytes != 7 || st.DialingBytes != 7 || st.OutStreams != 1 {
			t.Errorf("sender: %+v", st)
		}
		if st := b.Stats(); st.Received != 3 || st.ReceivedBytes != 15 || st.InStreams != 1 {
			t.Errorf("receiver: %+v", st)
		}
		if to, from := a.PeerStats(), b.PeerStats(); len(to) != 2 || to["b"] != (PeerStats{Sent: 3}) || len(from) != 1 || from["a"] != (PeerStats{Received: 3}) {
			t.Errorf("by peer: %v, %v", to, from)
		}
		time.Sleep(3 * time.Second)
		if st := a.Stats(); st.Failed[DialFailed] != 2 || st.Queued != 0 || st.QueuedBytes != 0 || st.DialingBytes != 0 {
			t.Errorf("sender, later: %+v", st)
		}
		a.Close()
		synctest.Wait()
		if st := b.Stats(); st.InStreams != 0 || len(b.PeerStats()) != 0 {
			t.Errorf("receiver, after the sender left: %+v, %v", st, b.PeerStats())
		}
	})
}

// An oversize frame and a stream too many are counted.
func TestStatsOfOffences(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := newReceiver(t)
		for range 7 { // one current, four that stop, two too many
			r.open(tariproto.Messaging)
			synctest.Wait()
		}
		s := r.open(tariproto.Messaging)
		s.Write([]byte{0xff, 0, 0, 0})
		synctest.Wait()
		time.Sleep(3 * time.Second)
		s = r.open(tariproto.Messaging)
		s.Write([]byte{0xff, 0, 0, 0})
		synctest.Wait()
		if st := r.Stats(); st.Refused != 3 || st.Violations != 1 || len(r.violations) != 1 {
			t.Errorf("counted: %+v; %d violations reported", st, len(r.violations))
		}
	})
}

// What a tie made us send again is counted apart, and no sender hears of it.
func TestStatsSentAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		first := sentWhileYoung(t, f, a)
		first.in.fail(&network.StreamError{Remote: true})
		synctest.Wait()
		if st := a.Stats(); st.Sent != 2 || st.SentAgain != 1 || len(in.all()) != 2 {
			t.Errorf("counted: %+v; arrived: %q", st, in.all())
		}
	})
}

// A backlog whose connection is lost may be larger than what a queue may hold
// while it dials; new messages are held to that.
func TestBacklogWhileDialing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f, a, _, in := twoServices(t, Config{})
		block := make(chan struct{})
		f.hosts["a"].opened = func(n int, s *fakeStream) {
			if n == 1 {
				s.out.setWindow(0)
			}
		}
		f.hosts["a"].dial = func(_ context.Context, n int) error {
			if n == 2 {
				<-block
			}
			return nil
		}
		out := outcomes{t: t}
		out.send(a, "b", fill('x', 1<<20))
		synctest.Wait() // there is a stream, on which nothing moves
		for range 19 {
			out.send(a, "b", fill('x', 1<<20))
		}
		f.conn(f.hosts["a"], f.hosts["b"]).kill(true)
		if synctest.Wait(); a.Stats().DialingBytes != 20<<20 {
			t.Errorf("while it dials again: %+v", a.Stats())
		}
		err := a.SendAsync("b", []byte("new"), nil)
		if ReasonOf(err) != QueueFull || !errors.Is(err, errDialingPeerBytes) {
			t.Errorf("a new message: %v", err)
		}
		close(block)
		if got := out.reasons(); !slices.Equal(got, make([]Reason, 20)) {
			t.Errorf("the backlog: %v", got)
		}
		if synctest.Wait(); len(in.all()) != 20 {
			t.Errorf("%d of 20 arrived", len(in.all()))
		}
		if err := a.Send(t.Context(), "b", []byte("new")); err != nil {
			t.Error(err)
		}
	})
}
