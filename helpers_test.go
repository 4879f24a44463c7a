package tari

import (
	"context"
	"io"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/memnet"
)

const echo = protocol.ID("/test/echo/1")

// patience is far more than anything here takes, on the slowest of machines.
const patience = 60 * time.Second

// startHost starts a host that listens on memory unless the configuration says otherwise, echoes, and is closed after the test.
func startHost(t *testing.T, cfg Config) *Host {
	t.Helper()
	if cfg.Listen == nil {
		cfg.Listen = []ma.Multiaddr{ma.StringCast("/memory/0")}
	}
	cfg.AllowTestAddresses = true
	return startStrictHost(t, cfg)
}

func serveEcho(s network.Stream) {
	defer s.Close()
	_, _ = io.Copy(s, s)
}

func infoOf(h *Host) peer.AddrInfo { return peer.AddrInfo{ID: h.ID(), Addrs: h.Addrs()} }

func testContext(t *testing.T) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	t.Cleanup(cancel)
	return ctx
}

func connect(t *testing.T, from, to *Host) {
	t.Helper()
	if err := from.Connect(testContext(t), infoOf(to)); err != nil {
		t.Fatalf("connect: %v", err)
	}
}

// say sends text over a new echo stream and expects it back.
func say(t *testing.T, from *Host, to peer.ID, text string) {
	t.Helper()
	s, err := from.NewStream(testContext(t), to, echo)
	if err != nil {
		t.Fatalf("open: %v", err)
	}
	defer s.Close()
	_ = s.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(s, text); err != nil {
		t.Fatalf("write: %v", err)
	}
	if err := s.CloseWrite(); err != nil {
		t.Fatalf("half-close: %v", err)
	}
	back, err := io.ReadAll(s)
	if err != nil || string(back) != text {
		t.Fatalf("echo of %q is %q, %v", text, back, err)
	}
}

// eventually waits for something that other goroutines bring about.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for end := time.Now().Add(patience); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if ok() {
			return
		}
	}
	t.Fatalf("never: %s", what)
}

// inEachDialect runs a test on one network of each dialect that is built in.
func inEachDialect(t *testing.T, test func(t *testing.T, n dialect.Network)) {
	seen := map[string]bool{}
	for _, n := range dialect.Networks() {
		name := dialect.Of(n).String()
		if seen[name] {
			continue
		}
		seen[name] = true
		t.Run(name, func(t *testing.T) { test(t, n) })
	}
}

// startSilentListener listens on memory and never says a word.
func startSilentListener(t *testing.T) manet.Listener {
	t.Helper()
	l, err := memnet.Listen(ma.StringCast("/memory/0"))
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			defer c.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	return l
}
