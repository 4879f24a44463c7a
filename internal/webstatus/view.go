package webstatus

import (
	"cmp"
	"embed"
	"math"
	"slices"
	"strconv"
	"time"

	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// How much of each list the page shows, and the JSON tells, and how much of a peer's words (our choice): a flood of connections must not
// make a page that nobody can open.
const (
	maxRows    = 200
	maxListed  = 1000
	maxAgent   = 60
	maxReason  = 120
	maxAddress = 120
	maxOwn     = 12 // addresses of the node itself
)

//go:embed assets
var assets embed.FS

// report is what clients are told.
type report struct {
	node.Overview
	All   int   `json:"connection_count"` // Connections has 1000 of them at most
	Rates Rates `json:"message_rates"`

	// They hide what the page does not show, and the JSON does not tell: a folder of this machine, and what happened lately.
	DataDir *string      `json:"data_dir,omitempty"`
	Events  []node.Event `json:"events,omitempty"`
}

// reportOf sorts the connections, so that rows keep their places, the oldest first, and cuts what is too long.
func reportOf(o node.Overview, rates Rates) report {
	all := len(o.Connections)
	o.Connections = slices.SortedFunc(slices.Values(o.Connections), func(a, b node.ConnectionInfo) int {
		return cmp.Or(cmp.Compare(b.AgeSec, a.AgeSec), cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Address, b.Address))
	})
	o.Connections = o.Connections[:min(all, maxListed)]
	return report{Overview: o, All: all, Rates: rates}
}

// view is a report in the words of the page.
type view struct {
	report

	State    string
	Version  string
	Uptime   string
	At       string
	Links    node.ConnectivityInfo
	In, Out  int
	Dropped  uint64
	Rows     []row
	MoreRows int
	BanRows  []banRow
	MoreBans int
	Kinds    []kind
	Rates    rateView
	Way      wayView
	Received string // bytes
	Sent     string
}

type row struct {
	node.ConnectionInfo
	Age, Agent, At, RoundTrip string
}

type banRow struct{ Peer, Until, Reason string }

// kind is a class of addresses, and how long its bar is, in percent.
type kind struct {
	Class   string
	In, Out int
	Bar     string
}

// rateView is the picture of the rates.
type rateView struct {
	Width, Height int
	In, Out       string // points
	InNow, OutNow string
	Peak, Span    string
}

// wayView is the picture of a connection's way through its stages.
type wayView struct {
	Stages []stageView
	Height int
	Scale  int    // where the scale is written
	Ticks  []tick // of the scale
}

type stageView struct {
	node.StageTimes
	Title, What                 string
	Top                         int    // where it is drawn
	MedianX, P90X, Median, Most string // in percent; as text
}

type tick struct{ X, Text string }

func viewOf(r report) view {
	v := view{
		report:   r,
		State:    "unknown",
		Version:  node.Version(),
		Uptime:   ageText(r.UptimeSec),
		At:       r.Time.UTC().Format(time.TimeOnly),
		Received: bytesText(r.Messages.ReceivedBytes),
		Sent:     bytesText(r.Messages.SentBytes),
		Kinds:    kindsOf(r.Connections),
		Rates:    ratesOf(r.Rates),
		Way:      wayOf(r.Stages),
	}
	if r.Connectivity != nil {
		v.State, v.Links = r.Connectivity.State, *r.Connectivity
	}
	v.Addresses = r.Addresses[:min(len(r.Addresses), maxOwn)]
	for _, k := range v.Kinds {
		v.In, v.Out = v.In+k.In, v.Out+k.Out
	}
	for _, n := range r.Messages.Dropped {
		v.Dropped += n
	}
	for _, c := range r.Connections[:min(len(r.Connections), maxRows)] {
		one := row{ConnectionInfo: c, Age: ageText(c.AgeSec), Agent: visible(c.UserAgent, maxAgent), At: visible(c.Address, maxAddress), RoundTrip: "–"}
		if c.RoundTripUS > 0 {
			one.RoundTrip = tookText(c.RoundTripUS)
		}
		v.Rows = append(v.Rows, one)
	}
	v.MoreRows = r.All - len(v.Rows)
	for _, b := range r.Bans {
		v.BanRows = append(v.BanRows, banRow{b.PublicKey, untilText(r.Time, b.Banned.Until), visible(b.Banned.Reason, maxReason)})
	}
	v.MoreBans = max(r.Book.Banned-len(v.BanRows), 0)
	return v
}

