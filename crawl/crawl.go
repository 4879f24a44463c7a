package crawl

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
)

// Config is what Run needs to know. Its zero value crawls nothing: it has no
// Start.
type Config struct {
	// Start are the peers to begin with. Their addresses are dialed even if they
	// are internal ones.
	Start []tari.Address
	// Journal is the file that keeps what is known, so that a later Run goes on
	// from there; "" keeps nothing. It grows by what is new only.
	Journal string
	// Network is noted in the journal; another one's is not gone on with.
	Network string
	// Clients asks for wallets too, which mostly cannot be reached.
	Clients bool
	// AllowTestAddresses takes internal addresses of others too. The host has to
	// allow them as well.
	AllowTestAddresses bool
	// MaxPeers bounds what is known; who is heard of beyond it is only counted.
	// 0 means 50,000.
	MaxPeers int
	// Parallel is how many peers are visited at a time. 0 means 32.
	Parallel int
	// PerHost is how many of them at one IPv4 address, IPv6 /64, name or onion
	// service. 0 means 4, as many handshakes as tari_comms takes from one source.
	PerHost int
	// Pause is how long a peer that has no time is left alone, at first. 0 means
	// a minute.
	Pause time.Duration
	// OnVisit is told of each visit that has ended, on Run's goroutine, with how
	// far the crawl is. nil: nobody is.
	OnVisit func(Peer, Progress)
}

// Progress is how far a crawl is.
type Progress struct {
	Known   int // peers
	Done    int // of these, to whom there will be no more visits
	Reached int // of these
	Visits  int // under way
	Dropped int // heard of beyond MaxPeers
}

// Limits of a crawl besides those of Config, our choice.
const (
	defaultMaxPeers = 50_000
	defaultParallel = 32
	defaultPerHost  = 4
	defaultPause    = time.Minute
	maxVisits       = 3   // to a peer that has no time
	maxAbsent       = 8   // peers in a row that were not there, before a host is left alone
	maxAtHost       = 256 // addresses of one host that are dialed
)

// Run crawls until nobody is left to visit, or ctx ends; visits that ctx breaks
// off do not count. It returns what it knows, also with an error. The host is
// the caller's; it should say that it is a client (identityproto.FeatureClient),
// so that nobody passes it on, and not be used for anything else.
//
// Errors: ctx's; a *JournalError; that of a file.
func Run(ctx context.Context, host *tari.Host, cfg Config) (*Result, error) {
	c := newCrawler(host, cfg)
	if err := c.open(); err != nil {
		return c.result(), err
	}
	err := c.run(ctx)
	return c.result(), errors.Join(err, c.journal.close())
}

// crawler is a crawl under way. All of it belongs to Run's goroutine, but what
// it hands to a visitor.
type crawler struct {
	host *tari.Host
	cfg  Config
	*known
	journal *journal

	queue  []waiting       // who is to be visited
	flying map[string]int  // visits at each host
	dialed map[string]bool // addresses of visits under way
	visits int
	ended  chan arrival
}

// waiting is a peer to visit, not before due.
type waiting struct {
	peer int
	due  time.Time
}

// arrival is a visit that has ended.
type arrival struct {
	*visitor
	peer  int
	addrs []ma.Multiaddr // that it was to try
	gone  bool           // broken off
}

func newCrawler(host *tari.Host, cfg Config) *crawler {
	cfg.MaxPeers = cmp.Or(cfg.MaxPeers, defaultMaxPeers)
	cfg.Parallel = cmp.Or(cfg.Parallel, defaultParallel)
	cfg.PerHost = cmp.Or(cfg.PerHost, defaultPerHost)
	cfg.Pause = cmp.Or(cfg.Pause, defaultPause)
	if cfg.OnVisit == nil {
		cfg.OnVisit = func(Peer, Progress) {}
	}
	return &crawler{
		host: host, cfg: cfg, known: newKnown(cfg.AllowTestAddresses),
		flying: make(map[string]int), dialed: make(map[string]bool), ended: make(chan arrival),
	}
}

