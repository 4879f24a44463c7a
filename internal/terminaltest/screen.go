package terminaltest

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// Picture is what one sees.
type Picture struct {
	Text   string // the lines, without blanks at their ends
	Other  bool   // the other screen is shown: the one of programs that take all of it
	Cursor bool   // is shown

	Written string // all that made it
}

// screen is as much of a VT100 as this module uses. What it does not know it notes.
type screen struct {
	width, height int
	cells         [][]rune
	x, y          int
	other, hidden bool
	rest          []byte // of what is not complete
	unknown       []string
}

func (s *screen) resize(width, height int) {
	s.width, s.height = width, height
	s.clear()
}

func (s *screen) clear() {
	s.cells = make([][]rune, s.height)
	for i := range s.cells {
		s.cells[i] = []rune(strings.Repeat(" ", s.width))
	}
	s.x, s.y = 0, 0
}

func (s *screen) picture() Picture {
	var lines []string
	for _, row := range s.cells {
		lines = append(lines, strings.TrimRight(string(row), " "))
	}
	return Picture{Text: strings.Join(lines, "\n"), Other: s.other, Cursor: !s.hidden}
}

func (s *screen) write(b []byte) {
	s.rest = append(s.rest, b...)
	for len(s.rest) > 0 {
		n := s.one(s.rest)
		if n == 0 {
			return
		}
		s.rest = s.rest[n:]
	}
}

// one obeys the first character or sequence of b, and says how long it is; 0 if it is not all there.
func (s *screen) one(b []byte) int {
	switch {
	case b[0] == 0x1b:
		end := 2
		for end < len(b) && (b[end] < '@' || b[end] > '~') {
			end++
		}
		if end >= len(b) {
			return 0
		}
		s.sequence(string(b[1 : end+1]))
		return end + 1
	case b[0] == '\r':
		s.x = 0
		return 1
	case b[0] == '\n':
		s.y++
		return 1
	case b[0] == '\t':
		s.x = min(s.x/8*8+8, s.width-1)
		return 1
	case !utf8.FullRune(b):
		return 0
	}
	r, n := utf8.DecodeRune(b)
	if r < ' ' || r == utf8.RuneError {
		s.unknown = append(s.unknown, string(b[:n]))
	} else if s.y < s.height && s.x < s.width {
		s.cells[s.y][s.x] = r
		s.x = min(s.x+1, s.width-1) // lines do not wrap
	}
	return n
}

func (s *screen) sequence(text string) {
	switch text {
	case "[?1049h":
		s.other = true
		s.clear()
	case "[?1049l":
		s.other = false
		s.clear()
	case "[?25l":
		s.hidden = true
	case "[?25h":
		s.hidden = false
	case "[?7l", "[?7h":
	case "[2J":
		s.clear()
	case "[K":
		if s.y < s.height {
			for x := s.x; x < s.width; x++ {
				s.cells[s.y][x] = ' '
			}
		}
	default:
		if strings.HasPrefix(text, "[") && strings.Trim(text[1:], "0123456789;") == "m" {
			return // a style
		}
		if n, err := fmt.Sscanf(text, "[%d;%dH", &s.y, &s.x); n != 2 || err != nil {
			s.unknown = append(s.unknown, text)
			return
		}
		s.x, s.y = s.x-1, s.y-1
	}
}
