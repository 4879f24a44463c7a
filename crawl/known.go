package crawl

import (
	"errors"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// known is what follows from the entries of a journal.
type known struct {
	began   time.Time
	peers   []*Peer // by their numbers
	index   map[tarikey.PublicKey]int
	done    int // peers
	reached int // peers
	dropped int // not in the journal

	places map[string]place // addresses that were dialed, by their bytes
	absent map[string]int   // hosts: peers in a row that were not there
	dials  map[string]int   // hosts: addresses that were dialed

	allowTest bool
}

// place is how it went at an address.
type place struct {
	owner tarikey.PublicKey // who is there; zero: nobody answered
	class Class             // of the attempt
}

func newKnown(allowTest bool) *known {
	return &known{
		index: make(map[tarikey.PublicKey]int), places: make(map[string]place), absent: make(map[string]int), dials: make(map[string]int), allowTest: allowTest,
	}
}

// apply takes in an entry. An error is a journal's fault.
func (k *known) apply(e entry, now time.Time) error {
	switch {
	case e.Head != nil:
		k.began = e.Head.Began
	case e.Heard != nil:
		return k.heard(e.Heard, now)
	case e.Seen != nil:
		return k.seen(e.Seen)
	}
	return nil
}

func (k *known) heard(h *heard, now time.Time) error {
	claim, err := h.claim(now)
	if err != nil {
		return err
	}
	i, old := k.index[h.Key]
	if !old {
		i = len(k.peers)
		k.index[h.Key] = i
		k.peers = append(k.peers, &Peer{Key: h.Key})
	}
	p := k.peers[i]
	for _, text := range h.Addresses {
		a, err := ma.NewMultiaddr(text)
		if err != nil {
			return err
		}
		p.Start = true
		p.Addrs = appendNew(p.Addrs, a)
	}
	if claim == nil {
		return nil
	}
	p.Claim = claim
	if !p.Start {
		p.Addrs = nil // the newer claim says where
	}
	for _, a := range claim.Filtered(identityproto.Rules{AllowTestAddresses: k.allowTest}) {
		p.Addrs = appendNew(p.Addrs, a)
	}
	return nil
}

func appendNew(addrs []ma.Multiaddr, a ma.Multiaddr) []ma.Multiaddr {
	if ma.Contains(addrs, a) {
		return addrs
	}
	return append(addrs, a)
}

func (k *known) seen(s *seen) error {
	if s.Peer < 0 || s.Peer >= len(k.peers) {
		return errors.New("a visit to nobody")
	}
	for _, i := range s.By {
		if i < 0 || i >= len(k.peers) {
			return errors.New("told of nobody")
		}
	}
	for _, i := range s.By {
		k.peers[i].ToldBy++
	}
	p := k.peers[s.Peer]
	if s.Visit.Class.Reached() && (p.Visit == nil || !p.Visit.Class.Reached()) {
		k.reached++
	}
	p.Visit = &s.Visit
	p.Visits++
	if s.Visit.Final {
		k.done++
	}
	for _, a := range s.Visit.Attempts {
		if err := k.tried(p.Key, a); err != nil {
			return err
		}
	}
	return nil
}

// tried notes how it went at an address.
func (k *known) tried(key tarikey.PublicKey, a Attempt) error {
	addr, err := ma.NewMultiaddr(a.Address)
	if err != nil {
		return err
	}
	if a.Class == LeftAlone || a.Class == NotTried {
		return nil
	}
	was := place{class: a.Class}
	switch {
	case a.Owner != nil:
		was.owner = *a.Owner
	case a.Class == "":
		was.owner = key
	}
	if _, again := k.places[string(addr.Bytes())]; !again {
		k.dials[hostOf(addr)]++
	}
	k.places[string(addr.Bytes())] = was
	switch a.Class {
	case Unreachable, TimedOut:
		k.absent[hostOf(addr)]++
	default:
		delete(k.absent, hostOf(addr))
	}
	return nil
}

// choose are the addresses of a peer to dial. If there are none, the visit that
// ends before it has begun says why.
func (k *known) choose(i int) (addrs []ma.Multiaddr, without Visit) {
	p := k.peers[i]
	without = Visit{At: time.Now(), Final: true}
	for _, addr := range p.Addrs {
		if a := k.bars(p, addr); a != nil {
			without.Attempts = append(without.Attempts, *a)
		} else {
			addrs = append(addrs, addr)
		}
	}
	without.Class, without.Error = best(without.Attempts)
	return addrs, without
}

// bars says why an address of a peer is not to be dialed; nil if it may be. One
// where somebody else is, or nobody was, is not dialed once more for whoever
// claims it too, and a host not without end: whoever makes up peers could have us
// knock there as often as they like.
func (k *known) bars(p *Peer, addr ma.Multiaddr) *Attempt {
	a := &Attempt{Address: addr.String(), Class: LeftAlone}
	was, dialed := k.places[string(addr.Bytes())]
	switch host := hostOf(addr); {
	case dialed && was.owner == p.Key, !dialed && p.Start:
		return nil
	case dialed && was.owner.IsZero():
		a.Class, a.Error = was.class, "dialed already, for a peer that claims it"
	case dialed:
		a.Class, a.Error, a.Owner = Authentication, "another peer is there", &was.owner
	case k.absent[host] >= maxAbsent:
		a.Error = "too many peers in a row were not at this host"
	case k.dials[host] >= maxAtHost:
		a.Error = "too many peers claim to be at this host"
	default:
		return nil
	}
	return a
}
