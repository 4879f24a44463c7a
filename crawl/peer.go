package crawl

import (
	"net/netip"
	"strings"
	"time"

	ma "github.com/multiformats/go-multiaddr"

	"github.com/tari-libp2p/tari-libp2p/identityproto"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Peer is what a crawl knows of one.
type Peer struct {
	Key    tarikey.PublicKey
	Claim  *identityproto.Claim // the newest that it signed, verified; nil: nobody has told of it, and it was not reached
	Addrs  []ma.Multiaddr       // where to dial it
	Start  bool                 // the crawl was begun with it: its addresses may be internal
	ToldBy int                  // peers that told of it
	Visits int                  // so far
	Visit  *Visit               // the last; nil: none yet
}

// finished: there is nothing more to do about it.
func (p *Peer) finished() bool { return p.Visit != nil && p.Visit.Final }

// Class sorts visits by how they ended.
type Class string

// The classes. Those of dials mean what the exit codes of the command mean.
const (
	Answered       Class = "answered"       // it told of its peers
	NoService      Class = "no_service"     // reached; it does not tell of peers
	Busy           Class = "busy"           // reached; it had no session left
	Hostile        Class = "hostile"        // reached; its answer is one that no honest peer gives
	Failed         Class = "failed"         // reached; the call failed
	Authentication Class = "authentication" // somebody else is there, or it could not prove its key
	Refused        Class = "refused"        // it closed on us: another network, a ban, a limit
	TimedOut       Class = "timeout"
	Unreachable    Class = "unreachable" // nobody is there
	NotTried       Class = "not_tried"   // no address that may, or can, be dialed
	LeftAlone      Class = "left_alone"  // too many before it were not there, at the same host
)

// Reached reports whether the peer was connected and proved its key.
func (c Class) Reached() bool {
	switch c {
	case Answered, NoService, Busy, Hostile, Failed:
		return true
	}
	return false
}

// again: another visit may end better.
func (c Class) again() bool { return c == Busy || c == Failed }

// Visit is how it went to see a peer.
type Visit struct {
	At        time.Time              `json:"at"`
	TookUS    int64                  `json:"took_us"`
	Class     Class                  `json:"class"`
	Error     string                 `json:"error,omitempty"` // for people; what peers sent is quoted in it
	Attempts  []Attempt              `json:"attempts,omitempty"`
	UserAgent string                 `json:"user_agent,omitempty"`
	Protocols []string               `json:"protocols,omitempty"`
	Told      int                    `json:"told,omitempty"`    // peers that it told of, and whose claims hold
	New       int                    `json:"new,omitempty"`     // of these nobody had told before
	Invalid   map[peersync.Fault]int `json:"invalid,omitempty"` // what else it told
	Final     bool                   `json:"final,omitempty"`   // there will be no other
}

// Reached is the address at which the peer was; "" if it was at none.
func (v *Visit) Reached() string {
	for _, a := range v.Attempts {
		if a.Class == "" {
			return a.Address
		}
	}
	return ""
}

// Attempt is how it went at one address.
type Attempt struct {
	Address string `json:"address"`
	TookUS  int64  `json:"took_us"`
	Class   Class  `json:"class,omitempty"` // "": the peer was there
	Error   string `json:"error,omitempty"`
	// Owner is who is there, if that is not the peer that was looked for.
	Owner *tarikey.PublicKey `json:"owner,omitempty"`
}

// Kind is the kind of an address: ip4, ip6, dns, onion3 or other.
func Kind(a ma.Multiaddr) string {
	if len(a) == 0 {
		return "other"
	}
	switch a[0].Protocol().Code {
	case ma.P_IP4:
		return "ip4"
	case ma.P_IP6:
		return "ip6"
	case ma.P_DNS, ma.P_DNS4, ma.P_DNS6, ma.P_DNSADDR:
		return "dns"
	case ma.P_ONION3:
		return "onion3"
	}
	return "other"
}

// hostOf names the machine that an address is at, without the port: an IPv4
// address, an IPv6 /64, a name, an onion service.
func hostOf(a ma.Multiaddr) string {
	if len(a) == 0 {
		return ""
	}
	value := strings.ToLower(a[0].Value())
	switch a[0].Protocol().Code {
	case ma.P_IP4, ma.P_IP6:
		ip, ok := netip.AddrFromSlice(a[0].RawValue())
		if ok && !ip.Unmap().Is4() {
			return netip.PrefixFrom(ip, 64).Masked().String()
		}
		return ip.Unmap().String()
	case ma.P_ONION3:
		service, _, _ := strings.Cut(value, ":")
		return service
	}
	return value
}
