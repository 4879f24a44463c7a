package node

import (
	"net/netip"
	"slices"
	"sync"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// How much an Overview has of what could be long: our choice.
const (
	overviewBans   = 100
	overviewEvents = 50
	overviewText   = 300 // bytes of an event's error
)

// Overview is a node at one moment: its Status, and what its parts have counted since it started. From two of them, one
// after the other, come rates. Texts that come from a peer are as the peer sent them.
type Overview struct {
	Time time.Time `json:"time"`
	Status
	Book     BookCounts    `json:"book"`
	Messages MessageCounts `json:"messages"`
	Refused  tari.Refusals `json:"refused"` // inbound connections that a limit closed, by which
	Bans     []Banned      `json:"bans"`    // those that end first, at most 100; Book has their number
	Events   []Event       `json:"events"`  // the last 50, the newest last; no messages, and without Stages
	Stages   []StageTimes  `json:"stages"`  // of connections, in their order
}

// BookCounts is how many peers the book has.
type BookCounts struct {
	Peers   int `json:"peers"`
	Reached int `json:"reached"` // of Peers, that a dial of ours has reached at an address they still have
	Seeds   int `json:"seeds"`   // of Peers
	Allowed int `json:"allowed"` // of Peers, on the allow list
	Banned  int `json:"banned"`
}

// MessageCounts is what became of messages since the node started.
type MessageCounts struct {
	Received      uint64            `json:"received"`
	ReceivedBytes uint64            `json:"received_bytes"`
	Sent          uint64            `json:"sent"`
	SentBytes     uint64            `json:"sent_bytes"`
	Dropped       map[string]uint64 `json:"dropped"` // could not be sent, by messagingproto.Reason.Word; none that is 0
	Queued        int               `json:"queued"`  // wait, or are being written
	QueuedBytes   int               `json:"queued_bytes"`
}

// Overview tells how the node is at this moment. It looks once at each connection and each record of the peer book, and has round-trip
// times measured that are more than 10 s old: the next Overview has them.
func (n *Node) Overview() Overview {
	book := n.Peers.Stats()
	o := Overview{
		Time:     time.Now().UTC(),
		Status:   n.status(book),
		Book:     BookCounts{Peers: book.Peers, Reached: book.Reached, Seeds: book.Seeds, Allowed: book.Allowed, Banned: book.Banned},
		Messages: MessageCounts{Dropped: map[string]uint64{}},
		Refused:  tari.Refusals{},
		Bans:     []Banned{},
		Events:   n.recent.all(),
		Stages:   n.stages.all(),
	}
	bans := n.Peers.Bans()
	slices.SortFunc(bans, func(x, y peerbook.Record) int { return x.Ban.Until.Compare(y.Ban.Until) })
	for _, r := range bans[:min(len(bans), overviewBans)] {
		o.Bans = append(o.Bans, Banned{
			PublicKey: r.Key.String(), NodeID: r.NodeID().String(), Banned: &BanInfo{Until: r.Ban.Until, Reason: r.Ban.Reason},
		})
	}
	if n.Host == nil {
		return o
	}
	o.Refused = n.Host.Refusals()
	o.Messages = messageCounts(n.Messages.Stats())
	for _, c := range n.Host.Network().Conns() {
		var muxed *yamux.Session
		if c.As(&muxed) {
			muxed.MeasureRTT()
		}
	}
	return o
}

func messageCounts(s messagingproto.Stats) MessageCounts {
	counts := MessageCounts{
		Received: s.Received, ReceivedBytes: s.ReceivedBytes, Sent: s.Sent, SentBytes: s.SentBytes,
		Dropped: map[string]uint64{}, Queued: s.Queued, QueuedBytes: s.QueuedBytes,
	}
	for reason, n := range s.Failed {
		counts.Dropped[reason.Word()] = n
	}
	return counts
}

// recentEvents are the last events of a node. The zero value is ready.
type recentEvents struct {
	mu   sync.Mutex
	last []Event // a ring once it is full
	next int
}

// note keeps an event, but for messages: they are many, and counted elsewhere.
func (r *recentEvents) note(e Event) {
	if e.Kind == EventMessage {
		return
	}
	e.Stages = nil
	e.Error = e.Error[:min(len(e.Error), overviewText)]
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.last) < overviewEvents {
		r.last = append(r.last, e)
		return
	}
	r.last[r.next] = e
	r.next = (r.next + 1) % overviewEvents
}

// all are the events in their order; never nil.
func (r *recentEvents) all() []Event {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append(append([]Event{}, r.last[r.next:]...), r.last[:r.next]...)
}

// The classes of addresses.
const (
	ClassLoopback = "loopback"
	ClassPrivate  = "private" // of a local network
	ClassIP4      = "ip4"
	ClassIP6      = "ip6"
	ClassDNS      = "dns"
	ClassOnion    = "onion"
	ClassOther    = "other"
)

// ClassOf says what kind of place an address is: one of the Class constants.
func ClassOf(a ma.Multiaddr) string {
	first, _ := ma.SplitFirst(a)
	if first == nil {
		return ClassOther
	}
	switch first.Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		ip, _ := netip.AddrFromSlice(first.RawValue())
		ip = ip.Unmap()
		switch {
		case ip.IsLoopback():
			return ClassLoopback
		case ip.IsPrivate() || ip.IsLinkLocalUnicast():
			return ClassPrivate
		case ip.Is4():
			return ClassIP4
		}
		return ClassIP6
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return ClassDNS
	case ma.P_ONION3:
		return ClassOnion
	}
	return ClassOther
}
