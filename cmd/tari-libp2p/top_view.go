package main

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// view is the screen of top: width columns, height lines. It changes nothing of the model but the first lines of lists, which it
// brings into their bounds.
func (m *topModel) view(width, height int) []terminal.Line {
	if m.help {
		return append(m.title(width), topHelp...)
	}
	lines := append(m.title(width), m.summary(width)...)
	room := height - len(lines) - 1
	for _, l := range m.lists(width, room) {
		lines = append(lines, l...)
	}
	for len(lines) < height-1 {
		lines = append(lines, nil)
	}
	return append(lines[:max(0, height-1)], topKeys)
}

// plain is all that there is, without bounds: for what is no terminal.
func (m *topModel) plain() []terminal.Line {
	lines := append(m.title(0), m.summary(1<<20)...)
	for list := range topLists {
		if title, rows := m.list(list, 1<<20); len(rows) > 0 {
			lines = append(append(lines, title...), rows...)
		}
	}
	return lines
}

var topKeys = terminal.Text(terminal.Dim, " q quit   arrows scroll   tab next list   s sort   p pause   ? help")

var topHelp = []terminal.Line{
	nil,
	terminal.Text(terminal.Plain, "  q, Ctrl-C            quit"),
	terminal.Text(terminal.Plain, "  up, down, k, j       scroll; a page: PgUp, PgDn; to the ends: Home, End, g, G"),
	terminal.Text(terminal.Plain, "  Tab                  which list scrolls and has the most room"),
	terminal.Text(terminal.Plain, "  s                    sort connections by messages, age, round trip, streams, peer"),
	terminal.Text(terminal.Plain, "  p                    pause, and go on"),
	terminal.Text(terminal.Plain, "  ?                    this; any key ends it"),
	nil,
	terminal.Text(terminal.Plain, "  Messages and their rates are counted by peer. A round trip is measured every"),
	terminal.Text(terminal.Plain, "  ten seconds while somebody looks. What peers say of themselves is quoted."),
}

// title is the first line: who, in what state, and whether what is shown is of now.
func (m *topModel) title(width int) []terminal.Line {
	left, right := " tari-libp2p   waiting for a node", "every "+m.every.String()+" "
	if !m.now.Time.IsZero() {
		left = " tari-libp2p   " + m.now.Network + "   up " + ageText(m.now.UptimeSec)
		right += "  " + m.now.Time.Local().Format(time.TimeOnly) + " "
	}
	if m.paused {
		right = "PAUSED   " + right
	}
	gap := strings.Repeat(" ", max(2, width-len(left)-len(right)))
	lines := []terminal.Line{terminal.Text(terminal.Reverse, "%s", left+gap+right)}
	if width == 0 { // no terminal
		lines = []terminal.Line{terminal.Text(terminal.Plain, "%s", strings.TrimSpace(left+"   "+m.now.Time.Local().Format(time.DateTime)))}
	}
	if m.lost != "" {
		lines = append(lines, terminal.Text(terminal.Bad, " no answer since %s; still trying: %s", m.since.Local().Format(time.TimeOnly), m.lost))
	}
	return lines
}

// summary are the lines below the title.
func (m *topModel) summary(width int) []terminal.Line {
	if m.now.Time.IsZero() {
		return []terminal.Line{label("folder", span("%s", m.dir))}
	}
	o := &m.now
	lines := []terminal.Line{m.nodeLine(), m.addressLine(width), m.messageLine()}
	book := label("peers", span("%s in the book, %s reached; %s, %d allowed", number(o.Book.Peers), number(o.Book.Reached), count(o.Book.Seeds, "seed"), o.Book.Allowed))
	if o.Book.Banned > 0 {
		book = append(book, terminal.Span{Text: fmt.Sprintf("; %s banned", number(o.Book.Banned)), Style: terminal.Warn})
	}
	lines = append(lines, book)
	if len(o.Refused) > 0 {
		lines = append(lines, label("refused", terminal.Span{Text: countsText(o.Refused), Style: terminal.Warn}))
	}
	return lines
}

func (m *topModel) nodeLine() terminal.Line {
	line := label("node", span("%s  ", short(m.now.PublicKey)))
	c := m.now.Connectivity
	if c == nil {
		return append(line, span("%s", count(len(m.now.Connections), "connection")))
	}
	style := map[string]terminal.Style{"online": terminal.Good, "offline": terminal.Bad}[c.State]
	line = append(line, terminal.Span{Text: c.State, Style: cmp.Or(style, terminal.Warn)},
		span(", %s and %s; %d out, %d in", count(c.Nodes, "node"), count(c.Clients, "wallet"), c.Outbound, c.Inbound))
	switch {
	case c.NoLink:
		line = append(line, terminal.Span{Text: "; this machine has no network", Style: terminal.Bad})
	case c.Paused:
		line = append(line, terminal.Span{Text: "; nobody answers", Style: terminal.Warn})
	case c.Dialing > 0:
		line = append(line, span("; dialing %d", c.Dialing))
	}
	return line
}

