package crawl

import (
	"cmp"
	"encoding/csv"
	"encoding/json"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tari-libp2p/tari-libp2p/peersync"
)

// Result is what a crawl found.
type Result struct {
	Began   time.Time
	Peers   []Peer // in the order in which they were heard of
	Dropped int    // heard of beyond MaxPeers, since this Run began
}

// Row is a peer as it is exported.
type Row struct {
	PublicKey string     `json:"public_key"`
	NodeID    string     `json:"node_id"`
	Class     Class      `json:"class"` // "" before its first visit
	Error     string     `json:"error,omitempty"`
	Address   string     `json:"address"`   // where it was reached
	Addresses []string   `json:"addresses"` // that it claims, or that the crawl was begun with
	Features  string     `json:"features"`
	UserAgent string     `json:"user_agent"`
	Protocols []string   `json:"protocols"`
	Signed    *time.Time `json:"signed"` // when it signed its claim; null: no claim is known
	ToldBy    int        `json:"told_by"`
	Told      int        `json:"told"`
	New       int        `json:"new"`
	Visited   *time.Time `json:"visited"`
	TookUS    int64      `json:"took_us"`
	Attempts  []Attempt  `json:"attempts"`

	Invalid map[peersync.Fault]int `json:"invalid"`
}

// Row is the peer for an export.
func (p *Peer) Row() Row {
	r := Row{
		PublicKey: p.Key.String(), NodeID: p.Key.NodeID().String(), ToldBy: p.ToldBy,
		Addresses: []string{}, Protocols: []string{}, Attempts: []Attempt{}, Invalid: map[peersync.Fault]int{},
	}
	addrs := p.Addrs
	if c := p.Claim; c != nil {
		r.Features, addrs = c.Features.String(), c.Addresses
		if c.Signature != nil {
			r.Signed = &c.Signature.UpdatedAt
		}
	}
	for _, a := range addrs {
		r.Addresses = append(r.Addresses, a.String())
	}
	v := p.Visit
	if v == nil {
		return r
	}
	at := v.At.UTC()
	r.Class, r.Error, r.Address, r.UserAgent = v.Class, v.Error, v.Reached(), v.UserAgent
	r.Told, r.New, r.Visited, r.TookUS = v.Told, v.New, &at, v.TookUS
	r.Protocols = append(r.Protocols, v.Protocols...)
	r.Attempts = append(r.Attempts, v.Attempts...)
	maps.Copy(r.Invalid, v.Invalid)
	return r
}

// WriteJSON writes a Row a line.
func (r *Result) WriteJSON(w io.Writer) error {
	lines := json.NewEncoder(w)
	for i := range r.Peers {
		if err := lines.Encode(r.Peers[i].Row()); err != nil {
			return err
		}
	}
	return nil
}

var columns = []string{
	"public_key", "node_id", "class", "error", "address", "addresses", "features", "user_agent", "protocols", "signed", "told_by", "told", "new",
	"invalid", "visited", "took_us",
}

// WriteCSV writes a table, with a line of names first. Where there are several
// values in a field, they are apart by a space.
func (r *Result) WriteCSV(w io.Writer) error {
	table := csv.NewWriter(w)
	if err := table.Write(columns); err != nil {
		return err
	}
	for i := range r.Peers {
		if err := table.Write(r.Peers[i].cells()); err != nil {
			return err
		}
	}
	table.Flush()
	return table.Error()
}

func (p *Peer) cells() []string {
	r := p.Row()
	var faults []string
	for _, f := range slices.Sorted(maps.Keys(r.Invalid)) {
		faults = append(faults, string(f)+"="+strconv.Itoa(r.Invalid[f]))
	}
	return []string{
		r.PublicKey, r.NodeID, string(r.Class), harmless(r.Error), r.Address, strings.Join(r.Addresses, " "), r.Features, harmless(r.UserAgent),
		harmless(strings.Join(r.Protocols, " ")), stamp(r.Signed), strconv.Itoa(r.ToldBy), strconv.Itoa(r.Told), strconv.Itoa(r.New),
		strings.Join(faults, " "), stamp(r.Visited), strconv.FormatInt(r.TookUS, 10),
	}
}

// harmless keeps spreadsheets from taking a peer's text for a formula.
func harmless(text string) string {
	if text != "" && strings.ContainsAny(text[:1], "=+-@\t\r") {
		return "'" + text
	}
	return text
}

func stamp(t *time.Time) string {
	if t == nil {
		return ""
	}
	return t.UTC().Format(time.RFC3339)
}

// Summary counts what a crawl found.
type Summary struct {
	Peers   int                    `json:"peers"`
	Reached int                    `json:"reached"`
	Waiting int                    `json:"waiting"` // not visited to the end
	Dropped int                    `json:"dropped"`
	Classes map[Class]int          `json:"classes"`
	Agents  []AgentCount           `json:"agents"` // of peers that were reached, the most frequent first
	Kinds   map[string]KindCount   `json:"address_kinds"`
	Invalid map[peersync.Fault]int `json:"invalid"` // claims, as often as they were told
}

// AgentCount counts peers with a user agent.
type AgentCount struct {
	UserAgent string `json:"user_agent"`
	Peers     int    `json:"peers"`
}

// KindCount counts peers with an address of a kind.
type KindCount struct {
	Peers   int `json:"peers"`   // that have such an address
	Reached int `json:"reached"` // that were reached at one
}

// Summary counts.
func (r *Result) Summary() Summary {
	s := Summary{
		Peers: len(r.Peers), Dropped: r.Dropped,
		Classes: map[Class]int{}, Agents: []AgentCount{}, Kinds: map[string]KindCount{}, Invalid: map[peersync.Fault]int{},
	}
	agents := map[string]int{}
	for i := range r.Peers {
		p := &r.Peers[i]
		s.add(p)
		if v := p.Visit; v != nil && v.Class.Reached() {
			agents[v.UserAgent]++
		}
	}
	for agent, n := range agents {
		s.Agents = append(s.Agents, AgentCount{agent, n})
	}
	slices.SortFunc(s.Agents, func(x, y AgentCount) int {
		return cmp.Or(cmp.Compare(y.Peers, x.Peers), cmp.Compare(x.UserAgent, y.UserAgent))
	})
	return s
}

func (s *Summary) add(p *Peer) {
	at := ""
	if v := p.Visit; v != nil {
		at = v.Reached()
		s.Classes[v.Class]++
		for fault, n := range v.Invalid {
			s.Invalid[fault] += n
		}
		if v.Class.Reached() {
			s.Reached++
		}
	}
	if !p.finished() {
		s.Waiting++
	}
	counted := map[string]bool{}
	for _, a := range p.Addrs {
		kind := Kind(a)
		count := s.Kinds[kind]
		if !counted[kind] {
			count.Peers++
			counted[kind] = true
		}
		if a.String() == at {
			count.Reached++
		}
		s.Kinds[kind] = count
	}
}
