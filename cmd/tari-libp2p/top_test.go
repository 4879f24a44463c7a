package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
	"unicode/utf8"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/internal/terminal"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// hostile is what a peer might call itself.
const hostile = "\x1b[2J\x1b]0;owned\x07\u009b31m\u202e漢\n\r\t\xff"

var topBegan = time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)

// topSnapshot is a node after so many seconds, in which n peers have each said hostile things.
func topSnapshot(seconds int64, peers int) node.Overview {
	o := node.Overview{Time: topBegan.Add(time.Duration(seconds) * time.Second)}
	o.Running, o.Network, o.PublicKey, o.UptimeSec = true, "mainnet", strings.Repeat("ab", 32), seconds
	o.Addresses = []string{o.PublicKey + "::/ip4/203.0.113.7/tcp/18189", o.PublicKey + "::/ip6/2001:db8::7/tcp/18189"}
	o.Public = []node.Reachability{{Address: "/ip4/203.0.113.7/tcp/18189", State: node.ReachReachable}}
	o.Connectivity = &node.ConnectivityInfo{State: "degraded", Nodes: peers, Outbound: 1, Inbound: peers - 1, Dialing: 2}
	o.Book = node.BookCounts{Peers: 12345, Reached: 700, Seeds: 1, Banned: 40}
	o.Messages = node.MessageCounts{Received: uint64(seconds) * 3, Sent: uint64(seconds) * 1000, Dropped: map[string]uint64{"queue_full": 7, "expired": 1200}, Queued: 5}
	o.Refused = tari.Refusals{tari.RefusedInbound: 3}
	for i := range peers {
		o.Connections = append(o.Connections, node.ConnectionInfo{
			Peer: strings.Repeat(fmt.Sprintf("%02x", i), 32), Address: fmt.Sprintf("/ip4/198.51.100.%d/tcp/18189", i), Direction: "inbound", AddressClass: node.ClassIP4,
			UserAgent: hostile, AgeSec: int64(3600 * i), Streams: 3, RoundTripUS: int64(i) * 12_345, Received: uint64(seconds) * uint64(i),
		})
		o.Bans = append(o.Bans, node.Banned{PublicKey: strings.Repeat(fmt.Sprintf("%02x", i), 32), Banned: &node.BanInfo{Until: o.Time.Add(time.Duration(i) * time.Hour), Reason: hostile}})
		o.Events = append(o.Events, node.Event{Time: o.Time, Kind: node.EventRefused, Address: "/onion3/" + hostile, Error: hostile})
	}
	return o
}

// shown is a model that was told of two snapshots, ten seconds apart.
func shown(peers int) *topModel {
	m := &topModel{dir: "/data", every: 2 * time.Second}
	m.take(topSnapshot(100, peers), nil, topBegan)
	m.take(topSnapshot(110, peers), nil, topBegan)
	return m
}

// TestTopView: every size of a screen is filled and not exceeded, with whatever peers say of themselves.
func TestTopView(t *testing.T) {
	for _, peers := range []int{0, 1, 50} {
		for width := 0; width < 140; width += 3 {
			for height := 0; height < 45; height += 2 {
				m := shown(peers)
				m.focus = topList((width + height) % int(topLists))
				m.help = width%7 == 6
				lines := m.view(width, height)
				if height > len(topHelp)+2 && !m.help && len(lines) != height || !m.help && len(lines) > max(height, 1) {
					t.Fatalf("%d lines of %d", len(lines), height)
				}
				for _, l := range lines {
					if l.Cut(width).Width() > width {
						t.Fatalf("%q is wider than %d", l, width)
					}
				}
			}
		}
	}
}

func text(lines []terminal.Line) string {
	var b strings.Builder
	for _, l := range lines {
		b.WriteString(strings.TrimRight(l.String(), " ") + "\n")
	}
	return b.String()
}

// TestTopShows: a screen has what there is to know, in order of importance.
func TestTopShows(t *testing.T) {
	wide := text(shown(3).view(160, 40))
	for _, want := range []string{
		"tari-libp2p   mainnet   up 1m50s", "every 2s", "abababababab  degraded, 3 nodes and 0 wallets; 1 out, 2 in; dialing 2",
		"/ip4/203.0.113.7/tcp/18189 reachable  /ip6/2001:db8::7/tcp/18189",
		"in 330 (3.0/s)   out 110,000 (1,000/s)", "5 queued", "dropped: 1,200 expired, 7 queue_full",
		"12,345 in the book, 700 reached; 1 seed, 0 allowed; 40 banned", "refused  3 inbound_cap",
		"CONNECTIONS 3 by messages", "in   000000000000  ip4       0s     -    3   0.0    0.0  198.51.100.0:18189  ",
		"in   020202020202  ip4    2h00m  24ms    3   2.0    0.0  198.51.100.2:18189",
		`"\x1b[2J\x1b]0;owned\a\u009b31m\u202e\u6f22\n\r\t\xff"`,
		"BANS 40", "for 1h00m more", "EVENTS", "refused", "q quit",
	} {
		if !strings.Contains(wide, want) {
			t.Errorf("no %q in\n%s", want, wide)
		}
	}
	if strings.Index(wide, "198.51.100.2:") > strings.Index(wide, "198.51.100.1:") {
		t.Errorf("who says most is not first:\n%s", wide)
	}
	narrow := text(shown(3).view(44, 14))
	if !strings.Contains(narrow, "IN/S  OUT/S") || strings.Contains(narrow, "AGENT") || !strings.Contains(narrow, "CONNECTIONS 3") {
		t.Errorf("in a narrow one:\n%s", narrow)
	}
	for i := range len(wide) {
		if wide[i] < ' ' && wide[i] != '\n' {
			t.Fatalf("a control character: %q", wide[max(0, i-20):i+1])
		}
	}
	if !utf8.ValidString(wide) {
		t.Error("no text")
	}
	empty := &topModel{dir: "/data", every: time.Second}
	if got := text(empty.view(80, 10)); !strings.Contains(got, "waiting for a node") || !strings.Contains(got, "/data") {
		t.Error(got)
	}
}

