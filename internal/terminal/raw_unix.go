//go:build linux || darwin || dragonfly || freebsd || netbsd || openbsd

package terminal

import (
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
	"golang.org/x/term"
)

const canTakeOver = true

var resizeSignals = []os.Signal{syscall.SIGWINCH}

// makeRaw gives each key as it is pressed, Ctrl-C too, and shows none. A read that gets nothing gives up after readTime, so that
// its goroutine can end. The terminal is as it was after back.
func makeRaw(f *os.File) (back func(), err error) {
	fd := int(f.Fd())
	old, err := term.MakeRaw(fd)
	if err != nil {
		return nil, err
	}
	back = func() { _ = term.Restore(fd, old) } // a terminal that has gone needs nothing
	modes, err := unix.IoctlGetTermios(fd, getModes)
	if err == nil {
		modes.Cc[unix.VMIN], modes.Cc[unix.VTIME] = 0, uint8(readTime/(100*time.Millisecond))
		err = unix.IoctlSetTermios(fd, setModes, modes)
	}
	if err != nil {
		back()
		return nil, err
	}
	return back, nil
}
