package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"strconv"
	"time"

	"github.com/tari-libp2p/tari-libp2p/node"
)

// supervisor is who started us and wants to hear how we are, in the words of systemd's sd_notify(3): a datagram of NAME=value lines
// to a Unix socket. The zero value tells nobody.
type supervisor struct {
	tell  func(state string) error // nil if nobody asked
	every time.Duration            // between signs of life, half of what the watchdog allows; 0 if there is none
	log   *slog.Logger
}

// supervisorOf reads who wants to hear from us, from the variables that systemd sets. A watchdog time that is no number is none.
func supervisorOf(getenv func(string) string, log *slog.Logger) supervisor {
	s := supervisor{log: log}
	socket := getenv("NOTIFY_SOCKET")
	if socket == "" {
		return s
	}
	s.tell = func(state string) error { return notify(socket, state) }
	if pid := getenv("WATCHDOG_PID"); pid != "" && pid != strconv.Itoa(os.Getpid()) {
		return s // the watchdog is over another process
	}
	if usec, err := strconv.ParseInt(getenv("WATCHDOG_USEC"), 10, 64); err == nil && usec > 0 {
		s.every = time.Duration(usec) * time.Microsecond / 2
	}
	return s
}

// notify sends one datagram to a socket: a path, or @NAME in Linux's abstract namespace. It dials each time: the supervisor may have
// made its socket anew.
func notify(socket, state string) error {
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: socket, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}

// say tells the supervisor, if there is one. A node goes on without it, so that it did not hear us is only logged.
func (s supervisor) say(state string) {
	if s.tell == nil {
		return
	}
	if err := s.tell(state); err != nil {
		s.log.Warn("the service manager did not hear us", "state", state, "err", err)
	}
}

// watch gives signs of life until ctx ends, each after status has answered: a node that hangs gives none, and is restarted.
func (s supervisor) watch(ctx context.Context, status func() (node.Status, error)) {
	if s.tell == nil || s.every <= 0 {
		return
	}
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			s.say("WATCHDOG=1\nSTATUS=" + statusLine(status()))
		}
	}
}

// statusLine is what "systemctl status" shows. An error is no reason to restart: a full disk is as full after it.
func statusLine(s node.Status, err error) string {
	switch {
	case err != nil:
		return "running; status: " + quote(err.Error())
	case s.Connectivity == nil:
		return "running"
	}
	return fmt.Sprintf("%s, connected to %s and %s", s.Connectivity.State, count(s.Connectivity.Nodes, "node"), count(s.Connectivity.Clients, "wallet"))
}
