package metrics

import (
	"errors"
	"net"
	"net/netip"
	"testing"
	"time"

	manet "github.com/multiformats/go-multiaddr/net"
	dto "github.com/prometheus/client_model/go"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
	"github.com/tari-libp2p/tari-libp2p/peersync"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
	"github.com/tari-libp2p/tari-libp2p/tariproto"
)

// TestTraffic: two nodes meet, talk, call and ban, and the metrics of both say so, each thing once.
func TestTraffic(t *testing.T) {
	us, ours := startNode(t, node.Config{})
	them, theirs := startNode(t, node.Config{})
	before, _ := scrape(t, ours)
	for _, name := range []string{"messages_total", "message_bytes_total", "connections", "connections_success_total"} {
		if v := value(t, before, name, "direction", inbound); v != 0 {
			t.Errorf("%s is %v before anything happened", name, v)
		}
	}

	if err := them.Host.Connect(t.Context(), addressOf(t, us).AddrInfo()); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := them.Messages.Send(t.Context(), us.Host.ID(), []byte("hello")); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := peersync.Ask(t.Context(), them.RPC.Peer(us.Host.ID(), peersync.Service), peersync.Query{AllowTestAddresses: true}); err != nil {
		t.Fatal(err)
	}

	families := eventually(t, ours, "3 messages, and a node connected", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "messages_total", "direction", inbound) == 3 && value(t, f, "connected_peers", "kind", "node") == 1 &&
			value(t, f, "connectivity_state", "state", "online") == 1 && value(t, f, "uptime_seconds") > 0
	})
	for _, want := range []struct {
		value  float64
		name   string
		labels []string
	}{
		{15, "message_bytes_total", []string{"direction", inbound}},
		{0, "messages_total", []string{"direction", outbound}},
		{1, "messaging_sessions", []string{"direction", inbound}},
		{1, "connections", []string{"direction", inbound}},
		{0, "connections", []string{"direction", outbound}},
		{0, "connections_pending", []string{"direction", inbound}},
		{1, "connections_success_total", []string{"direction", inbound}},
		{0, "connections_failed_total", []string{"direction", inbound}},
		{1, "handshake_seconds", []string{"stage", dialect.StageNoise, "direction", inbound, "result", "ok"}},
		{1, "handshake_seconds", []string{"stage", dialect.StageIdentity, "direction", inbound, "result", "ok"}},
		{1, "substreams", []string{"protocol", string(tariproto.Messaging)}},
		{1, "substreams", []string{"protocol", string(peersync.Service)}},
		{1, "rpc_sessions", []string{"side", "server"}},
		{0, "rpc_sessions_refused_total", nil},
		{1, "events_total", []string{"event", string(node.EventConnected)}},
		{3, "events_total", []string{"event", string(node.EventMessage)}},
		{1, "peer_book_peers", []string{"state", "welcome"}},
		{0, "peer_book_peers", []string{"state", "banned"}},
		{0, "connectivity_state", []string{"state", "offline"}},
		{1, "link_up", nil},
	} {
		if got := value(t, families, want.name, want.labels...); got != want.value {
			t.Errorf("%s%q is %v, not %v", want.name, want.labels, got, want.value)
		}
	}
	families, _ = scrape(t, theirs)
	if calls := value(t, families, "rpc_sessions", "side", "client"); calls != 1 {
		t.Errorf("the other one has %v sessions with us", calls)
	}
	if sent, ok := value(t, families, "messages_total", "direction", outbound), value(t, families, "connections_success_total", "direction", outbound); sent != 3 || ok != 1 {
		t.Errorf("the other one sent %v messages on %v connections", sent, ok)
	}

	if _, err := us.Ban(t.Context(), them.Identity.String(), time.Hour, "test"); err != nil {
		t.Fatal(err)
	}
	families = eventually(t, ours, "offline", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "connectivity_state", "state", "offline") == 1 && value(t, f, "connections", "direction", inbound) == 0
	})
	if bans, banned, up := value(t, families, "banned_peers_total"), value(t, families, "peer_book_peers", "state", "banned"), value(t, families, "uptime_seconds"); bans != 1 || banned != 1 || up != 0 {
		t.Errorf("%v bans, %v banned, online for %v", bans, banned, up)
	}
	nobody, err := tarikey.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	err = us.Messages.Send(t.Context(), nobody.Public().PeerID(), []byte("x"))
	if !errors.Is(err, &messagingproto.SendError{Reason: messagingproto.DialFailed}) {
		t.Errorf("sent to nobody: %v", err)
	}
	families, _ = scrape(t, ours)
	if n := value(t, families, "outbound_dropped_total", "reason", "dial_failed"); n != 1 {
		t.Errorf("%v messages could not be sent", n)
	}
}

// say opens a connection to a node and says something on it. An error is left to what the node counts: it may refuse at once.
func say(t *testing.T, n *node.Node, first ...byte) {
	t.Helper()
	at, err := manet.ToNetAddr(n.Host.Network().ListenAddresses()[0])
	if err != nil {
		t.Fatal(err)
	}
	c, err := net.Dial("tcp", at.String())
	if err != nil {
		return
	}
	t.Cleanup(func() { c.Close() })
	_, _ = c.Write(first)
}

// TestFailed: a connection of gibberish is a handshake that failed, and a liveness check is none.
func TestFailed(t *testing.T) {
	n, server := startNode(t, node.Config{})
	if _, err := node.ProbeLiveness(t.Context(), dialect.Mainnet, "", n.Host.Network().ListenAddresses()[0]); err != nil {
		t.Fatal(err)
	}
	say(t, n, 0xff)
	families := eventually(t, server, "told of both", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "events_total", "event", string(node.EventRefused)) == 2
	})
	if wire, failed := value(t, families, "handshake_seconds", "stage", dialect.StageWire, "direction", inbound, "result", "failed"), value(t, families, "connections_failed_total", "direction", inbound); wire != 1 || failed != 1 {
		t.Errorf("%v failed, %v at the first byte", failed, wire)
	}
}

// TestRefused: one connection too many of a source is a refusal, and no handshake.
func TestRefused(t *testing.T) {
	n, server := startNode(t, node.Config{Limits: tari.Limits{Exempt: []netip.Prefix{}, InboundPerSource: 1}})
	say(t, n) // silent, it holds the only place of its source
	eventually(t, server, "a handshake pends", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "connections_pending", "direction", inbound) == 1
	})
	say(t, n)
	families := eventually(t, server, "one was refused", func(f map[string]*dto.MetricFamily) bool {
		return value(t, f, "handshake_rejected_total", "reason", string(tari.RefusedInboundPerSource)) == 1
	})
	for _, reason := range refusals {
		if v := value(t, families, "handshake_rejected_total", "reason", string(reason)); v != 0 && reason != tari.RefusedInboundPerSource {
			t.Errorf("%v refused for %s", v, reason)
		}
	}
	if failed := value(t, families, "connections_failed_total", "direction", inbound); failed != 0 {
		t.Errorf("%v handshakes failed", failed)
	}
}
