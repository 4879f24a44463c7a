package metrics

import (
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/prometheus/client_golang/prometheus"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/messagingproto"
	"github.com/tari-libp2p/tari-libp2p/node"
)

// What a node's parts count.
var (
	connections = gauge("connections", "Connections that are ready.", "direction")
	pending     = gauge("connections_pending", "Connections that are not ready yet: dials and handshakes under way.", "direction")
	rejected    = counter("handshake_rejected_total", "Inbound connections closed by a limit, by which.", "reason")
	substreams  = gauge("substreams", "Open substreams, of the protocols that we serve and of all others together.", "protocol")
	streamBytes = gauge("substream_memory_bytes", "Memory set aside for connections and substreams.")

	messages      = counter("messages_total", "Messages handed to the handler, and messages written.", "direction")
	messageBytes  = counter("message_bytes_total", "Bytes of these messages.", "direction")
	sentAgain     = counter("messages_sent_again_total", "Messages written once more, because two connections to a peer became one.")
	dropped       = counter("outbound_dropped_total", "Messages that could not be sent, by why.", "reason")
	violations    = counter("messaging_errors_total", "Messages of peers above the size that any may have, for which they are banned.")
	streamsRefuse = counter("messaging_streams_refused_total", "Messaging streams of peers that opened them too often.")
	sessions      = gauge("messaging_sessions", "Messaging streams: from peers, and to them.", "direction")
	queued        = gauge("outbound_queued_messages", "Messages that wait or are being written.")
	queuedBytes   = gauge("outbound_queued_bytes", "Bytes of messages that wait or are being written.")
	dialingBytes  = gauge("outbound_dialing_bytes", "Bytes of messages for peers that are being connected to.")

	rpcSessions = gauge("rpc_sessions", "RPC sessions: of peers with our services (server), and ours with theirs (client).", "side")
	rpcRefused  = counter("rpc_sessions_refused_total", "RPC sessions that peers asked for and did not get, mostly for lack of a place.")

	bookPeers = gauge("peer_book_peers", "Peers in the book: welcome ones, and banned ones.", "state")

	state        = gauge("connectivity_state", "1 for the state that the node is in, 0 for the others.", "state")
	connected    = gauge("connected_peers", "Tari peers that we are connected to: nodes, and clients (wallets).", "kind")
	dialing      = gauge("dialing", "Dials of the node's own accord under way.")
	dialsPaused  = gauge("dialing_paused", "1 while no more is dialed because nobody answered.")
	linkUp       = gauge("link_up", "0 while this machine has no network.")
	publicStates = gauge("public_addresses", "Addresses that we claim, by whether we answered ourselves there.", "state")
	torUp        = gauge("tor_up", "Whether Tor serves our onion service; absent without one.")

	nodeMetrics = []metric{
		connections, pending, rejected, substreams, streamBytes,
		messages, messageBytes, sentAgain, dropped, violations, streamsRefuse, sessions, queued, queuedBytes, dialingBytes,
		rpcSessions, rpcRefused, bookPeers, state, connected, dialing, dialsPaused, linkUp, publicStates, torUp,
	}
)

// maxProtocols is how many protocols have a series of their own: those that were registered first.
const maxProtocols = 50

// refusals are the reasons that are told of from the start, with 0, so that the first refusal shows as one.
var refusals = []tari.Refusal{
	tari.RefusedInbound, tari.RefusedInboundPerSource, tari.RefusedHandshakesPerSource, tari.RefusedHandshakes, tari.RefusedSource,
	tari.RefusedDisplaced, tari.RefusedIdle, tari.RefusedByGater, tari.RefusedResources, tari.RefusedDescriptors,
}

// Node is what the parts of a node count: of one from node.New, best when it has started. A scrape reads counters, and looks at each
// connection and each record of the peer book once; it holds none of them up.
func Node(n *node.Node) prometheus.Collector { return nodeCollector{n} }

type nodeCollector struct{ n *node.Node }

