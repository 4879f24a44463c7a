package main

import (
	"fmt"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// topColumn is a column of the connections. Where they do not all fit, those of the highest rank are left out first.
type topColumn struct {
	title string
	width int // at most; a column is no wider than what is in it
	right bool
	rank  int
	text  func(m *topModel, c *node.ConnectionInfo) string
}

var topColumns = []topColumn{
	{"DIR", 3, false, 0, func(_ *topModel, c *node.ConnectionInfo) string { return directions[c.Direction] }},
	{"PEER", 12, false, 0, func(_ *topModel, c *node.ConnectionInfo) string { return short(c.Peer) }},
	{"CLASS", 8, false, 6, func(_ *topModel, c *node.ConnectionInfo) string { return c.AddressClass }},
	{"AGE", 7, true, 4, func(_ *topModel, c *node.ConnectionInfo) string { return ageText(c.AgeSec) }},
	{"RTT", 6, true, 3, func(_ *topModel, c *node.ConnectionInfo) string { return roundTripText(c.RoundTripUS) }},
	{"STR", 4, true, 5, func(_ *topModel, c *node.ConnectionInfo) string { return number(c.Streams) }},
	{"IN/S", 7, true, 1, func(m *topModel, c *node.ConnectionInfo) string { return m.peerRate(c, messageRate.incoming) }},
	{"OUT/S", 7, true, 1, func(m *topModel, c *node.ConnectionInfo) string { return m.peerRate(c, messageRate.outgoing) }},
	{"ADDRESS", 46, false, 2, func(_ *topModel, c *node.ConnectionInfo) string { return place(c.Address) }},
	{"AGENT", 52, false, 7, func(_ *topModel, c *node.ConnectionInfo) string { return quoted(c.UserAgent) }},
}

// narrowest is how little of a column there may be before it, or one of a higher rank, is left out.
const narrowest = 10

func (r messageRate) incoming() float64 { return r.in }
func (r messageRate) outgoing() float64 { return r.out }

func (m *topModel) peerRate(c *node.ConnectionInfo, which func(messageRate) float64) string {
	if !m.rates.known {
		return "-"
	}
	return perSecond(which(m.rates.peers[c.Peer]))
}

// connectionTable is the head of the table of connections, and its rows, in width columns.
func (m *topModel) connectionTable(width int) (head terminal.Line, rows []terminal.Line) {
	all := m.connections()
	cells := make([][]string, len(all))
	widths := make([]int, len(topColumns))
	for i := range all {
		for n, col := range topColumns {
			text := col.text(m, &all[i])
			cells[i] = append(cells[i], text)
			widths[n] = min(col.width, max(widths[n], len(text), len(col.title)))
		}
	}
	fitColumns(widths, width-2)
	head = tableLine(widths, terminal.Dim, func(n int) string { return topColumns[n].title })
	for _, row := range cells {
		rows = append(rows, tableLine(widths, terminal.Plain, func(n int) string { return row[n] }))
	}
	return head, rows
}

// fitColumns makes the columns fit into width: the last one narrower, and if that is not enough those of the highest rank go.
func fitColumns(widths []int, width int) {
	for {
		total, worst := -2, -1
		for n, w := range widths {
			if w == 0 {
				continue
			}
			total += w + 2
			if worst < 0 || topColumns[n].rank > topColumns[worst].rank {
				worst = n
			}
		}
		over := total - width
		if over <= 0 || topColumns[worst].rank == 0 {
			return
		}
		if w := widths[worst] - over; topColumns[worst].width > narrowest && w >= narrowest {
			widths[worst] = w
			return
		}
		widths[worst] = 0
	}
}

func tableLine(widths []int, style terminal.Style, cell func(n int) string) terminal.Line {
	line := terminal.Line{span("  ")}
	for n, w := range widths {
		if w == 0 {
			continue
		}
		text := terminal.Cut(cell(n), w)
		if topColumns[n].right {
			text = fmt.Sprintf("%*s  ", w, text)
		} else {
			text = fmt.Sprintf("%-*s  ", w, text)
		}
		line = append(line, terminal.Span{Text: text, Style: style})
	}
	return line
}
