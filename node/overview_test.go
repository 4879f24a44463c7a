package node

import (
	"fmt"
	"slices"
	"testing"
	"time"

	ma "github.com/multiformats/go-multiaddr"
)

// TestOverview: it has what the parts of a node know, of each connection too.
func TestOverview(t *testing.T) {
	them := startNode(t, Config{Listen: loopback(), AllowTestAddresses: true, UserAgent: "them"})
	us := startNode(t, Config{Listen: loopback(), AllowTestAddresses: true})
	name := them.addresses()[0]
	for range 3 {
		if _, err := us.Send(testContext(t), name, []byte("12345")); err != nil {
			t.Fatal(err)
		}
	}
	const stranger = "704ee6eb7c568c9c4220c92a3124bb69a53c05ec2ffd3ab06f4f78ddfde6b175"
	for peer, d := range map[string]time.Duration{stranger: time.Hour, "12": time.Minute} {
		if peer == "12" {
			peer = startNode(t, Config{}).Identity.String()
		}
		if _, err := us.Ban(testContext(t), peer, d, "for "+d.String()); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := us.AddPeer(testContext(t), stranger+"::/ip4/203.0.113.7/tcp/18189"); err != nil {
		t.Fatal(err)
	}
	_ = us.Messages.SendAsync("nobody", make([]byte, 9<<20), nil) // too large

	eventually(t, "a round trip", func() bool { return us.Overview().Connections[0].RoundTripUS > 0 })
	o := us.Overview()
	c := o.Connections[0]
	if c.Sent != 3 || c.Received != 0 || c.UserAgent != "them" || c.AddressClass != ClassLoopback || !o.Running || o.PublicKey != us.Identity.String() {
		t.Errorf("%+v", o.Status)
	}
	if m := o.Messages; m.Sent != 3 || m.SentBytes != 15 || m.Received != 0 || m.Dropped["too_large"] != 1 || len(m.Dropped) != 1 {
		t.Errorf("%+v", m)
	}
	if o.Book != (BookCounts{Peers: 3, Reached: 1, Banned: 2}) || o.Peers != 3 {
		t.Errorf("%+v", o.Book)
	}
	if len(o.Bans) != 2 || o.Bans[0].Banned.Reason != "for 1m0s" || o.Bans[1].PublicKey != stranger {
		t.Errorf("%+v", o.Bans)
	}
	var kinds []EventKind
	for _, e := range o.Events {
		kinds = append(kinds, e.Kind)
	}
	if len(kinds) < 4 || kinds[0] != EventReady || !slices.Contains(kinds, EventConnected) || !slices.Contains(kinds, EventBanned) {
		t.Errorf("%v", kinds)
	}
	eventually(t, "all messages", func() bool { return them.Overview().Connections[0].Received == 3 })
	if o := them.Overview(); o.Messages.Received != 3 || o.Messages.ReceivedBytes != 15 || slices.ContainsFunc(o.Events, func(e Event) bool { return e.Kind == EventMessage }) {
		t.Errorf("%+v", o)
	}
}

// TestRecentEvents: the last ones are kept, in their order, and no long text.
func TestRecentEvents(t *testing.T) {
	var r recentEvents
	if r.all() == nil {
		t.Error("JSON would have no list")
	}
	for i := range 2*overviewEvents + 7 {
		r.note(Event{Kind: EventRefused, Error: fmt.Sprintf("%0*d", 2*overviewText, 0), Seconds: int64(i), Stages: []Stage{{}}})
		r.note(Event{Kind: EventMessage})
	}
	all := r.all()
	if len(all) != overviewEvents || len(all[0].Error) != overviewText || all[0].Stages != nil {
		t.Fatalf("%d, %+v", len(all), all[0])
	}
	for i, e := range all {
		if e.Kind != EventRefused || int(e.Seconds) != overviewEvents+7+i {
			t.Errorf("%d: %+v", i, e)
		}
	}
}

func TestClassOf(t *testing.T) {
	for text, want := range map[string]string{
		"/ip4/127.0.0.1/tcp/1": ClassLoopback, "/ip6/::1/tcp/1": ClassLoopback, "/ip6/::ffff:127.0.0.1/tcp/1": ClassLoopback,
		"/ip4/192.168.0.1/tcp/1": ClassPrivate, "/ip6/fe80::1/tcp/1": ClassPrivate, "/ip6/fc00::1/tcp/1": ClassPrivate,
		"/ip4/203.0.113.7/tcp/1": ClassIP4, "/ip6/2001:db8::1/tcp/1": ClassIP6, "/dns4/tari.com/tcp/1": ClassDNS,
		"/onion3/vww6ybal4bd7szmgncyruucpgfkqahzddi37ktceo3ah7ngmcopnpyyd:1234": ClassOnion, "/memory/1": ClassOther,
	} {
		if got := ClassOf(ma.StringCast(text)); got != want {
			t.Errorf("%s: %s", text, got)
		}
	}
	if got := ClassOf(nil); got != ClassOther {
		t.Errorf("nothing: %s", got)
	}
}
