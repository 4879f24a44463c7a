// Package terminaltest is a terminal for tests: the kernel's pseudo terminal, and a screen that knows as much of what terminals obey
// as this module uses.
package terminaltest

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// patience is how long a test waits for what must come.
const patience = 2 * time.Minute

// Terminal is a pseudo terminal, and what is on its screen.
type Terminal struct {
	File *os.File // the side of the program

	t      *testing.T
	master *os.File
	mu     sync.Mutex
	change *sync.Cond
	raw    []byte
	screen screen
}

// New opens a terminal, or skips the test where there is none. The test's end closes it.
func New(t *testing.T, width, height int) *Terminal {
	t.Helper()
	master, err := os.OpenFile("/dev/ptmx", os.O_RDWR, 0)
	if err != nil {
		t.Skip(err)
	}
	m := &Terminal{t: t, master: master}
	m.change = sync.NewCond(&m.mu)
	number := 0
	m.control(func(fd int) (err error) {
		if number, err = unix.IoctlGetInt(fd, unix.TIOCGPTN); err != nil {
			return err
		}
		return unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	})
	if m.File, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0); err != nil {
		master.Close()
		t.Skip(err)
	}
	m.Resize(width, height)
	var reading sync.WaitGroup
	reading.Go(m.read)
	t.Cleanup(func() {
		m.File.Close()
		m.master.Close()
		reading.Wait()
	})
	return m
}

// control leaves the master in the hands of the poller, so that closing it ends its reader.
func (m *Terminal) control(f func(fd int) error) {
	m.t.Helper()
	conn, err := m.master.SyscallConn()
	if err == nil {
		var inner error
		err = conn.Control(func(fd uintptr) { inner = f(int(fd)) })
		if err == nil {
			err = inner
		}
	}
	if err != nil {
		m.t.Fatal(err)
	}
}

func (m *Terminal) read() {
	chunk := make([]byte, 4096)
	for {
		n, err := m.master.Read(chunk)
		m.mu.Lock()
		m.raw = append(m.raw, chunk[:n]...)
		m.screen.write(chunk[:n])
		m.change.Broadcast()
		m.mu.Unlock()
		if err != nil {
			return
		}
	}
}

// Resize sets the size, as a window manager would. Only a process that the terminal controls gets a signal.
func (m *Terminal) Resize(width, height int) {
	m.t.Helper()
	m.mu.Lock() // what is drawn for the new size comes onto the new screen
	defer m.mu.Unlock()
	m.control(func(fd int) error {
		return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, &unix.Winsize{Row: uint16(height), Col: uint16(width)})
	})
	m.screen.resize(width, height)
}

// Type types keys.
func (m *Terminal) Type(keys string) {
	m.t.Helper()
	if _, err := m.master.WriteString(keys); err != nil {
		m.t.Fatal(err)
	}
}

// Wait waits until ok says yes to what is on the screen.
func (m *Terminal) Wait(what string, ok func(Picture) bool) {
	m.t.Helper()
	late := false
	timer := time.AfterFunc(patience, func() {
		m.mu.Lock()
		defer m.mu.Unlock()
		late = true
		m.change.Broadcast()
	})
	defer timer.Stop()
	m.mu.Lock()
	defer m.mu.Unlock()
	for !ok(m.picture()) {
		if late {
			m.t.Fatalf("never: %s\n%s\n%q", what, m.screen.picture().Text, m.raw)
		}
		m.change.Wait()
	}
	if len(m.screen.unknown) > 0 {
		m.t.Errorf("%s: sequences that this module does not use: %q", what, m.screen.unknown)
	}
}

// WaitFor waits until all of the texts are on the screen.
func (m *Terminal) WaitFor(texts ...string) {
	m.t.Helper()
	m.Wait(fmt.Sprintf("%q on the screen", texts), func(p Picture) bool {
		return !slices.ContainsFunc(texts, func(text string) bool { return !strings.Contains(p.Text, text) })
	})
}

// Raw is everything that was written. A function that Wait calls has it as Picture.Written.
func (m *Terminal) Raw() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return string(m.raw)
}

// picture is called with m.mu held.
func (m *Terminal) picture() Picture {
	p := m.screen.picture()
	p.Written = string(m.raw)
	return p
}

// Modes are the modes of the terminal: whether keys are shown, and so on.
func (m *Terminal) Modes() (modes unix.Termios) {
	m.t.Helper()
	m.control(func(fd int) error {
		got, err := unix.IoctlGetTermios(fd, unix.TCGETS)
		if err == nil {
			modes = *got
		}
		return err
	})
	return modes
}
