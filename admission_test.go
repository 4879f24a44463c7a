package tari

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	manet "github.com/multiformats/go-multiaddr/net"
)

// A flood from 64 sources, each within its own limit, fills the slots. Who comes from elsewhere gets one all the same, at the cost of a
// source that has several; who has as many as the others gets none.
func TestAFloodDoesNotShutOutOtherSources(t *testing.T) {
	a := newAdmission(Limits{}.withDefaults(), false)
	ended := map[string]int{}
	enter := func(source string) (*ticket, Refusal) {
		return a.enter(ma.StringCast("/ip4/"+source+"/tcp/1"), func() { ended[source]++ })
	}
	for i := range 1000 {
		enter(fmt.Sprintf("10.0.0.%d", i%64))
	}
	if a.handshaking != 100 {
		t.Fatalf("%d handshakes", a.handshaking)
	}
	before := len(ended)
	var honest []*ticket
	for i := range 20 {
		place, refused := enter(fmt.Sprintf("1.2.3.%d", i))
		if place == nil {
			t.Fatalf("newcomer %d: refused for %s", i, refused)
		}
		honest = append(honest, place)
	}
	if a.handshaking != 100 || len(ended)-before > 20 {
		t.Errorf("%d handshakes, %d sources lost some", a.handshaking, len(ended)-before)
	}
	for i := range 10_000 { // the flood goes on
		enter(fmt.Sprintf("10.0.0.%d", i%64))
	}
	for i, place := range honest {
		if !settled(place) {
			t.Errorf("newcomer %d was displaced", i)
		}
	}
	for source, of := range a.sources {
		if len(of.shaking) > 2 {
			t.Errorf("%s holds %d of the slots", source, len(of.shaking))
		}
	}
}

// settled ends a handshake well, and reports whether there is a connection.
func settled(place *ticket) bool {
	_, refused := place.established(func() bool { return false }, func() {})
	return refused == ""
}

func TestSlotsOfDifferentSources(t *testing.T) {
	exempt := []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")}
	a := newAdmission(Limits{Handshakes: 3, HandshakesPerSource: 3, Exempt: exempt}.withDefaults(), false)
	displaced := 0
	enter := func(addr string) (*ticket, Refusal) { return a.enter(ma.StringCast(addr), func() { displaced++ }) }
	enter("/ip4/127.0.0.1/tcp/1") // no longer exempt
	greedy, _ := enter("/ip4/127.0.0.1/tcp/2")
	enter("/ip4/9.9.9.9/tcp/1")
	if place, _ := enter("/ip4/9.9.9.9/tcp/2"); place == nil || displaced != 1 {
		t.Errorf("an exempt source is refused, %d displaced", displaced)
	}
	if !settled(greedy) {
		t.Error("the newest was displaced, not the oldest")
	}
	enter("/ip4/8.8.8.8/tcp/1") // three slots, all taken
	if _, refused := enter("/ip4/7.7.7.7/tcp/1"); refused != RefusedHandshakes || displaced != 1 {
		t.Errorf("refused for %q, %d displaced: an exempt source lost its place, or one that had but one", refused, displaced)
	}
	if a.handshaking != 3 || a.total != 4 {
		t.Errorf("handshaking %d, total %d", a.handshaking, a.total)
	}
}

// Who is exempt is not counted by source: loopback unless there is a list; an address is looked for as IPv4 and as IPv6, whichever
// way it and the list are written.
func TestExemptSources(t *testing.T) {
	for _, c := range []struct {
		exempt []string // nil: the default
		from   string
		source string // what it is counted as, "" if it is exempt
	}{
		{nil, "/ip4/127.0.0.1/tcp/1", ""},
		{nil, "/ip4/127.9.9.9/tcp/1", ""},
		{nil, "/ip6/::1/tcp/1", ""},
		{nil, "/ip6/::ffff:127.0.0.1/tcp/1", ""},
		{nil, "/memory/1", ""},
		{nil, "/ip4/1.2.3.4/tcp/1", "1.2.3.4/32"},
		{nil, "/ip6/::ffff:1.2.3.4/tcp/1", "1.2.3.4/32"},
		{nil, "/ip6/2001:db8:1:2:3:4:5:6/tcp/1", "2001:db8:1:2::/64"},
		{[]string{}, "/ip4/127.0.0.1/tcp/1", "127.0.0.1/32"},
		{[]string{"10.0.0.0/8"}, "/ip4/10.1.2.3/tcp/1", ""},
		{[]string{"10.0.0.0/8"}, "/ip6/::ffff:10.1.2.3/tcp/1", ""},
		{[]string{"10.0.0.0/8"}, "/ip4/11.0.0.1/tcp/1", "11.0.0.1/32"},
		{[]string{"::ffff:10.0.0.0/104"}, "/ip4/10.1.2.3/tcp/1", ""},
		{[]string{"::ffff:10.0.0.0/104"}, "/ip4/11.1.2.3/tcp/1", "11.1.2.3/32"},
		{[]string{"::/0"}, "/ip4/1.2.3.4/tcp/1", ""},
		{[]string{"::/0"}, "/ip6/2001:db8::1/tcp/1", ""},
		{[]string{"0.0.0.0/0"}, "/ip6/2001:db8::1/tcp/1", "2001:db8::/64"},
		{[]string{"2001:db8::/32"}, "/ip4/32.1.13.184/tcp/1", "32.1.13.184/32"},
	} {
		limits := Limits{}.withDefaults()
		if c.exempt != nil {
			limits.Exempt = []netip.Prefix{}
		}
		for _, text := range c.exempt {
			limits.Exempt = append(limits.Exempt, netip.MustParsePrefix(text))
		}
		got := ""
		if source := newAdmission(limits, false).sourceOf(ma.StringCast(c.from)); source.IsValid() {
			got = source.String()
		}
		if got != c.source {
			t.Errorf("%s, with %q exempt, counts as %q, want %q", c.from, c.exempt, got, c.source)
		}
	}
}