// addressLine has as many addresses as there is room for: those that we claim first, with what is known of them.
func (m *topModel) addressLine(width int) terminal.Line {
	states := map[string]string{}
	for _, p := range m.now.Public {
		states[p.Address] = " " + string(p.State)
	}
	line := label("address")
	for i, full := range m.now.Addresses {
		_, addr, _ := strings.Cut(full, "::")
		text := addr + states[addr]
		if i > 0 {
			text = "  " + text
		}
		rest := fmt.Sprintf("  and %d more", len(m.now.Addresses)-i)
		if i > 0 && line.Width()+len(text)+len(rest) > width {
			return append(line, span("%s", rest))
		}
		line = append(line, span("%s", text))
	}
	if len(m.now.Addresses) == 0 {
		line = append(line, span("none"))
	}
	return line
}

func (m *topModel) messageLine() terminal.Line {
	c := m.now.Messages
	line := label("messages", span("in %s", number(c.Received)), span("%s", m.rateText(m.rates.all.in)),
		span("   out %s", number(c.Sent)), span("%s", m.rateText(m.rates.all.out)))
	if c.Queued > 0 {
		line = append(line, span("   %s queued", number(c.Queued)))
	}
	if len(c.Dropped) > 0 {
		line = append(line, terminal.Span{Text: "   dropped: " + countsText(c.Dropped), Style: terminal.Warn})
	}
	if len(m.past) > 1 {
		line = append(line, span("   "), terminal.Span{Text: sparks(m.past), Style: terminal.Mark})
	}
	return line
}

func (m *topModel) rateText(r float64) string {
	if !m.rates.known {
		return ""
	}
	return " (" + perSecond(r) + "/s)"
}

// lists are the lists in room lines.
func (m *topModel) lists(width, room int) (out [][]terminal.Line) {
	var titles, rows [topLists][]terminal.Line
	var want [topLists]int
	for l := range topLists {
		titles[l], rows[l] = m.list(l, width)
		want[l] = len(rows[l])
	}
	spacer := room >= 18
	head := func(l topList) int {
		if spacer {
			return len(titles[l]) + 1
		}
		return len(titles[l])
	}
	lines := shareLines(room, m.focus, want, head)
	for l, n := range lines {
		if n < 0 {
			continue
		}
		from := max(0, min(m.from[l], len(rows[l])-n))
		m.from[l] = from
		title := titles[l]
		if n < len(rows[l]) {
			title[0] = append(title[0], terminal.Span{Text: fmt.Sprintf("   %d to %d of %d", from+min(1, n), from+n, len(rows[l])), Style: terminal.Dim})
		}
		if topList(l) == m.focus {
			title[0] = append(terminal.Line{{Text: ">", Style: terminal.Mark}}, title[0]...)
		} else {
			title[0] = append(terminal.Line{span(" ")}, title[0]...)
		}
		if spacer {
			out = append(out, []terminal.Line{nil})
		}
		out = append(out, title, rows[l][from:from+n])
	}
	return out
}

// shareLines says how many lines each list gets besides the head that it needs; -1 is none at all, and no head. The list in focus comes
// first; then each gets a few, and then each what it wants, connections before events before bans.
func shareLines(room int, focus topList, want [topLists]int, head func(topList) int) (lines [topLists]int) {
	order := slices.DeleteFunc([]topList{listConnections, listEvents, listBans}, func(l topList) bool { return l == focus })
	order = append([]topList{focus}, order...)
	for _, l := range order {
		lines[l] = -1
		if l == listBans && l != focus && want[l] == 0 {
			continue
		}
		if first := min(want[l], 1); l == focus || head(l)+first <= room {
			lines[l] = first
			room -= head(l) + first
		}
	}
	for _, most := range []int{4, 1 << 30} {
		for _, l := range order {
			if lines[l] >= 0 {
				more := max(0, min(want[l], most)-lines[l])
				more = max(0, min(more, room))
				lines[l] += more
				room -= more
			}
		}
	}
	return lines
}

// list is the head of a list, and all of its lines.
func (m *topModel) list(l topList, width int) (title, rows []terminal.Line) {
	switch l {
	case listBans:
		title = []terminal.Line{terminal.Text(terminal.Bold, "BANS %s", number(m.now.Book.Banned))}
		for _, b := range m.now.Bans {
			rows = append(rows, banLine(b, m.now.Time))
		}
	case listEvents:
		title = []terminal.Line{terminal.Text(terminal.Bold, "EVENTS")}
		for _, e := range slices.Backward(m.now.Events) {
			rows = append(rows, eventLine(e))
		}
	default:
		title = []terminal.Line{terminal.Text(terminal.Bold, "CONNECTIONS %s by %s", number(len(m.now.Connections)), m.order)}
		head, cells := m.connectionTable(width)
		if len(cells) > 0 {
			title = append(title, head)
		}
		rows = cells
	}
	return title, rows
}

