package node

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/peerbook"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// Allow puts peers on the allow list: the node bans none of them, whatever they do, and what it has banned before is lifted. A ban
// by Node.Ban, which is a person's, stays, as the answer shows. Each peer is named as CheckPeer has it, known to the book or not;
// unless all names are good nothing is changed. The answers are in the order of the names.
func (n *Node) Allow(_ context.Context, peers ...string) (AllowChanges, error) {
	keys, err := keysOf(peers, n.another)
	if err != nil {
		return AllowChanges{}, err
	}
	return n.allow(keys, true)
}

// Disallow takes peers off the allow list, so that the node may ban them again. It is Allow but for that.
func (n *Node) Disallow(_ context.Context, peers ...string) (AllowChanges, error) {
	keys, err := keysOf(peers, n.resolve)
	if err != nil {
		return AllowChanges{}, err
	}
	return n.allow(keys, false)
}

// keysOf finds the peers that our user names.
func keysOf(names []string, find func(string) (tari.Address, error)) (keys []tarikey.PublicKey, err error) {
	for _, name := range names {
		p, err := find(name)
		if err != nil {
			return nil, err
		}
		keys = append(keys, p.Key)
	}
	return keys, nil
}

// ListAllowed lists the peers on the allow list, in the order of the public keys.
func (n *Node) ListAllowed(context.Context) (AllowList, error) {
	list := AllowList{Peers: []AllowedPeer{}}
	for _, r := range n.Peers.List(func(r peerbook.Record) bool { return r.Allowed }) {
		list.Peers = append(list.Peers, n.allowed(r.Key))
	}
	return list, nil
}

func (n *Node) allow(keys []tarikey.PublicKey, allowed bool) (AllowChanges, error) {
	answer := AllowChanges{Peers: []AllowChange{}}
	for _, key := range keys {
		before := n.allowed(key)
		if allowed || before.Allowed { // who is not on the list need not get into the book to be taken off
			if err := n.Peers.Allow(key.PeerID(), allowed); err != nil {
				return AllowChanges{}, err
			}
		}
		c := AllowChange{AllowedPeer: n.allowed(key), WasAllowed: before.Allowed, WasBanned: before.Banned != nil}
		if c.WasBanned && c.Banned == nil {
			n.emit(Event{Kind: EventUnbanned, Peer: c.PublicKey})
		}
		answer.Peers = append(answer.Peers, c)
	}
	return answer, nil
}

func (n *Node) allowed(key tarikey.PublicKey) AllowedPeer {
	b := n.banned(key)
	r, _ := n.Peers.Get(key.PeerID())
	return AllowedPeer{PublicKey: b.PublicKey, NodeID: b.NodeID, Allowed: r.Allowed, Banned: b.Banned}
}

// maxNamesBody bounds a list of peers in a request, in bytes: our choice.
const maxNamesBody = 1 << 20

// readNames reads a JSON array of peers, each named as CheckPeer has it.
func readNames(body io.Reader) (names []string, err error) {
	if err := json.NewDecoder(io.LimitReader(body, maxNamesBody)).Decode(&names); err != nil {
		return nil, fail(FailUsage, fmt.Errorf("node: peers: not a JSON array of peers, or too long: %w", err))
	}
	if len(names) == 0 {
		return nil, fail(FailUsage, errors.New("node: peers: an empty list"))
	}
	return names, nil
}

// forNames calls f with the peers that the body of a request names.
func forNames(r *http.Request, f func(context.Context, ...string) (AllowChanges, error)) (AllowChanges, error) {
	names, err := readNames(r.Body)
	if err != nil {
		return AllowChanges{}, err
	}
	return f(r.Context(), names...)
}