// Describe implements prometheus.Collector.
func (c nodeCollector) Describe(out chan<- *prometheus.Desc) {
	for _, m := range nodeMetrics {
		out <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c nodeCollector) Collect(out chan<- prometheus.Metric) {
	t := to(out)
	c.connections(t)
	c.substreams(t)
	c.messages(t)
	c.connectivity(t)
	c.reachability(t)
	for reason, n := range c.refusals() {
		t.send(rejected, float64(n), string(reason))
	}
	t.send(rpcSessions, float64(c.n.RPC.Sessions()), "server")
	t.send(rpcSessions, float64(c.n.RPC.OpenSessions()), "client")
	t.send(rpcRefused, float64(c.n.RPC.RefusedSessions()))
	book := c.n.Peers.Stats()
	t.send(bookPeers, float64(book.Welcome), "welcome")
	t.send(bookPeers, float64(book.Banned), "banned")
}

// connections tells those that are ready from those that the resource manager knows of besides.
func (c nodeCollector) connections(t to) {
	all := c.system()
	var in, out int
	for _, conn := range c.n.Host.Network().Conns() {
		if conn.Stat().Direction == network.DirInbound {
			in++
		} else {
			out++
		}
	}
	t.send(connections, float64(in), inbound)
	t.send(connections, float64(out), outbound)
	t.send(pending, float64(max(0, all.NumConnsInbound-in)), inbound)
	t.send(pending, float64(max(0, all.NumConnsOutbound-out)), outbound)
	t.send(streamBytes, float64(all.Memory))
}

// system is what the resource manager holds altogether.
func (c nodeCollector) system() (all network.ScopeStat) {
	_ = c.n.Host.Network().ResourceManager().ViewSystem(func(s network.ResourceScope) error {
		all = s.Stat()
		return nil
	})
	return all
}

// substreams names the protocols that we serve, and only these: what peers ask for is their word.
func (c nodeCollector) substreams(t to) {
	all := c.system()
	others := all.NumStreamsInbound + all.NumStreamsOutbound
	ids := c.n.Host.Mux().Protocols()
	for _, id := range ids[:min(len(ids), maxProtocols)] {
		_ = c.n.Host.Network().ResourceManager().ViewProtocol(id, func(s network.ProtocolScope) error {
			n := s.Stat().NumStreamsInbound + s.Stat().NumStreamsOutbound
			others -= n
			t.send(substreams, float64(n), string(id))
			return nil
		})
	}
	t.send(substreams, float64(max(0, others)), "other")
}

func (c nodeCollector) refusals() tari.Refusals {
	counts := c.n.Host.Refusals()
	for _, reason := range refusals {
		counts[reason] += 0
	}
	return counts
}

func (c nodeCollector) messages(t to) {
	s := c.n.Messages.Stats()
	t.send(messages, float64(s.Received), inbound)
	t.send(messages, float64(s.Sent), outbound)
	t.send(messageBytes, float64(s.ReceivedBytes), inbound)
	t.send(messageBytes, float64(s.SentBytes), outbound)
	t.send(sentAgain, float64(s.SentAgain))
	for reason := messagingproto.TooLarge; reason <= messagingproto.Closed; reason++ {
		t.send(dropped, float64(s.Failed[reason]), reason.Word())
	}
	t.send(violations, float64(s.Violations))
	t.send(streamsRefuse, float64(s.Refused))
	t.send(sessions, float64(s.InStreams), inbound)
	t.send(sessions, float64(s.OutStreams), outbound)
	t.send(queued, float64(s.Queued))
	t.send(queuedBytes, float64(s.QueuedBytes))
	t.send(dialingBytes, float64(s.DialingBytes))
}

// connectivity has nothing to tell of a node that nothing keeps connected.
func (c nodeCollector) connectivity(t to) {
	if c.n.Connectivity == nil {
		return
	}
	s := c.n.Connectivity.Status()
	for one := connectivity.Initializing; one <= connectivity.Online; one++ {
		t.send(state, yes(s.State == one), one.String())
	}
	t.send(connected, float64(s.Nodes), "node")
	t.send(connected, float64(s.Clients), "client")
	t.send(dialing, float64(s.Dialing))
	t.send(dialsPaused, yes(s.Paused))
	t.send(linkUp, yes(!s.NoLink))
}

func (c nodeCollector) reachability(t to) {
	counts := map[node.Reached]int{node.ReachUnknown: 0, node.ReachReachable: 0, node.ReachUnreachable: 0}
	for _, a := range c.n.PublicAddresses() {
		counts[a.State]++
	}
	for reached, n := range counts {
		t.send(publicStates, float64(n), string(reached))
	}
	if has, up := c.n.OnionService(); has {
		t.send(torUp, yes(up))
	}
}
