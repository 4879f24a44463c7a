package booktest

import (
	"fmt"
	"slices"
	"strings"
)

// state is what a change can leave of a peer.
type state struct {
	Known      bool   // has an address: added or claimed, and not removed since
	Claim      int64  // the time of its signed claim; 0: none
	Banned     bool   // for ever
	Generation uint64 // unbans
}

func (s state) String() string {
	return fmt.Sprintf("%t %d %t %d", s.Known, s.Claim, s.Banned, s.Generation)
}

func parseState(text string) (n int, s state, err error) {
	_, err = fmt.Sscanf(text, "%d %t %d %t %d", &n, &s.Known, &s.Claim, &s.Banned, &s.Generation)
	return n, s, err
}

// change is one thing that a child does to a peer.
type change string

const (
	add    change = "add"
	claim  change = "claim"
	ban    change = "ban"
	unban  change = "unban"
	remove change = "remove"
)

var changes = []change{add, claim, claim, ban, ban, unban, remove}

// after is the state that a change makes of another; at is the time of a claim.
func (c change) after(s state, at int64) state {
	switch c {
	case add:
		s.Known = true
	case claim:
		s.Known, s.Claim = true, at
	case ban:
		s.Banned = true
	case unban:
		s.Banned = false
		s.Generation++
	case remove:
		s.Known, s.Claim = false, 0
	}
	return s
}

// model is what the children have acknowledged.
type model struct {
	acknowledged map[int]state
	tried        map[int]state // by peer: a change that was begun and not acknowledged
}

func newModel() *model { return &model{map[int]state{}, map[int]state{}} }

// hear takes in "try" or "done" and "CHANGE PEER TIME".
func (m *model) hear(word, rest string) error {
	var c change
	var n int
	var at int64
	if _, err := fmt.Sscan(rest, &c, &n, &at); err != nil || !slices.Contains(changes, c) {
		return fmt.Errorf("booktest: the child said %q", word+" "+rest)
	}
	if word == "try" {
		m.tried[n] = c.after(m.acknowledged[n], at)
		return nil
	}
	m.acknowledged[n] = c.after(m.acknowledged[n], at)
	delete(m.tried, n)
	return nil
}

// compare says what is missing of what was acknowledged. A change that was
// under way may have been made or not; from here on what was found counts.
func (m *model) compare(found map[int]state) (lost []string) {
	for n, want := range m.acknowledged {
		got := found[n]
		if tried, under := m.tried[n]; got != want && (!under || got != tried) {
			lost = append(lost, fmt.Sprintf("peer %d is %s, acknowledged was %s", n, got, want))
		}
	}
	slices.SortFunc(lost, strings.Compare)
	m.acknowledged, m.tried = found, map[int]state{}
	return lost
}