// TestTopRates: rates are those between two answers of one run of a node.
func TestTopRates(t *testing.T) {
	before, now := topSnapshot(100, 3), topSnapshot(110, 3)
	r := ratesOf(before, now)
	if !r.known || r.all != (messageRate{3, 1000}) || r.peers[now.Connections[2].Peer] != (messageRate{2, 0}) {
		t.Errorf("%+v", r)
	}
	before.Connections[2].Received = 1 << 40 // of streams that have ended
	if got := ratesOf(before, now).peers[now.Connections[2].Peer].in; got != 22 {
		t.Errorf("counted anew: %v", got)
	}
	again := now
	again.UptimeSec = 1
	for name, pair := range map[string][2]node.Overview{
		"the first": {{}, now}, "the same": {now, now}, "another run": {before, again}, "back in time": {now, before},
	} {
		if r := ratesOf(pair[0], pair[1]); r.known {
			t.Errorf("%s: %+v", name, r)
		}
	}
}

func TestTopKeys(t *testing.T) {
	m := shown(50)
	press := func(keys ...terminal.Key) {
		t.Helper()
		for _, k := range keys {
			if m.press(k) {
				t.Errorf("%q ended it", k)
			}
		}
		m.view(100, 30)
	}
	press("j", "j", terminal.Down, "k")
	if m.from[listConnections] != 2 {
		t.Errorf("%v", m.from)
	}
	press(terminal.End)
	if last := m.from[listConnections]; last < 30 || last >= 50 {
		t.Errorf("the end is %d", last)
	}
	press("k", terminal.PageUp)
	if at := m.from[listConnections]; at < 20 || at > 38 {
		t.Errorf("from the end up: %d", at)
	}
	press(terminal.Home, terminal.Up, terminal.PageUp)
	if m.from[listConnections] != 0 {
		t.Errorf("%v", m.from)
	}
	press(terminal.Tab, terminal.PageDown)
	if m.focus != listBans || m.from[listBans] != 10 {
		t.Errorf("%+v", m.from)
	}
	var orders []string
	for range topOrders {
		press("s")
		orders = append(orders, m.order.String()+" "+m.connections()[0].Peer[62:])
	}
	if got := strings.Join(orders, ", "); got != "age 31, round trip 31, streams 00, peer 00, messages 31" {
		t.Error(got)
	}
	press("?")
	if got := text(m.view(100, 30)); !strings.Contains(got, "Ctrl-C") {
		t.Error(got)
	}
	press("s", "p", "nonsense")
	if m.help || m.order != byMessages || !m.paused || !strings.Contains(text(m.view(100, 30)), "PAUSED") {
		t.Errorf("%+v", m)
	}
	m.help = true
	for _, k := range []terminal.Key{"q", terminal.CtrlC} {
		if !m.press(k) {
			t.Errorf("%q does not end it", k)
		}
	}
}

// topBench is a loop of top with a node of which the test decides what it answers.
type topBench struct {
	answer chan topAnswer
	keys   chan terminal.Key
	sizes  chan os.Signal
	done   chan error

	mu    sync.Mutex
	seen  topModel // as it was drawn last
	asked int
	drawn int
	clean int
}

func (b *topBench) count(n *int) {
	b.mu.Lock()
	defer b.mu.Unlock()
	*n++
}

// shows is what is on the screen.
func (b *topBench) shows() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return text(b.seen.view(99, 30))
}

