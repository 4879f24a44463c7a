package peerbook_test

import (
	"errors"
	"fmt"
	"os"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/peerbook/booktest"
)

// A process that is stopped while it writes keeps the book to itself, goes on
// where it was, and nothing that it acknowledged is lost.
func TestStop(t *testing.T) {
	loops, dir := 3, peerbook.InMemory(t)
	if long() {
		loops, dir = 100, t.TempDir()
	}
	seed := uint64(time.Now().UnixNano())
	stops := 0
	stop := func(child *os.Process) error {
		stops++
		if err := errors.Join(child.Signal(syscall.SIGSTOP), changed(child, unix.WSTOPPED)); err != nil {
			return err
		}
		var locked *peerbook.LockedError
		if _, err := openBadger(dir); !errors.As(err, &locked) {
			t.Errorf("a second process: %v", err)
		}
		return errors.Join(child.Signal(syscall.SIGCONT), changed(child, unix.WCONTINUED))
	}
	report, err := booktest.Kill(t.Context(), booktest.Killing{Engine: "badger", Dir: dir, Loops: loops, Seed: seed, Half: stop})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range append(report.Lost, report.Unreadable...) {
		t.Error(text)
	}
	if report.Corrupt != 0 || stops != loops || report.Acknowledged < loops/2 {
		t.Errorf("%d stops, %d acknowledged changes, %d corrupt records; seed %d", stops, report.Acknowledged, report.Corrupt, seed)
	}
	if long() {
		t.Logf("row: SIGSTOP and SIGCONT while the peer book is written, then kill -9 | 0 acknowledged changes lost, others hear that it is in use | %d stops, %d changes acknowledged, %d lost",
			stops, report.Acknowledged, len(report.Lost))
	}
}

// changed waits until a child has stopped or gone on.
func changed(child *os.Process, what int) error {
	for {
		var info unix.Siginfo
		err := unix.Waitid(unix.P_PID, child.Pid, &info, what|unix.WEXITED|unix.WNOWAIT, nil)
		if errors.Is(err, unix.EINTR) {
			continue
		}
		if err == nil && info.Code != cldStopped && info.Code != cldContinued {
			err = fmt.Errorf("the child has ended: code %d", info.Code)
		}
		return err
	}
}

// What waitid says of a child, see sigaction(2).
const (
	cldStopped   = 5
	cldContinued = 6
)
