package webstatus

import (
	"bytes"
	"fmt"
	"html"
)

// markup is HTML under way. html/template would do, but it finds methods by their names, so that the linker must keep all those of all
// types: a fifth of the program.
type markup struct{ out bytes.Buffer }

// literal is HTML that stands in this package: no text of anybody else can be one by accident.
type literal string

// put writes HTML with an argument for each %v, which may stand between tags or in an attribute's double quotes, not in a tag's or an
// attribute's name, a URL or a script. It is escaped, whatever it is.
func (m *markup) put(format literal, args ...any) {
	for i, arg := range args {
		args[i] = html.EscapeString(fmt.Sprint(arg))
	}
	fmt.Fprintf(&m.out, string(format), args...)
}

// raw writes HTML as it is.
func (m *markup) raw(text literal) { m.out.WriteString(string(text)) }

// either is one of two.
func either(is bool, yes, no literal) literal {
	if is {
		return yes
	}
	return no
}

// column is one of a table: its title, and what class its cells have.
type column struct{ title, class literal }

// table writes a table. The first cell of a row is its head, a key. The roles say what it is where a narrow window makes it something else.
func (m *markup) table(labelledBy literal, columns []column, rows [][]any) {
	m.put(`<table class="cards" role="table" aria-labelledby="%v">`+"\n"+`<thead role="rowgroup"><tr role="row">`, labelledBy)
	for _, c := range columns {
		m.put(`<th role="columnheader" scope="col">%v</th>`, c.title)
	}
	m.raw("</tr></thead>\n<tbody role=\"rowgroup\">\n")
	for _, row := range rows {
		m.put(`<tr role="row"><th role="rowheader" scope="row"><span class="key" title="%v">%v</span></th>`, row[0], row[0])
		for i, cell := range row[1:] {
			m.put(`<td role="cell" data-label="%v" class="%v"><bdi>%v</bdi></td>`, columns[i+1].title, columns[i+1].class, cell)
		}
		m.raw("</tr>\n")
	}
	m.raw("</tbody>\n</table>\n")
}
