package noise

import (
	"context"
	"errors"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// TestContext ends a handshake in the middle, by a deadline and by a cancel with a cause.
func TestContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		late, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		expectContext(t, late, context.DeadlineExceeded)

		reason := errors.New("host is closing")
		cancelled, stop := context.WithCancelCause(context.Background())
		time.AfterFunc(time.Second, func() { stop(reason) })
		expectContext(t, cancelled, reason)

		expectContext(t, cancelled, reason) // ended before it begins
	})
}

// overtaken is a connection on which ctx ends just when a deadline is set: the past deadline, by which a handshake is interrupted,
// comes first, and the later one in place of it.
type overtaken struct {
	net.Conn
	cancel      context.CancelFunc
	interrupted chan struct{}
}

func (o *overtaken) SetDeadline(t time.Time) error {
	if time.Until(t) > 0 {
		o.cancel()
		<-o.interrupted
		return o.Conn.SetDeadline(t)
	}
	defer close(o.interrupted)
	return o.Conn.SetDeadline(t)
}

// TestContextOvertaken checks that a step does not undo an interruption with its own deadline.
func TestContextOvertaken(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithCancel(context.Background())
		start := time.Now()
		_, err := Server(ctx, &overtaken{a, cancel, make(chan struct{})}, Config{Static: newKey(t)})
		if !errors.Is(err, context.Canceled) || time.Since(start) > 0 {
			t.Errorf("%v after %v, want a cancel at once", err, time.Since(start))
		}
	})
}

// sluggish is a connection on which an interruption takes a second to return.
type sluggish struct {
	net.Conn
	returned bool
}

func (s *sluggish) SetDeadline(t time.Time) error {
	err := s.Conn.SetDeadline(t)
	if time.Until(t) < 0 {
		time.Sleep(time.Second)
		s.returned = true
	}
	return err
}

// TestContextLetsGo checks that nothing touches the connection any more once a handshake has ended.
func TestContextLetsGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		defer a.Close()
		defer b.Close()
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		c := &sluggish{Conn: a}
		if _, err := Server(ctx, c, Config{Static: newKey(t)}); !errors.Is(err, context.DeadlineExceeded) || !c.returned {
			t.Errorf("%v, interruption over: %v", err, c.returned)
		}
	})
}

func expectContext(t *testing.T, ctx context.Context, want error) {
	t.Helper()
	a, b := net.Pipe()
	defer a.Close()
	defer b.Close()
	go io.Copy(io.Discard, b)
	start := time.Now()
	if _, err := Client(ctx, a, Config{Static: newKey(t)}); !errors.Is(err, want) {
		t.Errorf("error is %v, want %v", err, want)
	}
	if took := time.Since(start); took > time.Second {
		t.Errorf("took %v of fake time, want a second at most", took)
	}
}

// TestSlowPeer takes almost all of its time over every message: each has its own.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := net.Pipe()
		slow := &lag{a, DefaultStepTimeout - time.Second}
		c, s := shake(context.Background(), slow, b, Config{Static: newKey(t), StepTimeout: time.Hour}, Config{Static: newKey(t)})
		if c.err != nil || s.err != nil {
			t.Fatal(c.err, s.err)
		}
		// No deadline is left behind.
		go func() { time.Sleep(time.Hour); c.conn.Write([]byte("late")) }()
		p := make([]byte, 10)
		if n, err := s.conn.Read(p); err != nil || string(p[:n]) != "late" {
			t.Errorf("read %q, %v", p[:n], err)
		}
		a.Close()
		b.Close()
	})
}

// lag is a connection that waits before each write.
type lag struct {
	net.Conn
	time time.Duration
}

func (l *lag) Write(p []byte) (int, error) {
	time.Sleep(l.time)
	return l.Conn.Write(p)
}