func banLine(b node.Banned, now time.Time) terminal.Line {
	left := "forever"
	if d := b.Banned.Until.Sub(now); d < 100*365*24*time.Hour {
		left = "for " + ageText(int64(d/time.Second)) + " more"
	}
	return terminal.Line{span("  %s  ", short(b.PublicKey)), span("%-18s  ", left), {Text: quoted(b.Banned.Reason), Style: terminal.Warn}}
}

// eventLine is an event on one line.
func eventLine(e node.Event) terminal.Line {
	var parts []string
	for _, part := range []string{directions[e.Direction], short(e.Peer), place(e.Address), e.State, e.Path} {
		if part != "" {
			parts = append(parts, part)
		}
	}
	if e.Nodes != nil {
		parts = append(parts, "connected to "+count(*e.Nodes, "node"))
	}
	if e.Seconds > 0 {
		parts = append(parts, banText(e.Seconds))
	}
	if len(e.Refused) > 0 {
		parts = append(parts, countsText(e.Refused))
	}
	for _, said := range []string{e.UserAgent, e.Error} {
		if said != "" {
			parts = append(parts, quoted(said))
		}
	}
	style := terminal.Plain
	switch e.Kind {
	case node.EventConnected:
		style = terminal.Good
	case node.EventBanned, node.EventBookFailed:
		style = terminal.Bad
	case node.EventRefused, node.EventRefusals, node.EventDialFailed, node.EventSpared:
		style = terminal.Warn
	}
	return terminal.Line{
		span("  %s ", e.Time.Local().Format(time.TimeOnly)),
		{Text: fmt.Sprintf("%-13s ", strings.ReplaceAll(string(e.Kind), "_", " ")), Style: style},
		span("%s", strings.Join(parts, " ")),
	}
}

// Words for people, short ones.

func span(format string, args ...any) terminal.Span {
	return terminal.Span{Text: fmt.Sprintf(format, args...)}
}

func label(name string, spans ...terminal.Span) terminal.Line {
	return append(terminal.Line{{Text: fmt.Sprintf(" %-9s", name), Style: terminal.Dim}}, spans...)
}

// quoted is a peer's text: in quotes, and ASCII, so that each character takes one column.
func quoted(text string) string { return strconv.QuoteToASCII(text) }

// short is the beginning of a key, enough to name it to a command.
func short(key string) string { return key[:min(len(key), 12)] }

var directions = map[string]string{"inbound": "in", "outbound": "out"}

// place is a multiaddr of an IP address or a name and a TCP port as one writes it; others are left as they are.
func place(addr string) string {
	parts := strings.Split(addr, "/")
	if len(parts) != 5 || parts[3] != "tcp" {
		return addr
	}
	switch parts[1] {
	case "ip6":
		return "[" + parts[2] + "]:" + parts[4]
	case "ip4", "dns", "dns4", "dns6":
		return parts[2] + ":" + parts[4]
	}
	return addr
}

// ageText is a time in its two largest units.
func ageText(seconds int64) string {
	switch {
	case seconds < 60:
		return fmt.Sprintf("%ds", seconds)
	case seconds < 3600:
		return fmt.Sprintf("%dm%02ds", seconds/60, seconds%60)
	case seconds < 24*3600:
		return fmt.Sprintf("%dh%02dm", seconds/3600, seconds/60%60)
	}
	return fmt.Sprintf("%dd%02dh", seconds/86400, seconds/3600%24)
}

// number is a count with its thousands apart.
func number[T int | uint64](n T) string {
	text := strconv.FormatUint(uint64(n), 10)
	for i := len(text) - 3; i > 0; i -= 3 {
		text = text[:i] + "," + text[i:]
	}
	return text
}

func perSecond(r float64) string {
	if r < 10 {
		return strconv.FormatFloat(r, 'f', 1, 64)
	}
	return number(uint64(r + 0.5))
}

func roundTripText(us int64) string {
	switch {
	case us == 0:
		return "-"
	case us < 1000:
		return fmt.Sprintf("%dus", us)
	case us < 10_000:
		return fmt.Sprintf("%.1fms", float64(us)/1000)
	case us < 10_000_000:
		return fmt.Sprintf("%dms", us/1000)
	}
	return fmt.Sprintf("%ds", us/1_000_000)
}

// countsText is what was counted, the most first.
func countsText[K cmp.Ordered, N int | uint64](counts map[K]N) string {
	keys := slices.SortedFunc(maps.Keys(counts), func(x, y K) int { return cmp.Or(cmp.Compare(counts[y], counts[x]), cmp.Compare(x, y)) })
	var parts []string
	for _, k := range keys {
		parts = append(parts, fmt.Sprintf("%s %v", number(uint64(counts[k])), k))
	}
	return strings.Join(parts, ", ")
}

// sparks are values as a row of bars, as high as the greatest is.
func sparks(values []float64) string {
	bars := []rune("▁▂▃▄▅▆▇█")
	most := max(slices.Max(values), 1)
	var b strings.Builder
	for _, v := range values {
		b.WriteRune(bars[int(v/most*float64(len(bars)-1)+0.5)])
	}
	return b.String()
}
