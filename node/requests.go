package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/url"
	"strconv"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/connectivity"
	"github.com/tari-libp2p/tari-libp2p/dialect"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/yamux"
)

// What the control API asks of a node. All of it works on an open folder too, but for Send.

// Status tells how the node is.
func (n *Node) Status() (Status, error) { return n.status(n.Peers.Stats()), nil }

func (n *Node) status(book peerbook.Stats) Status {
	s := Status{
		Running:     n.Host != nil,
		Network:     n.config.Network.Name,
		Accepts:     []string{n.config.Network.Name},
		PublicKey:   n.Identity.String(),
		NodeID:      n.Identity.Key.Public().NodeID().String(),
		Addresses:   n.addresses(),
		DataDir:     n.config.DataDir,
		Connections: []ConnectionInfo{},
	}
	for _, other := range n.config.Accept {
		s.Accepts = append(s.Accepts, other.Name)
	}
	if n.Host != nil {
		s.UptimeSec = int64(time.Since(n.started) / time.Second)
		s.Connections = n.connections()
	}
	if n.Connectivity != nil {
		s.Connectivity = connectivityInfo(n.Connectivity.Status())
	}
	s.Peers = book.Peers
	s.Public = n.PublicAddresses()
	return s
}

func (n *Node) connections() []ConnectionInfo {
	out := []ConnectionInfo{}
	messages := n.Messages.PeerStats()
	for _, c := range n.Host.Network().Conns() {
		info := connectionInfo(c)
		info.Received, info.Sent = messages[c.RemotePeer()].Received, messages[c.RemotePeer()].Sent
		if onion := n.Host.OnionListener(); onion != nil && c.LocalMultiaddr().Equal(onion) {
			info.AddressClass = ClassOnion // Tor's end on this machine says nothing of the peer
		}
		out = append(out, info)
	}
	return out
}

func connectivityInfo(s connectivity.Status) *ConnectivityInfo {
	return &ConnectivityInfo{
		State: s.State.String(), Nodes: s.Nodes, Clients: s.Clients, Outbound: s.Outbound, Inbound: s.Inbound,
		Dialing: s.Dialing, Paused: s.Paused, NoLink: s.NoLink,
	}
}

func connectionInfo(c network.Conn) ConnectionInfo {
	stat := c.Stat()
	info := ConnectionInfo{
		Peer:      keyText(c.RemotePeer()),
		Address:   c.RemoteMultiaddr().String(),
		Direction: directionText(stat.Direction),
		AgeSec:    int64(time.Since(stat.Opened) / time.Second),
		Streams:   len(c.GetStreams()),

		AddressClass: ClassOf(c.RemoteMultiaddr()),
	}
	var muxed *yamux.Session
	if c.As(&muxed) {
		info.RoundTripUS = muxed.RTT().Microseconds()
	}
	if s, ok := sessionOf(c); ok {
		info.Dialect, info.UserAgent, info.Features = s.Dialect.String(), s.Claim.UserAgent, s.Claim.Features.String()
		info.NodeID = s.Remote.NodeID().String()
	}
	return info
}

// sessionOf is what our upgrader made of a connection.
func sessionOf(c network.Conn) (*dialect.Session, bool) {
	var s *dialect.Session
	ok := c.As(&s)
	return s, ok
}

// addresses are the PUBKEY::ADDRESS strings under which the node is reached, the public ones first.
func (n *Node) addresses() []string {
	addrs := n.public()
	if n.Host != nil && !n.config.Tor.Only {
		addrs = unique(addrs, n.Host.Addrs())
	}
	out := []string{}
	for _, addr := range addrs {
		if n.tor == nil || !addr.Equal(n.Host.OnionListener()) { // which is for Tor alone
			out = append(out, n.Identity.String()+"::"+addr.String())
		}
	}
	return out
}

// IdentityInfo tells who the node is, without its secret.
func (n *Node) IdentityInfo() IdentityInfo {
	info := n.Identity.Describe(IdentityFile(n.config.DataDir))
	info.Addresses = texts(n.public())
	return info
}

// ListPeers lists the peer book.
func (n *Node) ListPeers(context.Context) (PeerList, error) { return n.listPeers(nil) }

// listPeers is ListPeers, or of a query up to "limit" peers (0: any number) whose public key or node id begins with "prefix".
func (n *Node) listPeers(query url.Values) (PeerList, error) {
	limit, err := strconv.ParseUint(cmp.Or(query.Get("limit"), "0"), 10, 31)
	if err != nil {
		return PeerList{}, fail(FailUsage, errors.New("node: limit is not a number"))
	}
	found := n.Peers.Find(query.Get("prefix"))
	if limit > 0 && len(found) > int(limit) {
		found = found[:limit]
	}
	list := PeerList{Peers: []PeerInfo{}}
	for _, r := range found {
		list.Peers = append(list.Peers, n.peerInfo(r))
	}
	return list, nil
}

