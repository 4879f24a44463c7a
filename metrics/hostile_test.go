package metrics

import (
	"fmt"
	"io"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// TestStrangersWords: what a peer says of itself, asks for and sends stands in no metric, and makes no series.
func TestStrangersWords(t *testing.T) {
	n, server := startNode(t, node.Config{})
	n.Host.SetStreamHandlerMatch("/any", func(id protocol.ID) bool { return strings.HasPrefix(string(id), "/evil") },
		func(s network.Stream) { _, _ = io.Copy(io.Discard, s); s.Close() })
	before, _ := scrape(t, server)
	stranger, err := tari.New(tari.Config{UserAgent: "evil agent", AllowTestAddresses: true})
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	if err := stranger.Connect(t.Context(), addressOf(t, n).AddrInfo()); err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		s, err := stranger.NewStream(t.Context(), n.Host.ID(), protocol.ID(fmt.Sprintf("/evil/%d", i)))
		if err != nil {
			t.Fatal(err)
		}
		defer s.Reset()
	}
	service, err := messagingproto.New(stranger, messagingproto.Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer service.Close()
	if err := service.Send(t.Context(), n.Host.ID(), []byte("evil message")); err != nil {
		t.Fatal(err)
	}
	after := eventually(t, server, "30 substreams and a message", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "substreams", "protocol", "other") >= 30 && value(t, f, "messages_total", "direction", inbound) == 1
	})
	_, text := scrape(t, server)
	for _, word := range []string{"evil", stranger.PublicKey().String(), stranger.ID().String(), stranger.PublicKey().NodeID().String(), "127.0.0.1"} {
		if strings.Contains(text, word) {
			t.Errorf("%q is in the metrics", word)
		}
	}
	for name, f := range after {
		grown := len(f.GetMetric()) - len(before[name].GetMetric())
		if grown != 0 && name != namespace+"_handshake_seconds" && !ofTheRuntime(name) { // whose series are one a stage, direction and result
			t.Errorf("%d new series of %s", grown, name)
		}
	}
}

// TestScrapeIsBounded: a scrape with thousands of peers in the book allocates what one without any does.
func TestScrapeIsBounded(t *testing.T) {
	n, err := node.New(node.Config{}) // not started: nothing else allocates meanwhile
	if err != nil {
		t.Fatal(err)
	}
	defer n.Close()
	registry := prometheus.NewRegistry()
	registry.MustRegister(NewEvents(), Node(n))
	gather := func() {
		if _, err := registry.Gather(); err != nil {
			t.Error(err)
		}
	}
	gather()
	before := testing.AllocsPerRun(20, gather)
	const peers = 3000
	for range peers {
		key, err := tarikey.GenerateKey(nil)
		if err != nil {
			t.Fatal(err)
		}
		if err := n.Peers.Put(peerbook.Record{Key: key.Public(), UserAgent: "x"}); err != nil {
			t.Fatal(err)
		}
	}
	if after := testing.AllocsPerRun(20, gather); after > before+peers/10 {
		t.Errorf("%.0f allocations with %d peers, %.0f without", after, peers, before)
	}
}

// counted is a listener that knows how many of its connections are open at most.
type counted struct {
	net.Listener
	open, most atomic.Int64
}

func (l *counted) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	now := l.open.Add(1)
	for most := l.most.Load(); now > most && !l.most.CompareAndSwap(most, now); most = l.most.Load() {
	}
	return &countedConn{Conn: c, gone: sync.OnceFunc(func() { l.open.Add(-1) })}, nil
}

type countedConn struct {
	net.Conn
	gone func()
}

func (c *countedConn) Close() error {
	defer c.gone()
	return c.Conn.Close()
}

// TestManyScrapers: silent and deaf clients are few at a time, honest ones wait until these are gone, and Close ends whoever is left. That
// they are cut off at their time is for the tests of package boundedhttp.
func TestManyScrapers(t *testing.T) {
	registry, err := newRegistry(NewEvents())
	if err != nil {
		t.Fatal(err)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &counted{Listener: listener}
	patient := bounds
	patient.HeaderTime, patient.RequestTime = patience, patience
	server := serveOn(l, registry, patient)
	crowd := func() (leave func()) {
		var conns []net.Conn
		for i := range 5 * bounds.Connections {
			c, err := net.Dial("tcp", listener.Addr().String())
			if err != nil {
				t.Fatal(err)
			}
			conns = append(conns, c)
			if i%2 == 0 {
				_, _ = io.WriteString(c, "GET /metrics HTTP/1.1\r\n") // and nothing more
			}
		}
		return func() {
			for _, c := range conns {
				c.Close()
			}
		}
	}
	leave := crowd()
	var honest sync.WaitGroup
	for range 20 {
		honest.Go(func() { scrape(t, server) })
	}
	leave()
	honest.Wait()
	defer crowd()()
	if err := server.Close(); err != nil {
		t.Error(err)
	}
	if most, open := l.most.Load(), l.open.Load(); most == 0 || most > int64(bounds.Connections) || open != 0 {
		t.Errorf("%d connections at a time, %d after Close", most, open)
	}
}

// TestServeErrors: an address in use, and two collectors of one metric, are errors.
func TestServeErrors(t *testing.T) {
	events := NewEvents()
	server, err := Serve("127.0.0.1:0", events)
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()
	if s, err := Serve(server.Addr().String()); err == nil || !strings.HasPrefix(err.Error(), "metrics: ") {
		t.Errorf("the address is in use: %v, %v", s, err)
	}
	if s, err := Serve("127.0.0.1:0", events, events); err == nil {
		t.Errorf("the same twice: %v", s)
	}
}

// TestUptime: the clock runs from the first time online to the next time offline.
func TestUptime(t *testing.T) {
	e := NewEvents()
	for _, step := range []struct {
		state  string
		at     time.Duration // ago
		counts bool
	}{{"initializing", 9 * time.Hour, false}, {"degraded", 8 * time.Hour, false}, {"online", 7 * time.Hour, true}, {"degraded", 6 * time.Hour, true}, {"online", 5 * time.Hour, true}, {"offline", 4 * time.Hour, false}, {"online", 3 * time.Hour, true}} {
		e.Observe(node.Event{Kind: node.EventStateChanged, State: step.state, Time: time.Now().Add(-step.at)})
		if up := e.onlineFor(); (up > 0) != step.counts {
			t.Errorf("%s: online for %v s", step.state, up)
		}
	}
	if up := e.onlineFor(); up < 3*3600 || up >= 4*3600 {
		t.Errorf("online for %v s, not since the second time", up)
	}
}
