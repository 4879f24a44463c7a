package node

import (
	"encoding/json"
	"fmt"
	"io"

	tari "github.com/tari-libp2p/tari-libp2p"
	"github.com/tari-libp2p/tari-libp2p/torsocks"
)

// AddSeeds puts well-known nodes into the book, which never gives them up, and has a running node look at once whether it wants a
// connection to them. Ourselves is none of them. It returns how many there were.
func (n *Node) AddSeeds(found []tari.Address) (int, error) {
	added := 0
	for _, p := range found {
		if p.Key == n.Identity.Key.Public() {
			continue
		}
		if _, err := n.learn(p, true); err != nil {
			return added, err
		}
		added++
	}
	if added > 0 && n.Connectivity != nil {
		n.Connectivity.Changed()
	}
	return added, nil
}

// maxSeedsBody bounds a list of seeds, in bytes: our choice.
const maxSeedsBody = 8 << 20

// seedsAdded is the answer to a list of seeds.
type seedsAdded struct {
	Added int `json:"added"`
}

// addSeeds is AddSeeds for a JSON array of PUBKEY::ADDR[::ADDR].
func (n *Node) addSeeds(body io.Reader) (seedsAdded, error) {
	var list []string
	if err := json.NewDecoder(io.LimitReader(body, maxSeedsBody)).Decode(&list); err != nil {
		return seedsAdded{}, fail(FailUsage, fmt.Errorf("node: seeds: not a JSON array of PUBKEY::ADDRESS, or too long: %w", err))
	}
	var found []tari.Address
	for _, text := range list {
		p, err := parseNewPeer(text)
		if err != nil {
			return seedsAdded{}, err
		}
		found = append(found, p)
	}
	added, err := n.AddSeeds(found)
	return seedsAdded{added}, err
}

// Proxy is what a node dials through that dials everything through Tor or another proxy; nil if it does not. Whoever asks the
// network for something on the node's behalf, such as for names, must use it too.
func (n *Node) Proxy() *torsocks.Dialer {
	if !n.config.Tor.Everything() {
		return nil
	}
	return n.proxy()
}