// classes are those that the page tells of in any case, then the others.
var classes = []string{node.ClassIP4, node.ClassIP6, node.ClassDNS, node.ClassOnion, node.ClassPrivate, node.ClassLoopback, node.ClassOther}

func kindsOf(connections []node.ConnectionInfo) (out []kind) {
	for i, class := range classes {
		k := kind{Class: class}
		for _, c := range connections {
			switch {
			case c.AddressClass != class:
			case c.Direction == "inbound":
				k.In++
			default:
				k.Out++
			}
		}
		if k.Bar = percent(float64(k.In+k.Out) / float64(max(len(connections), 1))); i < 4 || k.In+k.Out > 0 {
			out = append(out, k)
		}
	}
	return out
}

func percent(part float64) string { return strconv.FormatFloat(part*100, 'f', 1, 64) + "%" }

func ratesOf(r Rates) rateView {
	peak := slices.Max(append(slices.Concat(r.Received, r.Sent), 0))
	v := rateView{
		Width: lineWidth, Height: lineHeight, In: points(r.Received, peak), Out: points(r.Sent, peak),
		InNow: now(r.Received), OutNow: now(r.Sent), Peak: digits(peak), Span: ageText(int64(steps * r.StepSec)),
	}
	if int(steps*r.StepSec)%60 == 0 {
		v.Span = strconv.Itoa(int(steps*r.StepSec)/60) + " min"
	}
	return v
}

// now is the newest rate.
func now(rates []float64) string {
	if len(rates) == 0 {
		return "0.0"
	}
	return digits(rates[len(rates)-1])
}

// stageWords are what the page says of the stages.
var stageWords = map[string]struct{ title, what string }{
	node.StageConnect:     {"Connect", "TCP or SOCKS, when we dial"},
	dialect.StageWire:     {"Wire byte", "the first byte, when others dial"},
	dialect.StageNoise:    {"Noise", "the keys are proven"},
	dialect.StageAdmit:    {"Admit", "whether we want this peer"},
	dialect.StageIdentity: {"Identity", "signed claims are exchanged"},
	dialect.StageMuxer:    {"yamux", "substreams are ready"},
}

// Size of the picture of the stages. The scale goes from 10 µs to 100 s, a tenth of the width and more for each power of ten.
const (
	stageHeight = 62
	scaleHeight = 22
	scaleFrom   = 1 // powers of ten, in µs
	scaleTo     = 8
)

func wayOf(stages []node.StageTimes) wayView {
	v := wayView{Height: len(stages)*stageHeight + scaleHeight, Scale: len(stages)*stageHeight + scaleHeight/2}
	for i, s := range stages {
		words := stageWords[s.Stage]
		one := stageView{
			StageTimes: s, Title: words.title, What: words.what, Top: i * stageHeight,
			MedianX: scaled(s.MedianUS), P90X: scaled(s.P90US), Median: "–", Most: "–",
		}
		if s.Passed > 0 {
			one.Median, one.Most = tookText(s.MedianUS), tookText(s.P90US)
		}
		v.Stages = append(v.Stages, one)
	}
	for i, text := range []string{"100 µs", "", "10 ms", "", "1 s", ""} {
		v.Ticks = append(v.Ticks, tick{percent(float64(i+1) / (scaleTo - scaleFrom)), text})
	}
	return v
}

// scaled is where a time stands on the scale; the shortest can still be seen.
func scaled(us int64) string {
	at := (math.Log10(float64(max(us, 1))) - scaleFrom) / (scaleTo - scaleFrom)
	return percent(min(max(at, 0.01), 1))
}