// bench begins the loop; cancel is Ctrl-C.
func bench(t *testing.T) (b *topBench, cancel context.CancelFunc) {
	ctx, cancel := context.WithCancel(t.Context())
	b = &topBench{
		answer: make(chan topAnswer), keys: make(chan terminal.Key), sizes: make(chan os.Signal), done: make(chan error, 1),
	}
	model := &topModel{dir: "/data", every: 2 * time.Second}
	ask := func(ctx context.Context) (node.Overview, error) {
		b.count(&b.asked)
		select {
		case a := <-b.answer:
			return a.overview, a.err
		case <-ctx.Done():
			return node.Overview{}, ctx.Err()
		}
	}
	loop := topLoop{model: model, ask: ask, start: func(f func()) { go f() }, keys: b.keys, resized: b.sizes}
	go func() {
		draw := func() error {
			b.count(&b.drawn)
			b.mu.Lock()
			defer b.mu.Unlock()
			b.seen = *model
			return nil
		}
		b.done <- loop.run(ctx, draw, func() { b.count(&b.clean) })
	}()
	synctest.Wait()
	return b, cancel
}

// TestTopLoop: it asks at intervals, one question at a time, and obeys at once whether it has an answer or not.
func TestTopLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b, cancel := bench(t)
		defer cancel()
		want := func(what string, asked, drawn int) {
			t.Helper()
			synctest.Wait()
			b.mu.Lock()
			defer b.mu.Unlock()
			if b.asked != asked || b.drawn != drawn {
				t.Errorf("%s: asked %d times, drawn %d", what, b.asked, b.drawn)
			}
		}
		want("at once", 1, 1)
		time.Sleep(5 * time.Second)
		want("no answer", 1, 3)
		b.keys <- "s"
		want("a key", 1, 4)
		b.sizes <- os.Interrupt
		want("another size", 1, 5)
		b.answer <- topAnswer{topSnapshot(1, 1), nil}
		want("an answer", 1, 6)
		time.Sleep(time.Second)
		want("the next question", 2, 7)
		b.answer <- topAnswer{node.Overview{}, errors.New("gone\nfor good")}
		want("gone", 2, 8)
		first := b.shows()
		if !strings.Contains(first, "still trying: gone; for good") || !strings.Contains(first, "mainnet") {
			t.Error(first)
		}
		time.Sleep(2 * time.Second)
		b.answer <- topAnswer{node.Overview{}, errors.New("still gone")}
		want("still gone", 3, 10)
		since, _, _ := strings.Cut(first, "; still trying")
		if got := b.shows(); !strings.HasPrefix(got, since+"; still trying: still gone") {
			t.Errorf("it forgot since when: %s", got)
		}
		time.Sleep(2 * time.Second)
		b.answer <- topAnswer{topSnapshot(7, 1), nil}
		want("back", 4, 12)
		if got := b.shows(); strings.Contains(got, "no answer") {
			t.Errorf("it did not see that the node is back: %s", got)
		}
		b.keys <- "p"
		time.Sleep(time.Minute)
		want("paused", 4, 43)
		b.keys <- "p"
		b.keys <- terminal.CtrlL
		time.Sleep(2 * time.Second)
		want("going on", 5, 46)
		b.keys <- "q"
		if err := <-b.done; err != nil || b.clean != 1 {
			t.Errorf("%v; cleaned %d times", err, b.clean)
		}
	})
	synctest.Test(t, func(t *testing.T) {
		b, cancel := bench(t)
		cancel()
		if err := <-b.done; err != nil {
			t.Errorf("Ctrl-C: %v", err)
		}
	})
}

// TestTopPrints: without a terminal there are lines, or objects, of the node that runs; and it is no error that it stops.
func TestTopPrints(t *testing.T) {
	dir := t.TempDir()
	at := []string{"--data-dir", dir}
	r := says(t, exitUnreachable, "", append([]string{"top", "--once"}, at...)...)
	if !strings.Contains(r.err, "no node runs") || r.out != "" {
		t.Errorf("%+v", r)
	}
	if r := command(t, append([]string{"top", "--count", "2", "--every", "1ms", "--json"}, at...)...); r.code != exitUnreachable || strings.Count(r.out, "\n") != 2 {
		t.Errorf("%+v", r)
	}
	says(t, exitUsage, "", append([]string{"top", "--count", "-1"}, at...)...)
	says(t, exitUsage, "", append([]string{"top", "--every", "0s"}, at...)...)

	us := startRun(t, dir, "--allow-test-addresses")
	says(t, exitOK, "", "send", us.peer, "hello", "--data-dir", t.TempDir())
	us.line("hello")
	says(t, exitOK, "in 1 ", append([]string{"top", "--once"}, at...)...)
	r = command(t, append([]string{"top", "--count", "3", "--every", "1ms", "--json"}, at...)...)
	lines := strings.Split(strings.TrimSpace(r.out), "\n")
	var o struct {
		Schema int
		node.Overview
	}
	if err := json.Unmarshal([]byte(lines[0]), &o); err != nil || len(lines) != 3 || r.code != exitOK || o.Schema != schema || o.Messages.Received != 1 || !o.Running {
		t.Errorf("%v: %+v", err, r)
	}

	if us.stop() != exitOK {
		t.Error(us.errs)
	}
	if network := dialect.Mainnet.Name; o.Network != network || o.PublicKey != key(us.peer) {
		t.Errorf("%+v", o.Status)
	}
}
