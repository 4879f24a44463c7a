package webstatus

import (
	"fmt"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// visible shows a peer's text: what is not printable in its \u or \x form, and no more than so many characters. It is not HTML yet.
func visible(text string, most int) string {
	var out strings.Builder
	for i, n := 0, 0; i < len(text); n++ {
		if n == most {
			out.WriteString("…")
			break
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if unicode.IsPrint(r) && (r != utf8.RuneError || size > 1) {
			out.WriteRune(r)
		} else {
			quoted := strconv.Quote(text[i : i+size])
			out.WriteString(quoted[1 : len(quoted)-1])
		}
		i += size
	}
	return out.String()
}

// ascii writes JSON without a character that a terminal could take for a command: outside of strings it has none.
func ascii(text []byte) []byte {
	out := make([]byte, 0, len(text))
	for _, r := range string(text) {
		switch {
		case r >= ' ' && r <= '~':
			out = append(out, byte(r))
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			out = fmt.Appendf(out, `\u%04x\u%04x`, high, low)
		default:
			out = fmt.Appendf(out, `\u%04x`, r)
		}
	}
	return out
}

// tookText shows how long a stage took.
func tookText(us int64) string {
	switch {
	case us < 1000:
		return fmt.Sprintf("%d µs", us)
	case us < 1_000_000:
		return digits(float64(us)/1e3) + " ms"
	default:
		return digits(float64(us)/1e6) + " s"
	}
}

// digits shows a number above 0 with two digits, or all of those before the point.
func digits(x float64) string {
	if x < 9.95 {
		return strconv.FormatFloat(x, 'f', 1, 64)
	}
	return strconv.FormatFloat(x, 'f', 0, 64)
}

// ageText shows a time in its two largest units.
func ageText(sec int64) string {
	const minute, hour, day = 60, 60 * 60, 24 * 60 * 60
	switch {
	case sec < minute:
		return fmt.Sprintf("%d s", sec)
	case sec < hour:
		return fmt.Sprintf("%d min %d s", sec/minute, sec%minute)
	case sec < day:
		return fmt.Sprintf("%d h %d min", sec/hour, sec%hour/minute)
	}
	return fmt.Sprintf("%d d %d h", sec/day, sec%day/hour)
}

// forever is from when on the end of a ban is called so: nobody will see it.
const forever = 100 * 365 * 24 * time.Hour

func untilText(now, until time.Time) string {
	left := until.Sub(now)
	switch {
	case left > forever:
		return "for ever"
	case left <= 0:
		return "over"
	}
	return "for " + ageText(int64(left/time.Second))
}

// bytesText shows an amount in units of 1024.
func bytesText(n uint64) string {
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	size, unit := float64(n), 0
	for size >= 1024 && unit < len(units)-1 {
		size, unit = size/1024, unit+1
	}
	if unit == 0 {
		return fmt.Sprintf("%d B", n)
	}
	return digits(size) + " " + units[unit]
}