// Who comes from a source that the operator does not want is closed before a byte is read; others, and who comes through Tor, are let in.
func TestRefusedSources(t *testing.T) {
	refused := make(chan Refusal, 8)
	h := startHost(t, Config{
		Listen: loopback, ListenOnion: loopback[0], Limits: Limits{Refuse: []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}},
		Hooks: Hooks{OnRefused: func(_ ma.Multiaddr, r Refusal) { refused <- r }},
	})
	for _, a := range h.Network().ListenAddresses() {
		other := startHost(t, Config{})
		err := other.Connect(testContext(t), peer.AddrInfo{ID: h.ID(), Addrs: []ma.Multiaddr{a}})
		if through := a.Equal(h.OnionListener()); (err == nil) != through {
			t.Errorf("by %s, which is for Tor: %v: %v", a, through, err)
		}
	}
	eventually(t, "it is told", func() bool { return len(refused) > 0 })
	if r := <-refused; r != RefusedSource || len(refused) != 0 || h.Refusals()[RefusedSource] != 1 {
		t.Errorf("refused for %s, %v in all", r, h.Refusals())
	}
	a := newAdmission(Limits{Refuse: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8::/32")}}.withDefaults(), false)
	for from, want := range map[string]Refusal{
		"/ip4/10.1.2.3/tcp/1": RefusedSource, "/ip6/::ffff:10.1.2.3/tcp/1": RefusedSource, "/ip6/2001:db8::1/tcp/1": RefusedSource,
		"/ip4/11.1.2.3/tcp/1": "", "/ip6/2001:db9::1/tcp/1": "", "/memory/1": "",
	} {
		if _, got := a.enter(ma.StringCast(from), func() {}); got != want {
			t.Errorf("%s: refused for %q, want %q", from, got, want)
		}
	}
}

// The listener for Tor has its own counts, and whoever comes there is not counted by source, nor exempt from them.
func TestTheListenerForTor(t *testing.T) {
	h := startHost(t, Config{Listen: loopback, ListenOnion: loopback[0], Limits: Limits{
		Handshakes: 1, HandshakesPerSource: 1, InboundOnion: 3, Exempt: []netip.Prefix{netip.MustParsePrefix("9.9.9.9/32")},
	}})
	if h.OnionListener() == nil || len(h.Network().ListenAddresses()) != 2 {
		t.Fatalf("Tor's listener is %v of %v", h.OnionListener(), h.Network().ListenAddresses())
	}
	dial := func(a ma.Multiaddr) {
		if c, err := manet.Dial(a); err == nil { // one that is refused may be reset before Dial returns
			t.Cleanup(func() { c.Close() })
		}
	}
	for range 4 {
		dial(h.OnionListener())
	}
	eventually(t, "the fourth through Tor is refused", func() bool { return h.Refusals()[RefusedInbound] == 1 })
	for _, a := range h.Network().ListenAddresses() {
		if a.Equal(h.OnionListener()) {
			continue
		}
		eventually(t, "the other listener has a handshake", func() bool { dial(a); return h.Refusals()[RefusedHandshakesPerSource] > 0 })
	}
}

// One summary a minute, by reason, and none when nothing was refused.
func TestRefusalsAreSummedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		type summary struct {
			at     time.Duration
			counts Refusals
		}
		start := time.Now()
		reports := make(chan summary, 9)
		r := newRefusals(func(counts Refusals) { reports <- summary{time.Since(start), counts} })
		time.Sleep(10 * time.Minute)
		for i := range 90 {
			r.count(RefusedHandshakes)
			if i%9 == 0 {
				r.count(RefusedInbound)
			}
			if i == 0 {
				time.Sleep(time.Second / 2) // the minute begins with the first; no count falls on its end
			}
			time.Sleep(time.Second)
		}
		time.Sleep(10 * time.Minute)
		r.count(RefusedByGater)
		r.close()
		time.Sleep(10 * time.Minute)
		close(reports)
		var told []summary
		for s := range reports {
			told = append(told, s)
		}
		if len(told) != 2 || told[0].at != 11*time.Minute || told[0].counts[RefusedHandshakes]+told[1].counts[RefusedHandshakes] != 90 {
			t.Fatalf("told %v", told)
		}
		if text := told[1].counts.String(); !strings.HasPrefix(text, "slots_full 30 (Limits.Handshakes") || !strings.Contains(text, "; inbound_cap 3 (Limits.Inbound") {
			t.Errorf("reads %q", text)
		}
		if sum := r.sum(); sum[RefusedHandshakes] != 90 || sum[RefusedByGater] != 1 {
			t.Errorf("since the start %v", sum)
		}
	})
}

func TestEachRefusalNamesWhatToRaise(t *testing.T) {
	for _, r := range []Refusal{
		RefusedInbound, RefusedInboundPerSource, RefusedHandshakesPerSource, RefusedHandshakes, RefusedDisplaced, RefusedIdle,
		RefusedByGater, RefusedResources, RefusedDescriptors,
	} {
		if r.Raise() == "" {
			t.Errorf("%s names nothing", r)
		}
	}
}
