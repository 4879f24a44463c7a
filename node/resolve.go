package node

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/tarikey"
)

// maxNamed is how many peers are listed when a prefix fits several.
const maxNamed = 5

// CheckPeer says whether text can name a peer, before anything is opened or asked: a public key, a node id, the beginning of
// either in hexadecimal, or PUBKEY::ADDR[::ADDR]. The error is a *Failure of kind FailUsage.
func CheckPeer(text string) error {
	_, _, err := readPeer(text)
	return err
}

// readPeer reads what names a peer: either a key, with or without addresses, or a prefix of a key or node id.
func readPeer(text string) (p tari.Address, prefix string, err error) {
	if text != "" && len(text) < 2*tarikey.KeySize && strings.Trim(strings.ToLower(text), "0123456789abcdef") == "" {
		return p, strings.ToLower(text), nil
	}
	p, err = parsePeer(text)
	return p, "", err
}

// resolve finds the peer that our user names, in each of the ways that CheckPeer knows. A whole key needs not be known to
// anybody; a node id and a prefix must fit exactly one peer of the book, of its bans or of our connections.
func (n *Node) resolve(text string) (tari.Address, error) {
	p, prefix, err := readPeer(text)
	if err != nil || prefix == "" {
		return p, err
	}
	fits := n.beginningWith(prefix)
	switch {
	case len(fits) == 1:
		return tari.Address{Key: fits[0]}, nil
	case len(fits) == 0:
		return p, fail(FailNotFound, fmt.Errorf("node: no known peer has a public key or node id that begins with %s", prefix))
	}
	listed := texts(fits[:min(len(fits), maxNamed)])
	if more := len(fits) - len(listed); more > 0 {
		listed = append(listed, strconv.Itoa(more)+" more")
	}
	return p, fail(FailUsage, fmt.Errorf("node: %s fits %d peers, write more of it: %s", prefix, len(fits), strings.Join(listed, ", ")))
}

// beginningWith are the keys of all peers we know of whose key or node id begins with prefix, sorted.
func (n *Node) beginningWith(prefix string) []tarikey.PublicKey {
	var keys []tarikey.PublicKey
	add := func(key tarikey.PublicKey) {
		if strings.HasPrefix(key.String(), prefix) || strings.HasPrefix(key.NodeID().String(), prefix) {
			keys = append(keys, key)
		}
	}
	for _, r := range n.Peers.Find(prefix) {
		keys = append(keys, r.Key)
	}
	for _, r := range n.Peers.Bans() { // removed peers keep their ban
		add(r.Key)
	}
	if n.Host != nil {
		for _, id := range n.Host.Network().Peers() {
			if key, err := tarikey.PublicKeyFromPeerID(id); err == nil {
				add(key)
			}
		}
	}
	slices.SortFunc(keys, func(x, y tarikey.PublicKey) int { return bytes.Compare(x.Bytes(), y.Bytes()) })
	return slices.Compact(keys)
}

// another is resolve for what makes no sense with ourselves.
func (n *Node) another(text string) (tari.Address, error) {
	p, err := n.resolve(text)
	if err == nil && p.Key == n.Identity.Key.Public() {
		return p, fail(FailUsage, errors.New("node: that peer is this node"))
	}
	return p, err
}
