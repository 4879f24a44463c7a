package terminal

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// How progress is shown.
const (
	barWidth  = 30
	barEvery  = 100 * time.Millisecond
	clearLine = "\r\x1b[K"
)

// Progress shows on one line of a terminal how far some work is. A nil one shows nothing. Safe for concurrent use.
type Progress struct {
	w     io.Writer
	width func() int

	mu    sync.Mutex
	last  time.Time
	drawn string // what is on the line
}

// NewProgress is nil if w is no terminal, or one whose cursor does not move. getenv is os.Getenv.
func NewProgress(w any, getenv func(string) string) *Progress {
	if !Is(w) || !moves(getenv("TERM")) {
		return nil
	}
	f := w.(*os.File)
	return &Progress{w: f, width: func() int { width, _ := size(f); return width }}
}

// Show draws a bar of how much of total is done, and text; ten times a second at most, since work is rarely done to be watched.
func (p *Progress) Show(done, total int64, format string, args ...any) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if time.Since(p.last) < barEvery {
		return
	}
	p.last = time.Now()
	p.draw(barText(p.width(), done, total, fmt.Sprintf(format, args...)))
}

// barText is a bar and text, in less than width columns, so that the cursor stays on the line. The bar has at most a third of them.
func barText(width int, done, total int64, text string) string {
	bar := ""
	if cells := int64(min(barWidth, width/3)); cells >= 5 && total > 0 {
		full := int(float64(cells) * min(1, float64(max(done, 0))/float64(total)))
		bar = "[" + strings.Repeat("#", full) + strings.Repeat(".", int(cells)-full) + "] "
	}
	return Cut(bar+text, width-1)
}

// draw replaces what is on the line. p.mu is held.
func (p *Progress) draw(line string) {
	if line == p.drawn {
		return
	}
	p.drawn = line
	_, _ = io.WriteString(p.w, clearLine+line) // the work goes on without it
}

// Aside runs f, which prints something, with the line empty; then it is drawn again.
func (p *Progress) Aside(f func()) {
	if p == nil {
		f()
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	line := p.drawn
	p.draw("")
	f()
	p.draw(line)
}

// End leaves the line empty. More may follow.
func (p *Progress) End() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.draw("")
	p.last = time.Time{}
}