// AddPeer puts a peer, written PUBKEY::ADDR[::ADDR], into the book.
func (n *Node) AddPeer(_ context.Context, text string) (PeerInfo, error) {
	p, err := parseNewPeer(text)
	if err != nil {
		return PeerInfo{}, err
	}
	record, err := n.learn(p, false)
	if err != nil {
		return PeerInfo{}, err
	}
	return n.peerInfo(record), nil
}

// GetPeer tells all that the book knows of a peer.
func (n *Node) GetPeer(_ context.Context, text string) (PeerDetail, error) {
	p, err := n.resolve(text)
	if err != nil {
		return PeerDetail{}, err
	}
	r, ok := n.Peers.Get(p.Key.PeerID())
	if !ok {
		return PeerDetail{}, fail(FailNotFound, fmt.Errorf("node: the book does not know %s", p.Key))
	}
	return n.peerDetail(r), nil
}

// RemovePeer forgets a peer, its place on the allow list too, but not its ban. A connection stays, and brings the peer back when it is made anew.
func (n *Node) RemovePeer(_ context.Context, text string) (Removed, error) {
	p, err := n.resolve(text)
	if err != nil {
		return Removed{}, err
	}
	id := p.Key.PeerID()
	if _, ok := n.Peers.Get(id); !ok {
		return Removed{}, fail(FailNotFound, fmt.Errorf("node: the book does not know %s", p.Key))
	}
	if err := n.Peers.Remove(id); err != nil {
		return Removed{}, err
	}
	return Removed{PublicKey: p.Key.String(), NodeID: p.Key.NodeID().String(), Connected: n.connected(id)}, nil
}

// Send sends a message to a peer, named as CheckPeer has it, of which an address must be known. It returns when the message
// was written to the connection; Close flushes what the peer has not taken by then.
func (n *Node) Send(ctx context.Context, text string, message []byte) (Sent, error) {
	if n.Host == nil {
		return Sent{}, errors.New("node: nothing runs that could send")
	}
	p, err := n.another(text)
	if err != nil {
		return Sent{}, err
	}
	id := p.Key.PeerID()
	began := time.Now()
	n.given(p)
	if err := n.Messages.Send(ctx, id, message); err != nil {
		n.dialFailed(ctx, id, err)
		return Sent{}, err
	}
	return Sent{Peer: p.Key.String(), Bytes: len(message), ElapsedMS: time.Since(began).Milliseconds()}, nil
}

// Dial connects to a peer, named as CheckPeer has it, of which an address must be known.
func (n *Node) Dial(ctx context.Context, text string) (Dialed, error) {
	if n.Host == nil {
		return Dialed{}, errors.New("node: nothing runs that could dial")
	}
	p, err := n.another(text)
	if err != nil {
		return Dialed{}, err
	}
	id := p.Key.PeerID()
	answer := Dialed{Peer: p.Key.String(), NodeID: p.Key.NodeID().String(), Already: n.connected(id)}
	began := time.Now()
	n.given(p)
	if err := n.Host.Connect(ctx, peer.AddrInfo{ID: id}); err != nil {
		n.dialFailed(ctx, id, err)
		return Dialed{}, err
	}
	answer.ElapsedMS = time.Since(began).Milliseconds()
	for _, c := range n.Host.Network().ConnsToPeer(id) {
		if !c.IsClosed() {
			info := connectionInfo(c)
			answer.Address, answer.Dialect, answer.UserAgent = info.Address, info.Dialect, info.UserAgent
		}
	}
	return answer, nil
}

// given tells the host the addresses that our user names with a peer; without any, those named before still hold.
func (n *Node) given(p tari.Address) {
	if len(p.Addrs) > 0 {
		n.Host.SetConfigured(p.AddrInfo())
	}
}

func parsePeer(text string) (tari.Address, error) {
	p, err := tari.ParseAddress(text)
	if err != nil {
		return p, fail(FailUsage, err)
	}
	return p, nil
}

// parseNewPeer is parsePeer where a peer is introduced.
func parseNewPeer(text string) (tari.Address, error) {
	p, err := parsePeer(text)
	if err == nil && len(p.Addrs) == 0 {
		err = fail(FailUsage, errors.New("node: the peer has no address"))
	}
	return p, err
}