// open reads the journal, and notes the peers to begin with.
func (c *crawler) open() (err error) {
	now := time.Now()
	if c.cfg.Journal != "" {
		c.journal, err = openJournal(c.cfg.Journal, func(e entry) error {
			if e.Head != nil && (e.Head.Version != journalVersion || e.Head.Network != c.cfg.Network) {
				return fmt.Errorf("a crawl of %q, version %d", e.Head.Network, e.Head.Version)
			}
			return c.apply(e, now)
		})
		if err != nil {
			return err
		}
	}
	var news []entry
	if c.began.IsZero() {
		news = append(news, entry{Head: &head{journalVersion, c.cfg.Network, now.UTC()}})
	}
	for _, p := range c.cfg.Start {
		if _, known := c.index[p.Key]; !known && p.Key != c.host.PublicKey() {
			h := &heard{Key: p.Key}
			for _, a := range p.Addrs {
				h.Addresses = append(h.Addresses, a.String())
			}
			news = append(news, entry{Heard: h})
		}
	}
	if err := c.note(news, now); err != nil {
		return errors.Join(err, c.journal.close())
	}
	for i, p := range c.peers {
		if p.Start {
			c.host.SetConfigured(tari.Address{Key: p.Key, Addrs: p.Addrs}.AddrInfo())
		}
		if !p.finished() {
			c.queue = append(c.queue, waiting{peer: i, due: c.due(p)})
		}
	}
	return nil
}

// note writes entries to the journal and takes them in.
func (c *crawler) note(news []entry, now time.Time) error {
	if err := c.journal.append(news); err != nil {
		return err
	}
	for _, e := range news {
		if err := c.apply(e, now); err != nil {
			return err
		}
	}
	return nil
}

// due is when a peer may be visited.
func (c *crawler) due(p *Peer) time.Time {
	if p.Visit == nil {
		return time.Time{}
	}
	return p.Visit.At.Add(c.cfg.Pause << (p.Visits - 1))
}

// run starts visits and takes in what they bring. After an error or the end of
// ctx it waits for those under way.
func (c *crawler) run(ctx context.Context) (err error) {
	visits, stop := context.WithCancel(ctx)
	defer stop()
	for err == nil && ctx.Err() == nil {
		next, startErr := c.start(visits)
		if err = startErr; err != nil || c.visits == 0 && next.IsZero() {
			break
		}
		err = c.wait(ctx, next)
	}
	stop()
	for c.visits > 0 {
		err = errors.Join(err, c.finish(<-c.ended))
	}
	return cmp.Or(err, ctx.Err())
}

// wait waits for a visit to end, or until the next may begin; zero: that depends
// on those under way.
func (c *crawler) wait(ctx context.Context, next time.Time) error {
	var alarm <-chan time.Time
	if !next.IsZero() {
		timer := time.NewTimer(time.Until(next))
		defer timer.Stop()
		alarm = timer.C
	}
	select {
	case a := <-c.ended:
		return c.finish(a)
	case <-alarm:
	case <-ctx.Done():
	}
	return nil
}

// start begins the visits that may begin now. It returns when the next may whose
// time has not come; zero if there is none.
func (c *crawler) start(ctx context.Context) (next time.Time, err error) {
	now := time.Now()
	left := c.queue[:0]
	for i, w := range c.queue {
		if c.visits == c.cfg.Parallel || err != nil {
			left = append(left, c.queue[i:]...)
			break
		}
		if now.Before(w.due) {
			if next.IsZero() || w.due.Before(next) {
				next = w.due
			}
			left = append(left, w)
			continue
		}
		addrs, without := c.choose(w.peer)
		switch {
		case len(addrs) == 0:
			err = c.note([]entry{{Seen: &seen{Peer: w.peer, Visit: without}}}, now)
			c.tell(w.peer)
		case c.room(addrs):
			c.send(ctx, w.peer, addrs)
		default:
			left = append(left, w)
		}
	}
	c.queue = left
	return next, err
}

