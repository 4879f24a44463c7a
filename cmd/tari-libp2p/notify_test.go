//go:build !windows

package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// manager is a service manager's end of NOTIFY_SOCKET.
type manager struct {
	t    *testing.T
	conn *net.UnixConn
}

func startManager(t *testing.T, socket string) *manager {
	t.Helper()
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return &manager{t, conn}
}

// next is the next datagram.
func (m *manager) next() string {
	m.t.Helper()
	m.conn.SetReadDeadline(time.Now().Add(patience))
	buf := make([]byte, 4096)
	n, err := m.conn.Read(buf)
	if err != nil {
		m.t.Fatal(err)
	}
	return string(buf[:n])
}

// A node says when it is ready, lives while its watchdog asks for it, and says that it stops.
func TestNotify(t *testing.T) {
	sockets := map[string]string{"path": filepath.Join(t.TempDir(), "notify")}
	if runtime.GOOS == "linux" {
		sockets["abstract"] = fmt.Sprintf("@tari-libp2p-test-%d", os.Getpid())
	}
	for name, socket := range sockets {
		t.Run(name, func(t *testing.T) {
			m := startManager(t, socket)
			t.Setenv("NOTIFY_SOCKET", socket)
			t.Setenv("WATCHDOG_USEC", "20000")
			t.Setenv("WATCHDOG_PID", strconv.Itoa(os.Getpid()))
			n := startRun(t, t.TempDir())
			if got := m.next(); got != "READY=1" {
				t.Errorf("first %q", got)
			}
			if got := m.next(); got != "WATCHDOG=1\nSTATUS=offline, connected to 0 nodes and 0 wallets" &&
				got != "WATCHDOG=1\nSTATUS=initializing, connected to 0 nodes and 0 wallets" {
				t.Errorf("then %q", got)
			}
			if code := n.stop(); code != exitOK {
				t.Errorf("code %d: %s", code, n.errs)
			}
			for {
				got := m.next()
				if got == "STOPPING=1" {
					return
				}
				if !strings.HasPrefix(got, "WATCHDOG=1\n") {
					t.Fatalf("%q", got)
				}
			}
		})
	}
}

// A manager that is gone is logged, and no reason to stop.
func TestNotifyNobody(t *testing.T) {
	t.Setenv("NOTIFY_SOCKET", filepath.Join(t.TempDir(), "gone"))
	n := startRun(t, t.TempDir())
	if code := n.stop(); code != exitOK || strings.Count(n.errs.String(), "did not hear us") != 2 {
		t.Errorf("code %d: %s", code, n.errs)
	}
}

func TestSupervisorOf(t *testing.T) {
	us := strconv.Itoa(os.Getpid())
	for name, c := range map[string]struct {
		env   map[string]string
		tells bool
		every time.Duration
	}{
		"nobody":                   {nil, false, 0},
		"a watchdog but no socket": {map[string]string{"WATCHDOG_USEC": "1000000"}, false, 0},
		"no watchdog":              {map[string]string{"NOTIFY_SOCKET": "/x"}, true, 0},
		"over any process":         {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000"}, true, 500 * time.Millisecond},
		"over us":                  {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": us}, true, 500 * time.Millisecond},
		"over another process":     {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}, true, 0},
		"no number":                {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "soon"}, true, 0},
		"no time":                  {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "0"}, true, 0},
		"less than none":           {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "-5"}, true, 0},
		"one microsecond":          {map[string]string{"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1"}, true, 500 * time.Nanosecond},
	} {
		s := supervisorOf(func(name string) string { return c.env[name] }, slog.New(slog.DiscardHandler))
		if (s.tell != nil) != c.tells || s.every != c.every {
			t.Errorf("%s: tells %v, every %v", name, s.tell != nil, s.every)
		}
	}
}

// A sign of life every interval, each after the node has answered, and none while it hangs.
func TestSignsOfLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		var signs atomic.Int32
		hang := make(chan struct{})
		tell := func(string) error { signs.Add(1); return nil }
		s := supervisor{every: time.Second, log: slog.New(slog.DiscardHandler), tell: tell}
		go s.watch(ctx, func() (node.Status, error) {
			if signs.Load() == 3 {
				<-hang
			}
			return node.Status{}, nil
		})
		for second, want := range []int32{0, 1, 2, 3, 3, 3} {
			synctest.Wait()
			if got := signs.Load(); got != want {
				t.Errorf("%d signs after %d s, want %d", got, second, want)
			}
			time.Sleep(time.Second)
		}
		close(hang)
		synctest.Wait()
		if signs.Load() == 3 {
			t.Error("no sign after it hung")
		}
	})
}

func TestStatusLine(t *testing.T) {
	connected := node.Status{Connectivity: &node.ConnectivityInfo{State: "online", Nodes: 12, Clients: 1}}
	for want, got := range map[string]string{
		"online, connected to 12 nodes and 1 wallet": statusLine(connected, nil),
		"running":                        statusLine(node.Status{}, nil),
		`running; status: "a\nSTATUS=b"`: statusLine(node.Status{}, errors.New("a\nSTATUS=b")),
	} {
		if got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestBuiltFrom(t *testing.T) {
	setting := func(key, value string) debug.BuildSetting { return debug.BuildSetting{Key: key, Value: value} }
	for want, settings := range map[string][]debug.BuildSetting{
		"no commit known":            {setting("GOOS", "linux")},
		"commit abc123":              {setting("vcs.revision", "abc123"), setting("vcs.modified", "false")},
		"commit abc123 with changes": {setting("vcs.modified", "true"), setting("vcs.revision", "abc123")},
	} {
		if got := commitText(builtFrom(&debug.BuildInfo{Settings: settings}, true)); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
	if got := commitText(builtFrom(nil, false)); got != "no commit known" {
		t.Error(got)
	}
}
