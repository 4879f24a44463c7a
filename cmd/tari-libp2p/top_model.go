package main

import (
	"cmp"
	"slices"
	"time"

	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// topModel is what top shows: what it was told last, and what its user wants to see of it.
type topModel struct {
	dir   string
	every time.Duration

	now   node.Overview // the last one; its Time is zero before there is one
	rates topRates
	past  []float64 // messages a second, both ways, the newest last
	lost  string    // why there is no answer; "" while there are
	since time.Time // of lost

	order  topOrder
	focus  topList
	from   [topLists]int // the first line that is shown of each list
	paused bool
	help   bool
}

// topList is one of the lists.
type topList int

const (
	listConnections topList = iota
	listBans
	listEvents
	topLists
)

// topOrder is what connections are sorted by.
type topOrder int

const (
	byMessages topOrder = iota
	byAge
	byRoundTrip
	byStreams
	byPeer
	topOrders
)

func (o topOrder) String() string {
	return [...]string{"messages", "age", "round trip", "streams", "peer"}[o]
}

// maxPast is how many rates of the past are shown.
const maxPast = 30

// messageRate is how many messages come and go in a second.
type messageRate struct{ in, out float64 }

func (r messageRate) both() float64 { return r.in + r.out }

// topRates are rates between two overviews. Without a second one nothing is known.
type topRates struct {
	known bool
	all   messageRate
	peers map[string]messageRate // by key
}

// ratesOf are the rates from before to now; none if the node was started anew in between.
func ratesOf(before, now node.Overview) topRates {
	seconds := now.Time.Sub(before.Time).Seconds()
	began := func(o node.Overview) time.Time { return o.Time.Add(-time.Duration(o.UptimeSec) * time.Second) }
	if before.Time.IsZero() || seconds <= 0 || began(now).Sub(began(before)) > 2*time.Second {
		return topRates{}
	}
	rate := func(from, to uint64) float64 {
		if to < from {
			from = 0 // counted anew
		}
		return float64(to-from) / seconds
	}
	r := topRates{
		known: true,
		all:   messageRate{rate(before.Messages.Received, now.Messages.Received), rate(before.Messages.Sent, now.Messages.Sent)},
		peers: make(map[string]messageRate),
	}
	old := make(map[string]node.ConnectionInfo)
	for _, c := range before.Connections {
		old[c.Peer] = c
	}
	for _, c := range now.Connections {
		r.peers[c.Peer] = messageRate{rate(old[c.Peer].Received, c.Received), rate(old[c.Peer].Sent, c.Sent)}
	}
	return r
}

// take notes what the node answered, or that it did not.
func (m *topModel) take(o node.Overview, err error, at time.Time) {
	if err != nil {
		if m.lost == "" {
			m.since = at
		}
		m.lost = oneLine(err)
		return
	}
	m.lost = ""
	m.rates = ratesOf(m.now, o)
	if m.rates.known {
		m.past = append(m.past, m.rates.all.both())
		m.past = m.past[max(0, len(m.past)-maxPast):]
	} else {
		m.past = nil
	}
	m.now = o
}

// connections are those of the node in the order that is wanted.
func (m *topModel) connections() []node.ConnectionInfo {
	all := slices.Clone(m.now.Connections)
	slices.SortFunc(all, func(x, y node.ConnectionInfo) int {
		first := 0
		switch m.order {
		case byMessages:
			first = cmp.Or(cmp.Compare(m.rates.peers[y.Peer].both(), m.rates.peers[x.Peer].both()), cmp.Compare(y.Received+y.Sent, x.Received+x.Sent))
		case byAge:
			first = cmp.Compare(y.AgeSec, x.AgeSec)
		case byRoundTrip:
			first = cmp.Compare(y.RoundTripUS, x.RoundTripUS)
		case byStreams:
			first = cmp.Compare(y.Streams, x.Streams)
		}
		return cmp.Or(first, cmp.Compare(x.Peer, y.Peer), cmp.Compare(x.Address, y.Address))
	})
	return all
}

// press does what a key is for. over means that the user has had enough.
func (m *topModel) press(k terminal.Key) (over bool) {
	if m.help && k != "q" && k != terminal.CtrlC {
		m.help = false
		return false
	}
	from := &m.from[m.focus]
	switch k {
	case "q", terminal.CtrlC:
		return true
	case "?", "h":
		m.help = true
	case "s":
		m.order = (m.order + 1) % topOrders
	case "p":
		m.paused = !m.paused
	case terminal.Tab:
		m.focus = (m.focus + 1) % topLists
	case "j", terminal.Down:
		*from++
	case "k", terminal.Up:
		*from--
	case terminal.PageDown, " ":
		*from += 10
	case terminal.PageUp:
		*from -= 10
	case "g", terminal.Home:
		*from = 0
	case "G", terminal.End:
		*from = 1 << 30
	}
	return false
}