// room: none of the addresses is being dialed, and their hosts take one more.
func (c *crawler) room(addrs []ma.Multiaddr) bool {
	return !slices.ContainsFunc(addrs, func(a ma.Multiaddr) bool {
		return c.dialed[string(a.Bytes())] || c.flying[hostOf(a)] >= c.cfg.PerHost
	})
}

// send begins a visit.
func (c *crawler) send(ctx context.Context, i int, addrs []ma.Multiaddr) {
	c.occupy(addrs, 1)
	a := arrival{peer: i, addrs: addrs, visitor: &visitor{
		host: c.host, id: c.peers[i].Key.PeerID(),
		query: peersync.Query{Clients: c.cfg.Clients, AllowTestAddresses: c.cfg.AllowTestAddresses},
	}}
	go func() { // run waits for it
		a.see(ctx, addrs)
		a.gone = ctx.Err() != nil
		c.ended <- a
	}()
}

// occupy counts a visit at its hosts, or no more.
func (c *crawler) occupy(addrs []ma.Multiaddr, by int) {
	c.visits += by
	hosts := make(map[string]bool)
	for _, a := range addrs {
		c.dialed[string(a.Bytes())] = true
		if by < 0 {
			delete(c.dialed, string(a.Bytes()))
		}
		hosts[hostOf(a)] = true
	}
	for host := range hosts {
		if c.flying[host] += by; c.flying[host] == 0 {
			delete(c.flying, host)
		}
	}
}

// finish takes in what a visit brought.
func (c *crawler) finish(a arrival) error {
	c.occupy(a.addrs, -1)
	if a.gone {
		return nil
	}
	now := time.Now()
	news, from := c.news(a), len(c.peers)
	if err := c.note(news, now); err != nil {
		return err
	}
	for i := from; i < len(c.peers); i++ {
		c.queue = append(c.queue, waiting{peer: i})
	}
	if p := c.peers[a.peer]; !p.finished() {
		c.queue = append(c.queue, waiting{a.peer, c.due(p)})
	}
	c.tell(a.peer)
	return nil
}

// news are the entries of a visit: new peers and claims, and the visit itself.
func (c *crawler) news(a arrival) (news []entry) {
	p := c.peers[a.peer]
	s := &seen{Peer: a.peer, Visit: a.visit}
	if claim := a.own; claim != nil && newer(claim, p.Claim) {
		news = append(news, heardOf(claim))
	}
	next := len(c.peers)
	for key, claim := range a.told {
		i, known := c.index[key]
		switch {
		case key == c.host.PublicKey(), key == p.Key: // what it says of itself is no news
			continue
		case !known && next >= c.cfg.MaxPeers:
			c.dropped++
			continue
		case !known:
			i, next = next, next+1
			s.Visit.New++
			news = append(news, heardOf(claim))
		case newer(claim, c.peers[i].Claim) && c.peers[i].Visit == nil:
			news = append(news, heardOf(claim))
		}
		s.By = append(s.By, i)
	}
	s.Visit.Told = len(s.By)
	s.Visit.Final = !a.visit.Class.again() || p.Visits+1 >= maxVisits
	return append(news, entry{Seen: s})
}

// newer: the claim says more than the one that is known.
func newer(claim, than *identityproto.Claim) bool {
	return claim.Signature != nil && (than == nil || than.Signature == nil || claim.Signature.UpdatedAt.After(than.Signature.UpdatedAt))
}

func heardOf(claim *identityproto.Claim) entry {
	signed := *claim
	signed.Protocols, signed.UserAgent = nil, "" // which are not signed, and are in the visit
	b, _ := signed.MarshalBinary()               // fails never
	return entry{Heard: &heard{Key: claim.Key, Claim: b}}
}

// tell reports a visit that has ended.
func (c *crawler) tell(i int) { c.cfg.OnVisit(*c.peers[i], c.progress()) }

func (c *crawler) progress() Progress {
	return Progress{Known: len(c.peers), Done: c.done, Reached: c.reached, Visits: c.visits, Dropped: c.dropped}
}

func (c *crawler) result() *Result {
	r := &Result{Began: c.began, Dropped: c.dropped}
	for _, p := range c.peers {
		r.Peers = append(r.Peers, *p)
	}
	return r
}
