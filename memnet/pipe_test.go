package memnet

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	ma "github.com/multiformats/go-multiaddr"
	"golang.org/x/net/nettest"
)

func TestPipeIsANetConn(t *testing.T) {
	nettest.TestConn(t, func() (c1, c2 net.Conn, stop func(), err error) {
		c1, c2 = Pipe()
		return c1, c2, func() { c1.Close(); c2.Close() }, nil
	})
}

func TestBothWriteFirst(t *testing.T) {
	a, b := Pipe()
	defer a.Close()
	defer b.Close()
	for _, c := range []net.Conn{a, b} {
		if _, err := c.Write(make([]byte, bufferSize)); err != nil {
			t.Fatal(err)
		}
	}
	for _, c := range []net.Conn{a, b} {
		if _, err := io.ReadFull(c, make([]byte, bufferSize)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestWhatWasWrittenOutlivesClose(t *testing.T) {
	a, b := Pipe()
	a.Write([]byte("last words"))
	a.Close()
	got, err := io.ReadAll(b)
	if err != nil || string(got) != "last words" {
		t.Fatalf("read %q, %v", got, err)
	}
	if _, err := b.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write to a closed end: %v, want EPIPE", err)
	}
	if _, err := a.Write([]byte("x")); !errors.Is(err, net.ErrClosed) {
		t.Errorf("write after own Close: %v, want net.ErrClosed", err)
	}
	b.Close()
}

func TestCloseWriteLeavesTheOtherDirection(t *testing.T) {
	a, b := newPipe(unnamed, unnamed)
	defer a.Close()
	defer b.Close()
	a.CloseWrite()
	if _, err := b.Read(make([]byte, 1)); err != io.EOF {
		t.Fatalf("read %v, want EOF", err)
	}
	b.Write([]byte("answer"))
	buf := make([]byte, 16)
	n, err := a.Read(buf)
	if err != nil || string(buf[:n]) != "answer" {
		t.Fatalf("read %q, %v", buf[:n], err)
	}
}

// A blocked Write, a blocked Read and their deadlines run on the bubble's clock.
func TestDeadlinesInABubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a, b := Pipe()
		defer a.Close()
		defer b.Close()
		start := time.Now()
		a.SetReadDeadline(start.Add(time.Hour))
		if _, err := a.Read(make([]byte, 1)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("read: %v", err)
		}
		a.SetWriteDeadline(start.Add(2 * time.Hour))
		n, err := a.Write(make([]byte, bufferSize+1))
		if n != bufferSize || !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Fatalf("write: %d, %v", n, err)
		}
		if took := time.Since(start); took != 2*time.Hour {
			t.Fatalf("took %v", took)
		}
		a.SetDeadline(time.Time{})
		go func() { io.CopyN(io.Discard, b, bufferSize) }()
		if _, err := a.Write([]byte("x")); err != nil {
			t.Fatalf("write after the deadline was taken back: %v", err)
		}
	})
}

func TestListenAndDial(t *testing.T) {
	l, err := Listen(ma.StringCast("/memory/0"))
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if _, err := Listen(l.Multiaddr()); err == nil {
		t.Error("two listeners at one address")
	}
	a, err := Dial(context.Background(), l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	defer a.Close()
	b, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if got := b.RemoteMultiaddr().String(); got != "/memory/0" {
		t.Errorf("the dialer's address is %s", got)
	}
	if !a.RemoteMultiaddr().Equal(l.Multiaddr()) || !b.LocalMultiaddr().Equal(l.Multiaddr()) {
		t.Errorf("addresses are %s and %s, want %s", a.RemoteMultiaddr(), b.LocalMultiaddr(), l.Multiaddr())
	}
	a.Write([]byte("hi"))
	buf := make([]byte, 2)
	if _, err := io.ReadFull(b, buf); err != nil || !bytes.Equal(buf, []byte("hi")) {
		t.Fatalf("%q, %v", buf, err)
	}
}

func TestAClosedListener(t *testing.T) {
	l, err := Listen(ma.StringCast("/memory/0"))
	if err != nil {
		t.Fatal(err)
	}
	waiting, err := Dial(context.Background(), l.Multiaddr())
	if err != nil {
		t.Fatal(err)
	}
	defer waiting.Close()
	l.Close()
	if _, err := waiting.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("who waited for Accept reads %v, want EOF", err)
	}
	if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if _, err := Dial(context.Background(), l.Multiaddr()); err == nil {
		t.Error("dialed a closed listener")
	}
	again, err := Listen(l.Multiaddr())
	if err != nil {
		t.Fatalf("its address is not free again: %v", err)
	}
	again.Close()
}

func TestAddresses(t *testing.T) {
	tr := NewTransport(nil, nil)
	for addr, want := range map[string]bool{
		"/memory/1": true, "/memory/65535": true, "/memory/0": false, "/memory/65536": false,
		"/ip4/1.2.3.4/tcp/1": false, "/memory/1/memory/2": false,
	} {
		if got := tr.CanDial(ma.StringCast(addr)); got != want {
			t.Errorf("CanDial(%s) = %v", addr, got)
		}
	}
}
