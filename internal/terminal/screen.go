// Package terminal draws on a terminal: a view that takes all of it until it is closed, and a line that says how far some
// work is. It writes nothing of what it is given but printable characters.
package terminal

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"sync"
	"time"

	"golang.org/x/term"
)

// ErrNone says that there is no terminal that a view could be drawn on.
var ErrNone = errors.New("terminal: none that a view can be drawn on")

// What a view begins with (the other screen, no cursor, lines that do not wrap), and how that is taken back.
const (
	enter = "\x1b[?1049h\x1b[?25l\x1b[?7l\x1b[2J"
	leave = "\x1b[m\x1b[?7h\x1b[?25h\x1b[?1049l"
)

// Is says whether w is a terminal.
func Is(w any) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// readTime is how long a read of keys waits for one.
const readTime = 100 * time.Millisecond

// moves says whether the cursor of a terminal of that type, as in $TERM, can be moved.
func moves(kind string) bool { return kind != "" && kind != "dumb" }

// Screen is a terminal that we have taken over. Close gives it back; so does a panic in a function of Go. Draw and Size are for
// one goroutine.
type Screen struct {
	out     *os.File
	colour  bool
	keys    chan Key
	resized chan os.Signal
	over    chan struct{} // closed by Close
	restore func()
	reading sync.WaitGroup
	work    sync.WaitGroup

	drawn         []string // the lines that are on the screen
	width, height int      // when they were drawn
}

// Open takes over the terminal out, and in, if that is one too, for keys. It fails with ErrNone if out is none, or one whose cursor
// does not move. getenv is os.Getenv: TERM, and NO_COLOR, which turns colours off.
func Open(in, out any, getenv func(string) string) (*Screen, error) {
	if !canTakeOver || !Is(out) || !moves(getenv("TERM")) {
		return nil, ErrNone
	}
	s := &Screen{
		out: out.(*os.File), colour: getenv("NO_COLOR") == "",
		keys: make(chan Key), resized: make(chan os.Signal, 1), over: make(chan struct{}),
	}
	raw := func() {}
	if Is(in) {
		back, err := makeRaw(in.(*os.File))
		if err != nil {
			return nil, err
		}
		raw = back
	}
	s.restore = sync.OnceFunc(func() {
		_, _ = io.WriteString(s.out, leave) // who cannot be told is not there
		raw()
	})
	signal.Notify(s.resized, resizeSignals...)
	if Is(in) {
		s.reading.Go(func() { s.guard(func() { s.read(in.(*os.File)) }) })
	}
	if _, err := io.WriteString(s.out, enter); err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// Close gives the terminal back as it was, and waits for the functions of Go. A second call does nothing.
func (s *Screen) Close() {
	signal.Stop(s.resized)
	select {
	case <-s.over:
	default:
		close(s.over)
	}
	s.reading.Wait() // a read under way would wait for a whole line from now on
	s.restore()
	s.work.Wait()
}

// Go runs f on a goroutine that Close waits for. If f panics, the terminal is given back before the program ends.
func (s *Screen) Go(f func()) { s.work.Go(func() { s.guard(f) }) }

func (s *Screen) guard(f func()) {
	done := false
	defer func() {
		if !done {
			s.restore()
		}
	}()
	f()
	done = true
}

// Keys are the keys that are pressed.
func (s *Screen) Keys() <-chan Key { return s.keys }

// Resized gets something when the size has changed.
func (s *Screen) Resized() <-chan os.Signal { return s.resized }

// read passes on keys until Close. A read of a terminal that makeRaw has seen to gives up after a moment.
func (s *Screen) read(in *os.File) {
	var keys keyReader
	typed := make([]byte, 256)
	for {
		began := time.Now()
		n, err := in.Read(typed)
		if err != nil && !errors.Is(err, io.EOF) { // which here means that nothing came
			return
		}
		for _, k := range keys.read(typed[:n]) {
			select {
			case s.keys <- k:
			case <-s.over:
				return
			}
		}
		var pause time.Duration
		if n == 0 && time.Since(began) < readTime/2 {
			pause = readTime // a terminal that has gone does not make us wait
		}
		select {
		case <-s.over:
			return
		case <-time.After(pause):
		}
	}
}

// Size is how many columns and lines there are; 80 and 24 where the terminal does not say.
func (s *Screen) Size() (width, height int) { return size(s.out) }

func size(f *os.File) (width, height int) {
	width, height, err := term.GetSize(int(f.Fd()))
	if err != nil || width <= 0 || height <= 0 {
		return 80, 24
	}
	return width, height
}

// Draw shows lines from the top on, as many and as much of each as there is room. Of what is there already nothing is written again.
func (s *Screen) Draw(lines []Line) error {
	width, height := s.Size()
	var b strings.Builder
	if width != s.width || height != s.height {
		b.WriteString("\x1b[m\x1b[2J")
		s.drawn, s.width, s.height = make([]string, height), width, height
	}
	for i := range s.drawn {
		var line string
		if i < len(lines) {
			line = lines[i].Cut(width).styled(s.colour)
		}
		if line != s.drawn[i] {
			s.drawn[i] = line
			fmt.Fprintf(&b, "\x1b[%d;1H\x1b[K%s", i+1, line) // erased first: behind the last column the cursor is still in it
		}
	}
	_, err := io.WriteString(s.out, b.String())
	return err
}

// Clear makes the next Draw draw everything.
func (s *Screen) Clear() { s.width = 0 }
